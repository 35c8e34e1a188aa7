"""The one loop of a pod: about once a second it looks in the database for what other pods have left behind."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from ..errors import PendingctlError
from ..postgres.outages import Outage
from .background import LAST_SECONDS

POLL_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Loop:
    """Calls `look` every so many seconds between `start` and `close`, whatever it raises."""

    def __init__(self, look: Callable[[], Awaitable[None]], *, every: float = POLL_SECONDS) -> None:
        self._look = look
        self._every = every
        self._task: asyncio.Task[None] | None = None
        self._outage = Outage(_log)

    def start(self) -> None:
        """Begin, unless it has begun."""
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="loop of the pod")

    async def close(self) -> None:
        """Look no more; a look under way is broken off."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=LAST_SECONDS)
            self._task = None

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
                self._outage.over()
            except PendingctlError as error:
                self._outage.report("nothing can be taken over for now: %s", error)
            except Exception:  # noqa: BLE001 (the loop must outlive whatever it meets)
                _log.exception("nothing can be taken over for now")
            await asyncio.sleep(self._every)
