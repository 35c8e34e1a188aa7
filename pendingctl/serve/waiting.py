"""Requests that wait for a question to end: one look for all of them, twice a second."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from ..errors import PendingctlError
from ..inspected import State
from ..postgres.outages import Outage
from ..store.inspection import Inspection

LOOK_SECONDS = 0.5
# Each holds a connection of its client's; one more gets its reply at once.
MOST_WAITING = 1_000
_OPEN = frozenset({State.PENDING, State.STALE})

_log = logging.getLogger(__name__)


class Waiting:
    """What waits, by the question's id. Run `look` as a task; `end` lets all go."""

    def __init__(self, inspection: Inspection) -> None:
        self._inspection = inspection
        self._waiting: dict[str, list[asyncio.Event]] = {}
        self._has_begun = asyncio.Event()
        self._has_ended = False
        self._outage = Outage(_log)

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    async def until_ended(self, question_id: str, seconds: float) -> None:
        """Return when the question has ended, or is gone, or after this time; at once when too many wait already."""
        if self._has_ended or len(self) >= MOST_WAITING:
            return
        ended = asyncio.Event()
        self._waiting.setdefault(question_id, []).append(ended)
        self._has_begun.set()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await ended.wait()
        finally:
            waiting = self._waiting[question_id]
            waiting.remove(ended)
            if not waiting:
                del self._waiting[question_id]

    def end(self) -> None:
        """Let all that waits go, and nobody wait any more: the pod closes."""
        self._has_ended = True
        for ended in self._waiting.values():
            for each in ended:
                each.set()

    async def look(self) -> None:
        """Look for as long as the pod lives. An outage of the database lets everybody wait on."""
        while True:
            await self._has_begun.wait()
            self._has_begun.clear()
            while self._waiting:
                await asyncio.sleep(LOOK_SECONDS)
                try:
                    await self._look_once()
                    self._outage.over()
                except PendingctlError as error:
                    self._outage.report("what questions wait for cannot be read for now: %s", error)

    async def _look_once(self) -> None:
        ids = list(self._waiting)
        rows = await self._inspection.summaries(ids)
        open_ids = {row.id for row in rows if row.state in _OPEN}
        for id in ids:
            if id not in open_ids:
                for ended in self._waiting.get(id, ()):
                    ended.set()
