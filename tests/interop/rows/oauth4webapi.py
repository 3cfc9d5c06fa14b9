import asked
import driving
from packages import npm
from row import row


@row("oauth4webapi", npm("oauth4webapi@3.8.8"))
def oauth4webapi(it):
    driving.node(it, "oauth4webapi.mjs", asked.oauth(it))
