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
# Each holds a connection of its client's. One more takes the place of whoever waits for longest of the organization
# that waits most; of that organization's own requests one more gets its reply at once.
MOST_WAITING = 1_000
_OPEN = frozenset({State.PENDING, State.STALE})

_log = logging.getLogger(__name__)


class Waiting:
    """What waits, by the question's id. Run `look` as a task; `end` lets all go."""

    def __init__(self, inspection: Inspection) -> None:
        self._inspection = inspection
        self._waiting: dict[str, list[asyncio.Event]] = {}
        # The same by organization, in the order of their arrival.
        self._of: dict[str, dict[asyncio.Event, None]] = {}
        self._has_begun = asyncio.Event()
        self._has_ended = False
        self._outage = Outage(_log)

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))

    async def until_ended(self, organization_id: str, question_id: str, seconds: float) -> None:
        """Return when the question has ended, or is gone, or after this time; sooner when too many wait."""
        if self._has_ended or not self._has_room(organization_id):
            return
        ended = asyncio.Event()
        self._waiting.setdefault(question_id, []).append(ended)
        self._of.setdefault(organization_id, {})[ended] = None
        self._has_begun.set()
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await ended.wait()
        finally:
            self._forget(organization_id, question_id, ended)

    def _has_room(self, organization_id: str) -> bool:
        """Return whether one more may wait; another organization that waits more gives up a place for it."""
        if len(self) < MOST_WAITING:
            return True
        # Those that were let go are there until they have noticed.
        waiting = {id: [each for each in of if not each.is_set()] for id, of in self._of.items()}
        most = max(waiting, key=lambda id: len(waiting[id]))
        if len(waiting[most]) <= len(waiting.get(organization_id, ())) + 1:
            return False
        waiting[most][0].set()
        return True

    def _forget(self, organization_id: str, question_id: str, ended: asyncio.Event) -> None:
        waiting, of = self._waiting[question_id], self._of[organization_id]
        waiting.remove(ended)
        if not waiting:
            del self._waiting[question_id]
        del of[ended]
        if not of:
            del self._of[organization_id]

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
