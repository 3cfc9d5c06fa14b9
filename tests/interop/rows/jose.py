import asked
import driving
from packages import npm
from row import row


@row("jose", npm("jose@6.2.17"))
def jose(it):
    driving.node(it, "jose_.mjs", asked.oauth(it))
