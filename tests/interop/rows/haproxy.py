import behind
import gateways
from packages import apt
from row import row


@row("HAProxy with Lua", apt("haproxy"))
def haproxy(it):
    behind.gateway(it, gateways.haproxy(it, it.kit[0]))
