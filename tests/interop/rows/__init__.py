"""One file a client. See ../README.md."""
