import asked
import driving
from packages import pip
from row import row


@row("Authlib", pip("Authlib==1.9.9", "requests==2.34.2"))
def authlib(it):
    driving.python(it, "authlib_.py", asked.oauth(it))
