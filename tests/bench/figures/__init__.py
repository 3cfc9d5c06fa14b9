"""One file a family of figures; importing this package lists them, in the order in which they are measured."""

from figures import decide, cached, batch, mint, cold, process, flood, revocation, size, expiry  # noqa: F401
