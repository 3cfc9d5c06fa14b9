import gateway_checks
import gateways
from packages import apt
from row import row


@row("nginx auth_request", apt("nginx"))
def nginx(it):
    gateway_checks.gateway(it, gateways.nginx(it, it.kit[0]))
