"""What became of cards, noted in the database a moment later, all of it together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from contextlib import suppress
from contextvars import Context
from datetime import timedelta
from typing import Protocol

from ..errors import DatabaseUnreachable
from ..leased import EditedCard, PostedCard
from ..postgres.outages import Outage
from ..schedule import MAX_AGE

# Nobody waits for the notes, and nobody clicks sooner; a busy pod writes many of them at once.
NOTE_SECONDS = 0.1
RETRY_SECONDS = 1.0
LAST_TRIES = 3
MOST_FAILURES = 5
MOST_NOTES = 10_000

_log = logging.getLogger(__name__)


class CardMarks(Protocol):
    """What the notes ask of `store.leases`. Each returns the ids of rows that are locked, to be noted later."""

    async def mark_posted(self, posted: Collection[PostedCard], *, max_age: timedelta = MAX_AGE) -> set[str]:
        """Note that cards were posted."""
        ...

    async def mark_edited(self, edited: Collection[EditedCard]) -> set[str]:
        """Note that cards were edited."""
        ...


class CardNotes:
    """Gathers notes about cards and writes them together.

    A pod that dies before leaves a card that another edits once more, or one that counts as never posted. Notes wait
    while the database is away and while their row is locked; after an error they are tried again a few times. `max_age`
    is when an unanswered question's card is due for an edit.
    """

    def __init__(self, marks: CardMarks, *, max_age: timedelta = MAX_AGE) -> None:
        self._marks = marks
        self._max_age = max_age
        # By question and ask number: of two notes about the same card the later one holds.
        self._posted: dict[tuple[str, int], PostedCard] = {}
        self._edited: dict[tuple[str, int], EditedCard] = {}
        self._task: asyncio.Task[None] | None = None
        self._outage = Outage(_log)
        self._failures = 0

    def __len__(self) -> int:
        return len(self._posted) + len(self._edited)

    def posted(self, note: PostedCard) -> None:
        """Note soon that a card was posted."""
        self._posted[note.question_id, note.ask_number] = note
        self._write_soon()

    def edited(self, note: EditedCard) -> None:
        """Note soon that a card was edited."""
        self._edited[note.question_id, note.ask_number] = note
        self._write_soon()

    async def close(self, *, within: timedelta) -> None:
        """Write what is left, `within` that time; what cannot be written in a few tries is given up."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=within.total_seconds())
        with suppress(TimeoutError):
            async with asyncio.timeout(within.total_seconds()):
                for number in range(LAST_TRIES):
                    if number > 0:
                        await asyncio.sleep(NOTE_SECONDS)
                    if await self._write() or self._outage.is_on:
                        break
        self._give_up("the pod closes")

    def _write_soon(self) -> None:
        if self._task is None or self._task.done():
            # Not about the question whose note is the first.
            self._task = asyncio.create_task(self._write_in_time(), name="notes about cards", context=Context())

    async def _write_in_time(self) -> None:
        pause = NOTE_SECONDS
        while len(self):
            await asyncio.sleep(pause)
            pause = NOTE_SECONDS if await self._write() else RETRY_SECONDS

    async def _write(self) -> bool:
        """Write the notes that there are, and return whether none of them has to wait."""
        posted, self._posted = self._posted, {}
        edited, self._edited = self._edited, {}
        try:
            # In this order: a card that was never posted cannot have been edited.
            if posted:
                locked = await self._marks.mark_posted(posted.values(), max_age=self._max_age)
                posted = {key: note for key, note in posted.items() if note.question_id in locked}
            if edited:
                locked = await self._marks.mark_edited(edited.values())
                edited = {key: note for key, note in edited.items() if note.question_id in locked}
            self._failures = 0
            self._outage.over()
        except DatabaseUnreachable as error:
            self._outage.report("%d notes about cards have to wait: %s", len(posted) + len(edited), error)
        except Exception as error:  # noqa: BLE001 (one note that cannot be written must not keep back all others)
            self._failures += 1
            if self._failures == MOST_FAILURES:
                _log.warning("%d notes about cards are given up: %s", len(posted) + len(edited), error)
                posted, edited, self._failures = {}, {}, 0
        finally:
            self._posted = {**posted, **self._posted}
            self._edited = {**edited, **self._edited}
        if len(self) > MOST_NOTES:
            self._give_up("there are too many")
        return not posted and not edited

    def _give_up(self, why: str) -> None:
        if len(self):
            _log.warning("%d notes about cards are given up: %s", len(self), why)
        self._posted, self._edited = {}, {}
