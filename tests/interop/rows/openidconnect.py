import asked
from packages import crates
from row import row


@row("openidconnect", crates("openidconnect"), timeout=60)
def openidconnect(it):
    it.drive([it.kit[0].program("openidconnect")], asked.oauth(it))
