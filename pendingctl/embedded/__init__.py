"""Local Postgres servers: throw-away ones, and one whose data is kept. Linux and macOS."""

import os

from ..errors import InvalidInput

if os.name == "nt":  # before the imports below, which fail there with a less helpful message
    raise InvalidInput("the embedded server is not supported on Windows; name a database with --dsn")

from .binaries import Binaries, find_binaries
from .kept import kept_server
from .pair import Pair, throwaway_pair
from .server import Server
from .throwaway import ThrowawayServer, throwaway_server

__all__ = [
    "Binaries",
    "Pair",
    "Server",
    "ThrowawayServer",
    "find_binaries",
    "kept_server",
    "throwaway_pair",
    "throwaway_server",
]
