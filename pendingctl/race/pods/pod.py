"""One pod of a race: it has its own bridge and connections, and carries out the orders on its stdin (see `wire`).

It is gone soon after its stdin has ended.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

from ...errors import PendingctlError
from ...model import Click, Withdrawal
from ...pod.bridge import REPLY_WITHIN, InteractionBridge
from ...postgres.connections import Connection, Pool, open_pool
from ...store import PendingStore
from ..history.files import HistoryFile
from ..history.history import DECIDED, Outcome, Reason, Reported
from ..plan.cards import CARD_MAX_AGE_MS
from ..plan.extra import SWEEP_MAX_AGE
from ..plan.operations import OperationKind, PlannedOperation, PlannedQuestion
from ..plan.plan import plan_question
from ..plan.schedule import AT_A_POST, AT_AN_APPEND, LEASE
from ..rows import APPLICATION, server_time
from . import wire
from .asker import Askers
from .controls import bridge_for, store_for
from .gate import Gate
from .lifetime import EXIT_WITHIN_SECONDS, WAIT_SECONDS, connected, exit_within
from .platform import RecordingPlatform, platform_for
from .puts import Puts
from .recording import Note, Recorder, RecordingSource, RecordingStore, current_note, outcome_of_error
from .streams import RacingStreams
from .worker import Worker

# How long a click's claim may outlast the bridge's reply before its outcome counts as unknown.
CLAIM_SECONDS = 20.0
# A click whose outcome is unknown is tried once more, this often, until so long after the first try.
RETRY_SECONDS = 0.1
RESOLVE_SECONDS = 20.0
# Small: a sweep then takes several batches.
SWEEP_BATCH_SIZE = 2


class Pod:
    """Carries out the orders of one pod."""

    def __init__(
        self,
        assignment: wire.Assignment,
        source: RecordingSource,
        store: PendingStore,
        recorder: Recorder,
        bridge: InteractionBridge,
        platform: RecordingPlatform,
        worker: Worker,
        gate: Gate,
        askers: Askers,
        puts: Puts,
        streams: RacingStreams,
    ) -> None:
        self._assignment = assignment
        self._source = source
        self._store = store
        self._recorder = recorder
        self._bridge = bridge
        self._platform = platform
        self._worker = worker
        self._gate = gate
        self._askers = askers
        self._puts = puts
        self._streams = streams
        self._plan: dict[str, PlannedQuestion] = {}

    def plan_ahead(self) -> None:
        """Compute the plan ahead where its length is known: no click then waits for it."""
        settings = self._assignment.settings
        if settings.duration_seconds is None:
            for number in range(settings.questions):
                self._planned(f"q{number}")

    async def carry_out(self, order: wire.Order) -> None:
        """Fire what an order names, and report when all of it has ended."""
        questions = [self._planned(label) for label in order.labels]
        chosen = [
            (question, each)
            for question in questions
            for each in (question.operations if order.again else question.bursts[order.burst].operations)
            if order.only in (None, each.name) and order.without != each.name
            if order.again or each.pod == self._assignment.number
        ]
        if order.aim_delivery in AT_AN_APPEND:
            for question in questions:
                self._streams.aim(question.question.id, order.number)
        elif order.aim_delivery is not None:
            await self._source.check()
            aim = self._platform.aim if order.aim_delivery in AT_A_POST else self._worker.aim
            for _, planned in chosen:
                aim(planned.question_id, order.number, order.aim_delivery)
        if len(chosen) == 1:
            await self._fire(*chosen[0], order)
        else:
            await asyncio.gather(*(self._fire(question, planned, order) for question, planned in chosen))
        if order.burst > 0:
            for question in questions:
                await self._askers.end(question.question.id)
        wire.report(wire.DONE, str(order.number))

    def _planned(self, label: str) -> PlannedQuestion:
        if label not in self._plan:
            self._plan[label] = plan_question(self._assignment.settings, self._assignment.names, label)
        return self._plan[label]

    async def _fire(self, question: PlannedQuestion, planned: PlannedOperation, order: wire.Order) -> None:
        if planned.after_ms:
            await asyncio.sleep(planned.after_ms / 1000)
        note = Note(_at_its_card(question, planned, order.askings[order.labels.index(question.label)]))
        if order.aim:
            note.aim = partial(self._gate.wait, order.number)
        current_note.set(note)
        if planned.kind is OperationKind.CLAIM:
            await self._click_until_decided(note)
            return
        if planned.kind is OperationKind.ASK:
            current_note.set(None)
            aim = partial(self._gate.wait, order.number) if order.aim else None
            await self._askers.begin(question, planned, aim)
            return
        self._recorder.begin(note)
        try:
            match planned.kind:
                case OperationKind.PUT:
                    outcome, reported = await self._puts.carry_out(question, note)
                case OperationKind.WITHDRAW:
                    outcome, reported = await self._withdraw(planned)
                case OperationKind.DELETE:
                    outcome, reported = await self._delete(planned)
                case OperationKind.SWEEP:
                    outcome, reported = await self._sweep(planned)
        except PendingctlError as error:
            outcome, reason = outcome_of_error(error)
            self._recorder.end(note, outcome, Reported(reason), str(error))
        else:
            self._recorder.end(note, outcome, reported)
        self._recorder.write(note)
        if planned.posts:
            await self._puts.until_noted(note)

    async def _click_until_decided(self, note: Note) -> None:
        """Click, and while the outcome is unknown click again as the platform would, with the same delivery key."""
        deadline = time.monotonic() + RESOLVE_SECONDS
        outcome = await self._click(note)
        in_doubt = outcome is Outcome.UNKNOWN
        # One that fails afterwards leaves the first one in doubt.
        while in_doubt and outcome not in DECIDED and time.monotonic() < deadline:
            await asyncio.sleep(RETRY_SECONDS)
            note = Note(note.planned)
            current_note.set(note)
            outcome = await self._click(note)

    async def _click(self, note: Note) -> Outcome:
        planned = note.planned
        scope = planned.scope
        began = time.monotonic()
        reply = await self._bridge.click(
            Click(
                question_id=planned.question_id,
                organization_id=scope.organization_id,
                connection_id=scope.connection_id,
                user_id=scope.expected_user_id,
                delivery_key=planned.delivery_key or "",
                value=planned.value if planned.option is None else None,
                ask_number=planned.ask_number,
                option=planned.option,
            )
        )
        is_cut_short = time.monotonic() - began >= REPLY_WITHIN.total_seconds()
        if note.number is None:
            # It is claimed no more by now, or a moment later: which of them is unknown.
            self._recorder.begin(note)
            self._recorder.end(note, Outcome.UNKNOWN, detail="its turn did not come in time")
        if not note.ended.is_set():
            try:
                async with asyncio.timeout(CLAIM_SECONDS):
                    await note.ended.wait()
            except TimeoutError:
                return Outcome.UNKNOWN
        if is_cut_short and note.outcome is Outcome.FAILED:
            # The claim outlasts the reply, and may be between two tries, the second of which may win.
            note.outcome = Outcome.UNKNOWN
        self._recorder.write(note, reply.kind.value)
        return note.outcome

    async def _withdraw(self, planned: PlannedOperation) -> tuple[Outcome, Reported]:
        match await self._store.withdraw(planned.question_id, planned.scope):
            case Withdrawal.WITHDRAWN:
                return Outcome.OK, Reported()
            case Withdrawal.ALREADY_WITHDRAWN:
                return Outcome.REFUSED, Reported(Reason.WITHDRAWN)
            case Withdrawal.ALREADY_EXPIRED:
                return Outcome.REFUSED, Reported(Reason.EXPIRED)
            case Withdrawal.ALREADY_ANSWERED:
                return Outcome.REFUSED, Reported(Reason.ALREADY_ANSWERED)
            case Withdrawal.UNKNOWN:
                return Outcome.REFUSED, Reported(Reason.NO_SUCH_ROW)

    async def _delete(self, planned: PlannedOperation) -> tuple[Outcome, Reported]:
        if await self._store.delete(planned.question_id, planned.scope):
            return Outcome.OK, Reported()
        return Outcome.REFUSED, Reported(Reason.NO_SUCH_ROW)

    async def _sweep(self, planned: PlannedOperation) -> tuple[Outcome, Reported]:
        taken: list[str] = []
        batches = self._store.sweep(max_age=SWEEP_MAX_AGE, limit=planned.limit, batch_size=SWEEP_BATCH_SIZE)
        try:
            async for ids in batches:
                taken += ids
            now = await server_time(self._source)
        except PendingctlError:
            if not taken:
                raise
            # Some batches are gone for good; what became of the others is unknown.
            return Outcome.UNKNOWN, Reported(ids=tuple(taken))
        return Outcome.OK, Reported(at=now, ids=tuple(taken))


def _at_its_card(
    question: PlannedQuestion, planned: PlannedOperation, known: Sequence[Sequence[int]]
) -> PlannedOperation:
    """Return a click with what the button carries that it presses, if its asking is known by now."""
    if planned.asking is None or not known:
        return planned
    place = planned.asking - 1 if planned.asking > 0 else max(planned.asking, -len(known))
    ask_number, edition = known[place]
    shown = question.edition(edition).options
    option = shown.index(planned.value) if planned.by_option and planned.value is not None else None
    return replace(planned, ask_number=ask_number, option=option)


async def serve(assignment: wire.Assignment, coordinator: asyncio.StreamReader) -> None:
    """Carry out the coordinator's orders, until its lines end.

    Raises DatabaseUnreachable when the connections cannot be had in time.
    """
    file = HistoryFile(Path(assignment.history, f"{assignment.name}.jsonl"))
    recorder = Recorder(assignment.name, file)
    async with _connections(assignment) as pool:
        await connected(pool, assignment.connections)
        source = RecordingSource(pool)
        store = store_for(
            assignment.settings.implementation, source, application=assignment.names.application, pod=assignment.name
        )
        gate = Gate()
        worker = Worker(assignment, file, recorder, source, gate)
        platform = platform_for(assignment, file, gate)
        streams = RacingStreams(assignment, source, gate)
        recording = RecordingStore(store, recorder)
        bridge = bridge_for(assignment.settings.implementation)(
            recording,
            platform,
            worker,
            lease=LEASE,
            max_age=timedelta(milliseconds=CARD_MAX_AGE_MS),
            streams=streams,
        )
        # Before any question ends: of one that ends sooner the worker would not hear.
        await store.leases.hear(worker.outcomes)
        async with bridge:
            for organization in (assignment.names.organization_id, assignment.names.foreign_organization_id):
                for connection in assignment.names.connections:
                    bridge.register(organization, connection)
            askers = Askers(assignment, file, recorder, store)
            puts = Puts(assignment, source, store, bridge, platform)
            pod = Pod(assignment, source, store, recorder, bridge, platform, worker, gate, askers, puts, streams)
            pod.plan_ahead()
            wire.report(wire.READY, f"{time.time():.3f}")
            async with asyncio.TaskGroup() as orders:
                try:
                    while line := await coordinator.readline():
                        if line == wire.GO:
                            gate.open()
                        else:
                            orders.create_task(pod.carry_out(wire.decode_order(line)))
                finally:
                    # Also where an order was the first to find that the coordinator no longer reads.
                    exit_within(EXIT_WITHIN_SECONDS)
        await streams.settled()
    file.close()
    wire.report(wire.ENDED)


def _connections(assignment: wire.Assignment) -> Pool:
    async def limit_statements(connection: Connection) -> None:
        # Behind a pooler, where nothing is prepared, the session serves another client a moment later.
        if assignment.statement_timeout_ms is not None and connection.prepare_threshold is not None:
            await connection.execute(f"set statement_timeout = {assignment.statement_timeout_ms:d}")

    return open_pool(
        assignment.dsn,
        application=APPLICATION,
        min_size=assignment.connections,
        max_size=assignment.connections,
        timeout=WAIT_SECONDS,
        configure=limit_statements,
    )
