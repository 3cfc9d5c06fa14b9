import asked
import driving
from packages import pip
from row import row


@row("PyJWT", pip("PyJWT[crypto]==2.15.1"))
def pyjwt(it):
    driving.python(it, "pyjwt_.py", asked.oauth(it))
