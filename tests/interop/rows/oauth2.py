import asked
from packages import crates
from row import row


@row("oauth2", crates("oauth2"), timeout=60)
def oauth2(it):
    it.drive([it.kit[0].program("oauth2")], asked.oauth(it))
