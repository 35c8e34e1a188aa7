"""The puts of one pod of a race: through its bridge, through its store, and as an application does."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from functools import partial

from ...errors import PendingctlError
from ...model import ENDED, NEW_ASKINGS, Stored
from ...pod.bridge import InteractionBridge
from ...postgres.connections import Borrowed
from ...store import IfAnswered, PendingStore
from ..history.history import Outcome, Reason, Reported
from ..plan.operations import PlannedOperation, PlannedQuestion, Transaction
from ..plan.schedule import FaultKind
from ..rows import move_into_the_past
from . import wire
from .platform import RecordingPlatform
from .recording import Note, RecordingSource

# Longer than it takes until some pod looks for a card to post.
ROLLED_BACK_AFTER_SECONDS = 0.2
# How long a note about a card may take, while connections are lost and the server is away.
NOTED_SECONDS = 10.0
NOTED_POLL_SECONDS = 0.02


class Puts:
    """Puts questions."""

    def __init__(
        self,
        assignment: wire.Assignment,
        source: RecordingSource,
        store: PendingStore,
        bridge: InteractionBridge,
        platform: RecordingPlatform,
    ) -> None:
        self._source = source
        self._store = store
        self._bridge = bridge
        self._platform = platform
        self._moves_into_the_past = FaultKind.SWEEP in assignment.settings.faults

    async def carry_out(self, question: PlannedQuestion, note: Note) -> tuple[Outcome, Reported]:
        """Put as planned, and return what came of it. Raises as `PendingStore.put` does."""
        if note.planned.posts:
            return await self._post(question, note)
        if note.planned.transaction is not None:
            return await self._put_as_application(question, note.planned)
        return await self._put(question, note.planned)

    async def _put(self, question: PlannedQuestion, planned: PlannedOperation) -> tuple[Outcome, Reported]:
        if_answered: IfAnswered = "reopen" if planned.reopens else "keep"
        put = partial(
            self._store.put,
            planned.question_id,
            planned.scope,
            question.edition(planned.edition).payload(),
            request_key=planned.request_key,
            if_answered=if_answered,
        )
        if self._moves_into_the_past and question.is_extra:
            async with Borrowed(self._source) as connection, connection.transaction():
                stored = await put(connection=connection)
                if stored.outcome in NEW_ASKINGS:
                    await move_into_the_past(connection, stored.id)
        else:
            stored = await put()
        return _outcome_of_put(question, planned, stored)

    async def _post(self, question: PlannedQuestion, note: Note) -> tuple[Outcome, Reported]:
        planned = note.planned
        if planned.trouble is not None:
            self._platform.fail_once(planned.question_id, planned.trouble)
        await self._bridge.ask(question.edition(planned.edition), event_id=planned.request_key or "")
        if note.stored is None:
            # This pod has seen the event.
            return Outcome.FAILED, Reported()
        return _outcome_of_put(question, planned, note.stored)

    async def _put_as_application(
        self, question: PlannedQuestion, planned: PlannedOperation
    ) -> tuple[Outcome, Reported]:
        """Put as an application does in a transaction of its own, and leave the card to the pods."""
        asked = question.edition(planned.edition)
        rolls_back = planned.transaction is Transaction.ROLLS_BACK
        async with (
            Borrowed(self._source) as connection,
            connection.transaction(force_rollback=rolls_back),
        ):
            stored = await self._store.put(
                *(planned.question_id, planned.scope, asked.payload()),
                show=True,
                request_key=planned.request_key,
                stream=asked.stream,
                connection=connection,
                **asked.schedule(),
            )
            if rolls_back:
                await asyncio.sleep(ROLLED_BACK_AFTER_SECONDS)
        if rolls_back:
            return Outcome.REFUSED, Reported(Reason.ROLLED_BACK)
        return _outcome_of_put(question, planned, stored)

    async def until_noted(self, note: Note) -> None:
        """Wait until the row knows that its card was posted: with this pod that would be lost."""
        stored = note.stored
        if stored is None or not stored.is_to_be_posted or note.planned.trouble is not None:
            return
        deadline = time.monotonic() + NOTED_SECONDS
        while time.monotonic() < deadline:
            with suppress(PendingctlError):
                row = await self._store.inspection.get(stored.id)
                if row is None or row.ask_number != stored.ask_number or row.posted_at is not None:
                    return
            await asyncio.sleep(NOTED_POLL_SECONDS)


def _outcome_of_put(question: PlannedQuestion, planned: PlannedOperation, stored: Stored) -> tuple[Outcome, Reported]:
    if stored.outcome in ENDED:
        return Outcome.REFUSED, Reported(Reason(stored.outcome.value))
    if stored.outcome in NEW_ASKINGS:
        wire.report(wire.ASKED, f"{question.label} {stored.ask_number} {planned.edition}")
    # A refreshed row's time may have been moved into the past.
    created = stored.created_at if stored.outcome in NEW_ASKINGS else None
    return Outcome.OK, Reported(at=created, ask_number=stored.ask_number, put=stored.outcome)
