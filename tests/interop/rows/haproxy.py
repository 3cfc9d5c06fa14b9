import behind
from packages import apt
from row import row


@row("HAProxy with Lua", apt("haproxy"))
def haproxy(it):
    def start(values):
        port = int(values["127.0.0.1:8080"].rpartition(":")[2])
        behind.configuration(it, "jobpass.lua", {})
        file = behind.configuration(it, "haproxy.cfg", values).rename(it.folder / f"haproxy-{port}.cfg")
        it.start([it.kit[0].program("haproxy"), "-db", "-C", it.folder, "-f", file], port=port)

    behind.gateway(it, start)
