"""The worker of one pod of a race: the sink to which its bridge delivers how questions have ended."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import count

from ...errors import PendingctlError
from ...leased import LeasedAnswer
from ...model import Scope
from ...postgres.connections import Borrowed
from ...sinks import Marks
from ..history.files import HistoryFile, hand_over_record
from ..history.history import HandOver, Outcome, Reason, Reported
from ..plan.operations import OperationKind, PlannedOperation
from ..plan.schedule import Moment
from .controls import marks_before_it_delivers
from .gate import Gate
from .recording import Note, Recorder, RecordingSource, current_note, outcome_of_error
from .wire import Assignment

# Longer than a hand-over may take.
HANG_SECONDS = 3.0


class Worker:
    """Writes each ending that is handed over to the pod's history file, before it is marked.

    `outcomes` are those of which it hears. The moments of a delivery at which a fault can be aimed are in here.
    """

    def __init__(
        self, assignment: Assignment, file: HistoryFile, recorder: Recorder, source: RecordingSource, gate: Gate
    ) -> None:
        self.outcomes = assignment.settings.heard
        self._assignment = assignment
        self._file = file
        self._recorder = recorder
        self._source = source
        self._gate = gate
        self._marks_first = marks_before_it_delivers(assignment.settings.implementation)
        self._aims: dict[str, tuple[int, Moment]] = {}
        self._numbers = count()

    def aim(self, question_id: str, order: int, moment: Moment) -> None:
        """Let the next delivery of this question's answer wait at the gate at this moment."""
        self._aims[question_id] = (order, moment)

    async def deliver(self, leased: LeasedAnswer, marks: Marks) -> bool:
        """Hand the answer over and then mark it; one control does so in the opposite order."""
        answer = leased.answer
        order, moment = self._aims.pop(answer.question_id, (0, None))
        scope = Scope(answer.organization_id, answer.connection_id, answer.user_id)
        planned = PlannedOperation(
            f"{answer.question_id.removeprefix(f'{self._assignment.names.run}-')}.delivery {next(self._numbers)}",
            self._assignment.number,
            OperationKind.DELIVER,
            answer.question_id,
            scope,
            value=answer.value,
            ask_number=answer.ask_number,
        )
        note = Note(planned)
        current_note.set(note)
        self._recorder.begin(note)
        is_marking = False
        try:
            if leased.attempt == 1 and planned.name.startswith("h"):
                await asyncio.sleep(HANG_SECONDS)
            marked = True
            if self._marks_first:
                marked = await marks.mark_delivered(leased)
            if moment is Moment.BEFORE_DELIVERY:
                async with Borrowed(self._source) as connection:
                    await self._gate.wait(order, connection)
            handed = HandOver(
                self._assignment.name,
                answer.question_id,
                answer.ask_number,
                answer.value,
                answer.user_id,
                answer.conversation_id,
                outcome=answer.outcome,
            )
            self._file.append(hand_over_record(handed))
            if moment is Moment.BEFORE_MARK:
                note.aim = partial(self._gate.wait, order)
            is_marking = True
            if not self._marks_first:
                marked = await marks.mark_delivered(leased)
        except BaseException as error:
            unknown = is_marking and not (
                isinstance(error, PendingctlError) and outcome_of_error(error)[0] is Outcome.FAILED
            )
            self._recorder.end(note, Outcome.UNKNOWN if unknown else Outcome.FAILED, detail=f"{type(error).__name__}")
            raise
        else:
            lost = Reported(Reason.LEASE_LOST)
            self._recorder.end(note, Outcome.OK if marked else Outcome.REFUSED, Reported() if marked else lost)
            return marked
        finally:
            self._recorder.write(note)
            current_note.set(None)
