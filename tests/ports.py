"""Ports of this machine for programs that must be told one, and cannot say which they were given."""

from __future__ import annotations

import os
import socket

# Below those that a system gives to whoever listens on port 0 or connects to somewhere, or one of these could take it
# before the program listens; and each process of the tests has a hundred of its own, as its neighbours do.
_FIRST, _NUMBER, _EACH = 20_000, 10_000, 100


def free_port() -> int:
    """Return a port on loopback on which nobody listens."""
    for offset in range(_EACH):
        port = _FIRST + (os.getpid() * _EACH + offset) % _NUMBER
        with socket.socket() as tried:
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no port of a hundred from {_FIRST} on is free")
