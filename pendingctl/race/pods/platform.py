"""The chat platform of one pod of a race: what becomes of each card stands in the pod's history file."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from pathlib import Path
from random import Random
from urllib.parse import quote

from ...platforms import Card, MessageHandle, Reminder
from ..history.files import HistoryFile, card_record, reminder_record
from ..history.history import CardEdit, CardPost, ReminderPost
from ..plan.operations import PostTrouble
from ..plan.schedule import Moment
from .gate import Gate
from .wire import Assignment

# An edit lands so much later at most, and thereby also after one that was begun later.
SLOWEST_EDIT_SECONDS = 0.1


class RecordingPlatform:
    """Shows nothing, and records the cards that it was to show.

    The moments of a post at which a fault can be aimed are in here, and the trouble that a plan has with one.
    """

    can_find = False

    def __init__(self, assignment: Assignment, file: HistoryFile, gate: Gate) -> None:
        self._pod = assignment.name
        self._file = file
        self._gate = gate
        self._aims: dict[str, tuple[int, Moment]] = {}
        self._troubles: dict[str, PostTrouble] = {}
        self._numbers = count()
        self._random = Random(self._pod)

    def aim(self, question_id: str, order: int, moment: Moment) -> None:
        """Let the next post of this question's card wait at the gate at this moment."""
        self._aims[question_id] = (order, moment)

    def fail_once(self, question_id: str, trouble: PostTrouble) -> None:
        """Let the next post of this question's card fail."""
        self._troubles[question_id] = trouble

    async def post_card(self, _connection_id: str, card: Card) -> MessageHandle:
        """Record that a card is there."""
        order, moment = self._aims.pop(card.question_id, (0, None))
        trouble = self._troubles.pop(card.question_id, None)
        if moment is Moment.BEFORE_POST:
            await self._gate.wait(order)
        if trouble is PostTrouble.NOT_SHOWN:
            raise ConnectionError(trouble)
        name = f"{self._pod} {next(self._numbers)}"
        is_lost = trouble is not None or moment is Moment.AFTER_POST
        post = CardPost(self._pod, name, card.question_id, card.ask_number, is_lost, self.can_find)
        self._show(card, post)
        if moment is Moment.AFTER_POST:
            await self._gate.wait(order)
        if trouble is PostTrouble.SHOWN:
            raise ConnectionError(trouble)
        return [card.question_id, name]

    def _show(self, _card: Card, post: CardPost) -> None:
        self._file.append(card_record(post))

    async def edit_card(self, _connection_id: str, handle: MessageHandle, card: Card) -> None:
        """Record what a card says from now on."""
        assert isinstance(handle, list)
        question_id, name = handle
        await asyncio.sleep(self._random.uniform(0, SLOWEST_EDIT_SECONDS))
        text = card.said.text() if card.said else card.text
        self._file.append(card_record(CardEdit(self._pod, name, question_id, text, time.monotonic_ns())))

    async def post_reminder(self, _connection_id: str, _handle: MessageHandle, reminder: Reminder) -> None:
        """Record that a reminder is there."""
        now = time.monotonic_ns()
        posted = ReminderPost(self._pod, reminder.question_id, reminder.ask_number, reminder.is_escalation, now)
        self._file.append(reminder_record(posted))


class FindingPlatform(RecordingPlatform):
    """Can look for a card that any pod has posted. What it shows stands in the history's folder `platform`."""

    can_find = True

    def __init__(self, assignment: Assignment, file: HistoryFile, gate: Gate) -> None:
        super().__init__(assignment, file, gate)
        self._shown = Path(assignment.history, "platform")
        self._shown.mkdir(exist_ok=True)

    async def find_card(self, _connection_id: str, card: Card) -> MessageHandle | None:
        """Return the handle of a card that is there."""
        try:
            return [card.question_id, self._path(card).read_text()]
        except FileNotFoundError:
            return None

    def _show(self, card: Card, post: CardPost) -> None:
        super()._show(card, post)
        self._path(card).write_text(post.card)

    def _path(self, card: Card) -> Path:
        return self._shown / quote(card.key, safe="")


def platform_for(assignment: Assignment, file: HistoryFile, gate: Gate) -> RecordingPlatform:
    """Return the platform of a race: of two seeds one races on a platform that can find cards."""
    can_find = assignment.settings.seed % 2 == 0
    return (FindingPlatform if can_find else RecordingPlatform)(assignment, file, gate)
