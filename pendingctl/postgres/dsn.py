"""Connection strings as libpq reads them: their check, and what may be shown of them."""

from __future__ import annotations

import os
import re

import psycopg
from psycopg import conninfo

from ..errors import InvalidInput
from .time_limits import (
    CONNECT_SECONDS,
    TCP_COUNT,
    TCP_IDLE_SECONDS,
    TCP_INTERVAL_SECONDS,
    TCP_UNACKNOWLEDGED_SECONDS,
)

# libpq's own default for these is the kernel's: two hours, and about a quarter of an hour.
_TCP = {
    "keepalives_idle": TCP_IDLE_SECONDS,
    "keepalives_interval": TCP_INTERVAL_SECONDS,
    "keepalives_count": TCP_COUNT,
    "tcp_user_timeout": TCP_UNACKNOWLEDGED_SECONDS * 1000,
}


def check_dsn(dsn: str) -> dict[str, str]:
    """Return the parts of a connection string as libpq reads it.

    Raises InvalidInput, without quoting the string: a malformed one often has its password in the wrong place.
    """
    try:
        parts = conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise InvalidInput(
            "malformed connection string; libpq takes postgresql://user@host:port/dbname or 'host=… dbname=…'"
        ) from None
    except UnicodeEncodeError:
        # What a variable holds that is not UTF-8 has lone surrogates here.
        raise InvalidInput("the connection string is not UTF-8; in a URL, write its other bytes as %E4") from None
    # A password that is not escaped ends up in the host or the port, which libpq would quote when it fails.
    host, port = str(parts.get("host") or ""), str(parts.get("port") or "")
    if ("@" in host and not host.startswith(("/", "@"))) or not re.fullmatch(r"[\d,\s]*", port):
        raise InvalidInput("malformed connection string: write an @, : or / inside the password as %40, %3A or %2F")
    return {name: str(value) for name, value in parts.items() if value is not None}


def describe(dsn: str) -> str:
    """Return where a connection string leads, as one line for people, without its password."""
    try:
        parts = conninfo.conninfo_to_dict(dsn)
    except (psycopg.ProgrammingError, UnicodeEncodeError):
        return "a malformed connection string"
    places = ("host", "hostaddr", "port", "dbname", "user", "service")
    return " ".join(f"{name}={parts[name]}" for name in places if parts.get(name)) or "libpq's defaults"


def connect_parameters(dsn: str, application: str, connect_seconds: int = CONNECT_SECONDS) -> dict[str, str | int]:
    """Return what is added to the user's string on every connection.

    None of it overrides the user's, but the encoding: text is UTF-8 here, whatever the server or the user's
    environment would have.
    """
    parts = check_dsn(dsn)
    added: dict[str, str | int] = {"fallback_application_name": application, "client_encoding": "UTF8"}
    if "connect_timeout" not in parts and "PGCONNECT_TIMEOUT" not in os.environ:
        added["connect_timeout"] = connect_seconds
    return added | {name: value for name, value in _TCP.items() if name not in parts}
