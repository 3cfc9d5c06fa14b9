import asked
import driving
from packages import npm
from row import row


@row("openid-client", npm("openid-client@6.8.9"))
def openid_client(it):
    driving.node(it, "openid_client.mjs", asked.oauth(it))
