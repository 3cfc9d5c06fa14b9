import gateway_checks
import gateways
from packages import apt
from row import row


@row("HAProxy with Lua", apt("haproxy"))
def haproxy(it):
    gateway_checks.gateway(it, gateways.haproxy(it, it.kit[0]), websockets=True)
