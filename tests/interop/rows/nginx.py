import behind
import gateways
from packages import apt
from row import row


@row("nginx auth_request", apt("nginx"))
def nginx(it):
    behind.gateway(it, gateways.nginx(it, it.kit[0]))
