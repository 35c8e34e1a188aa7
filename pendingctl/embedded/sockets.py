"""Where a server's socket is, and the connection string that leads to it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from ..errors import InvalidInput
from .account import Account

# sun_path has 104 bytes on macOS and 108 on Linux; "/.s.PGSQL.5432.lock" takes 19 of them.
_LONGEST_SOCKET_FOLDER = 80


def connection_string(*sockets: Path, target: str = "any") -> str:
    """Return the libpq string that tries servers in turn until one satisfies `target` (target_session_attrs)."""
    # hostaddr, options and target_session_attrs override libpq's environment variables.
    hosts = ",".join(str(each) for each in sockets)
    return (
        f"host='{hosts}' port=5432 dbname=postgres user=postgres hostaddr='' options='' target_session_attrs={target}"
    )


def socket_folder(folder: Path, account: Account) -> Path:
    """Return the data folder, or a short one in /tmp: a socket's path is limited, and libpq splits it at commas."""
    if len(os.fsencode(folder)) <= _LONGEST_SOCKET_FOLDER and not set(str(folder)) & set(",\"'\\"):
        return folder
    name = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    short = Path("/tmp", f"pendingctl-{account.uid}-{name}")
    try:
        short.mkdir(mode=0o700)
        account.own(short)
    except FileExistsError:
        if short.is_symlink() or short.stat().st_uid != account.uid:
            raise InvalidInput(f"{short} belongs to another user; remove it, or choose another folder") from None
    return short
