"""The chat platform of one pod of a race: what becomes of each card stands in the pod's history file."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from random import Random

from ...platforms import Card, MessageHandle, Reminder
from ..history.files import HistoryFile, card_record
from ..history.history import CardEdit, CardPost

# An edit lands so much later at most, and thereby also after one that was begun later.
SLOWEST_EDIT_SECONDS = 0.1


class RecordingPlatform:
    """Shows nothing, and records the cards that it was to show."""

    def __init__(self, pod: str, file: HistoryFile) -> None:
        self._pod = pod
        self._file = file
        self._numbers = count()
        self._random = Random(pod)

    async def post_card(self, _connection_id: str, card: Card) -> MessageHandle:
        """Record that a card is there."""
        name = f"{self._pod} {next(self._numbers)}"
        self._file.append(card_record(CardPost(self._pod, name, card.question_id, card.ask_number)))
        return [card.question_id, name]

    async def edit_card(self, _connection_id: str, handle: MessageHandle, card: Card) -> None:
        """Record what a card says from now on."""
        assert isinstance(handle, list)
        question_id, name = handle
        await asyncio.sleep(self._random.uniform(0, SLOWEST_EDIT_SECONDS))
        text = card.said.text() if card.said else card.text
        self._file.append(card_record(CardEdit(self._pod, name, question_id, text, time.monotonic_ns())))

    async def post_reminder(self, _connection_id: str, handle: MessageHandle, reminder: Reminder) -> None:
        """Show nothing: a race asks without reminders."""
        raise AssertionError(handle, reminder)
