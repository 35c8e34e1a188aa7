"""Askers that wait for their answers, on one pod of a race."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias

from ...asking import ask
from ...errors import PendingctlError
from ...model import Answer, NoAnswer, PutOutcome
from ...store import PendingStore
from ..history.files import HistoryFile, hand_over_record
from ..history.history import HandOver, Outcome, Reason, Reported
from ..plan.extra import GIVES_UP_AFTER
from ..plan.operations import Fate, OperationKind, PlannedOperation, PlannedQuestion
from . import wire
from .controls import marks_before_it_prints
from .recording import Note, Recorder, outcome_of_error
from .wire import Assignment

# Longer than any click of a race is late.
WAITS = timedelta(seconds=30)
LOOK_SECONDS = 0.01


# Awaited once, where a fault is to strike.
Aim: TypeAlias = Callable[[], Awaitable[None]]


class _Cancelled(Exception):
    """What ends an asker between the answer and its hand-over."""


class Askers:
    """The askers of one pod. `begin` returns when the question is stored, `end` when its asker has ended."""

    def __init__(self, assignment: Assignment, file: HistoryFile, recorder: Recorder, store: PendingStore) -> None:
        self._name = assignment.name
        self._marks_first = marks_before_it_prints(assignment.settings.implementation)
        self._file = file
        self._recorder = recorder
        self._store = store
        self._waiting: dict[str, asyncio.Task[None]] = {}

    async def begin(self, question: PlannedQuestion, planned: PlannedOperation, aim: Aim | None = None) -> None:
        """Ask, and let the asker wait in the background; `aim` is awaited between its answer and the last step."""
        put = Note(replace(planned, kind=OperationKind.PUT))
        self._recorder.begin(put)
        task = asyncio.create_task(self._ask(question, planned, aim), name=planned.name)
        self._waiting[planned.question_id] = task
        while not task.done():
            try:
                row = await self._store.inspection.get(planned.question_id)
            except PendingctlError:
                # On a connection that an earlier fault has cut; the next one is another.
                row = None
            if row is not None:
                self._recorder.end(put, Outcome.OK, Reported(ask_number=row.ask_number, put=PutOutcome.CREATED))
                self._recorder.write(put)
                wire.report(wire.ASKED, f"{question.label} {row.ask_number} {planned.edition}")
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def end(self, question_id: str) -> None:
        """Wait for the question's asker, if one waits here."""
        if (task := self._waiting.pop(question_id, None)) is not None:
            await task

    async def _ask(self, question: PlannedQuestion, planned: PlannedOperation, aim: Aim | None) -> None:
        note = Note(planned)
        self._recorder.begin(note)
        try:
            outcome, reported = await self._take(question, planned, aim)
        except PendingctlError as error:
            # Whether it was marked, and whose the answer is, is unknown.
            failed, reason = outcome_of_error(error)
            self._recorder.end(note, Outcome.UNKNOWN if reason is None else failed, Reported(reason), str(error))
        except _Cancelled:
            self._recorder.end(note, Outcome.REFUSED, Reported(Reason.CANCELLED))
        else:
            self._recorder.end(note, outcome, reported)
        self._recorder.write(note)

    async def _take(
        self, question: PlannedQuestion, planned: PlannedOperation, aim: Aim | None
    ) -> tuple[Outcome, Reported]:
        within = GIVES_UP_AFTER if planned.fate is Fate.GIVES_UP else WAITS
        async with ask(self._store, question.question, timeout=within) as answer:
            if isinstance(answer, Answer) and not self._marks_first:
                self._hand_on(planned, answer)
                await _wait_for(aim)
        if isinstance(answer, Answer) and self._marks_first:
            await _wait_for(aim)
            self._hand_on(planned, answer)
        if isinstance(answer, Answer):
            return Outcome.OK, Reported(answer=answer.value, ask_number=answer.ask_number)
        return Outcome.REFUSED, Reported(Reason.NO_SUCH_ROW if answer is NoAnswer.GONE else Reason(answer.value))

    def _hand_on(self, planned: PlannedOperation, answer: Answer) -> None:
        if planned.fate is Fate.CANCELLED:
            raise _Cancelled
        handed = HandOver(
            self._name,
            answer.question_id,
            answer.ask_number,
            answer.value,
            answer.user_id,
            answer.conversation_id,
            by_asker=True,
            outcome=answer.outcome,
        )
        self._file.append(hand_over_record(handed))


async def _wait_for(aim: Aim | None) -> None:
    if aim is not None:
        await aim()
