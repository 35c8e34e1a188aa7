"""Whether a server keeps what it has acknowledged."""

from __future__ import annotations

import logging
from functools import cache

# A throw-away server writes nothing to last, and says by this name that it does not mean to.
THROWAWAY_CLUSTER = "pendingctl_throwaway"

_log = logging.getLogger(__name__)


@cache
def report_fsync_off() -> None:
    """Warn, once in a process: that has one server in general, and a pool makes connections all the time."""
    _log.warning("the server has fsync = off: a crash of its machine loses accepted answers; turn it on")
