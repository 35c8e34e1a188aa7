"""A local Postgres's life cycle: a throw-away server, or one whose data is kept. Linux and macOS."""

from .binaries import Binaries, find_binaries
from .server import Server, kept_server, throwaway_server

__all__ = ["Binaries", "Server", "find_binaries", "kept_server", "throwaway_server"]
