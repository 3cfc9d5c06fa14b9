"""What the drivers of OAuth libraries are asked: endpoints' base, credentials, and tokens made ready for each check."""


def oauth(it):
    world = it.world
    return {
        "issuer": world.issuer,
        "url": world.url,
        "admin": world.admin,
        "project": world.target,
        "service": world.service,
        "runner": {"client_id": world.runner["id"], "client_secret": world.runner["token"]},
        "allowed": world.allowed().text,
        "denied": world.denied().text,
        "revoked": world.revoked().text,
        "expired": world.expired().text,
        # Each for one check that ends or narrows it.
        "spare": [world.mint().text for _ in range(4)],
    }
