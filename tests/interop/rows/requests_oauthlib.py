import asked
import driving
from packages import pip
from row import row


@row("requests-oauthlib", pip("requests-oauthlib==2.0.0"))
def requests_oauthlib(it):
    driving.python(it, "requests_oauthlib_.py", asked.oauth(it))
