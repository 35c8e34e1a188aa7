"""One pod of a race: it has its own bridge and its own connections, and does what it is told on stdin (see `wire`).

It is gone soon after its stdin has ended.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

from psycopg_pool import PoolTimeout

from ..errors import DatabaseUnreachable, PendingctlError
from ..model import Click, LeasedAnswer, PutOutcome, Scope
from ..platforms import Card, MessageHandle
from ..pod.bridge import InteractionBridge
from ..postgres.connections import Borrowed, Connection, Pool, open_pool
from ..sinks import Marks
from ..store import IfAnswered
from . import wire
from .controls import key_to_ask_again_with, marks_before_it_delivers, store_for
from .history import HandOver, Outcome, Reason, Told
from .history_files import HistoryFile, hand_over_record
from .plan import SWEEP_MAX_AGE, OperationKind, PlannedOperation, PlannedQuestion, plan_question
from .recording import Note, Recorder, RecordingSource, RecordingStore, noting, outcome_of_error
from .rows import APPLICATION, move_into_the_past, server_time
from .schedule import LEASE, FaultKind, Moment

CONNECT_SECONDS = 20.0
# How long a claim waits for a connection, while a server is away and comes back.
WAIT_SECONDS = 5.0
# How long a click's claim may outlast the bridge's reply before it counts as unknown.
CLAIM_SECONDS = 20.0
# An unknown outcome is asked for again, this often, until so long after the click.
ASK_AGAIN_SECONDS = 0.1
RESOLVE_SECONDS = 20.0
# Small, so that a sweep takes several batches.
SWEEP_BATCH_SIZE = 2
# Whatever hangs, nothing of a pod is left this long after the coordinator has gone.
LAST_BREATH_SECONDS = 8.0


class SilentPlatform:
    """A chat platform that shows nothing to anybody."""

    async def post_card(self, connection_id: str, card: Card) -> MessageHandle:
        """Show nothing."""
        return (connection_id, card.question_id)

    async def post_text(self, connection_id: str, conversation_id: str, text: str) -> MessageHandle:
        """Show nothing."""
        return (connection_id, conversation_id, text)

    async def edit_card(self, connection_id: str, handle: MessageHandle, text: str) -> None:
        """Show nothing."""


class Worker:
    """Takes the answers that this pod delivers: it writes down what it is given, before the mark.

    It is a sink, and the moments at which a fault can be aimed at a delivery are in it.
    """

    def __init__(
        self, orders: wire.Orders, file: HistoryFile, recorder: Recorder, source: RecordingSource, go: asyncio.Event
    ) -> None:
        self._orders = orders
        self._file = file
        self._recorder = recorder
        self._source = source
        self._go = go
        self._aims: dict[str, tuple[int, Moment]] = {}
        self._numbers = count()

    def aim(self, question_id: str, order: int, moment: Moment) -> None:
        """Let the next delivery of this question's answer wait at this moment for the word to go on."""
        self._aims[question_id] = (order, moment)

    async def deliver(self, leased: LeasedAnswer, marks: Marks) -> bool:
        """Hand the answer over and mark it, in this order; a control has it the other way round."""
        answer = leased.answer
        order, moment = self._aims.pop(answer.question_id, (0, None))
        scope = Scope(answer.organization_id, answer.connection_id, answer.user_id)
        planned = PlannedOperation(
            f"{answer.question_id.removeprefix(f'{self._orders.names.run}-')}.delivery {next(self._numbers)}",
            self._orders.number,
            OperationKind.DELIVER,
            answer.question_id,
            scope,
            value=answer.value,
            ask_number=answer.ask_number,
        )
        note = Note(planned)
        noting.set(note)
        self._recorder.begin(note)
        is_marking = False
        try:
            marked = True
            if marks_before_it_delivers(self._orders.settings.implementation):
                marked = await marks.mark_delivered(leased)
            if moment is Moment.BEFORE_DELIVERY:
                async with Borrowed(self._source) as connection:
                    await wait_for_go(self._go, order, connection)
            handed = HandOver(
                self._orders.name,
                answer.question_id,
                answer.ask_number,
                answer.value,
                answer.user_id,
                answer.conversation_id,
            )
            self._file.append(hand_over_record(handed))
            if moment is Moment.BEFORE_MARK:

                async def aim(connection: Connection) -> None:
                    await wait_for_go(self._go, order, connection)

                note.aim = aim
            is_marking = True
            if not marks_before_it_delivers(self._orders.settings.implementation):
                marked = await marks.mark_delivered(leased)
        except BaseException as error:
            unknown = is_marking and not (
                isinstance(error, PendingctlError) and outcome_of_error(error)[0] is Outcome.FAILED
            )
            self._recorder.end(note, Outcome.UNKNOWN if unknown else Outcome.FAILED, detail=f"{type(error).__name__}")
            raise
        else:
            lost = Told(Reason.LEASE_LOST)
            self._recorder.end(note, Outcome.OK if marked else Outcome.REFUSED, Told() if marked else lost)
            return marked
        finally:
            self._recorder.write(note)
            noting.set(None)


async def wait_for_go(go: asyncio.Event, order: int, connection: Connection) -> None:
    """Say that what an order has aimed at is about to happen, and wait for the word to go on."""
    # What waited before may have been given up over a pause, and the word for it came nevertheless.
    go.clear()
    say(wire.AIMED, f"{order} {_local_port(connection)}")
    await go.wait()


class Pod:
    """What one pod does with the operations that it is told to fire."""

    def __init__(
        self,
        orders: wire.Orders,
        source: RecordingSource,
        recorder: Recorder,
        bridge: InteractionBridge,
        worker: Worker,
        go: asyncio.Event,
    ) -> None:
        self._orders = orders
        self._implementation = orders.settings.implementation
        self._source = source
        self._recorder = recorder
        self._bridge = bridge
        self._worker = worker
        self._go = go
        self._store = store_for(self._implementation, source)
        self._plan: dict[str, PlannedQuestion] = {}
        self._moves_into_the_past = FaultKind.SWEEP in orders.settings.faults

    def plan_ahead(self) -> None:
        """Work the plan out where it is known how long it is, so that no click waits for that."""
        settings = self._orders.settings
        if settings.duration_seconds is None:
            for number in range(settings.questions):
                self._planned(f"q{number}")

    def go_on(self) -> None:
        """Let the aimed operation be sent."""
        self._go.set()

    async def fire(self, fire: wire.Fire) -> None:
        """Carry out what is to be fired, and say when all of it has ended."""
        questions = [self._planned(label) for label in fire.labels]
        chosen = [
            (question, each)
            for question in questions
            for each in (question.operations if fire.again else question.bursts[fire.burst].operations)
            if fire.only in (None, each.name) and fire.without != each.name
            if fire.again or each.pod == self._orders.number
        ]
        if fire.aim_delivery is not None:
            await self._source.check()
            for _, planned in chosen:
                self._worker.aim(planned.question_id, fire.order, fire.aim_delivery)
        if len(chosen) == 1:
            await self._carry_out(*chosen[0], fire)
        else:
            await asyncio.gather(*(self._carry_out(question, planned, fire) for question, planned in chosen))
        say(wire.DONE, str(fire.order))

    def _planned(self, label: str) -> PlannedQuestion:
        if label not in self._plan:
            self._plan[label] = plan_question(self._orders.settings, self._orders.names, label)
        return self._plan[label]

    async def _carry_out(self, question: PlannedQuestion, planned: PlannedOperation, fire: wire.Fire) -> None:
        note = Note(planned)
        if fire.aim:

            async def aim(connection: Connection) -> None:
                await wait_for_go(self._go, fire.order, connection)

            note.aim = aim
        noting.set(note)
        if planned.kind is OperationKind.CLAIM:
            await self._click_until_decided(note)
            return
        self._recorder.begin(note)
        try:
            match planned.kind:
                case OperationKind.PUT:
                    outcome, told = await self._put(question, planned)
                case OperationKind.DELETE:
                    outcome, told = await self._delete(planned)
                case OperationKind.SWEEP:
                    outcome, told = await self._sweep(planned)
        except PendingctlError as error:
            outcome, reason = outcome_of_error(error)
            self._recorder.end(note, outcome, Told(reason), str(error))
        else:
            self._recorder.end(note, outcome, told)
        self._recorder.write(note)

    async def _click_until_decided(self, note: Note) -> None:
        """Click, and while the outcome is unknown click again as the platform would: with the same delivery key."""
        deadline = time.monotonic() + RESOLVE_SECONDS
        while await self._click(note) is Outcome.UNKNOWN and time.monotonic() < deadline:
            await asyncio.sleep(ASK_AGAIN_SECONDS)
            planned = note.planned
            key = key_to_ask_again_with(self._implementation, planned.delivery_key or "")
            note = Note(replace(planned, delivery_key=key))
            noting.set(note)

    async def _click(self, note: Note) -> Outcome:
        planned = note.planned
        scope = planned.scope
        reply = await self._bridge.click(
            Click(
                question_id=planned.question_id,
                organization_id=scope.organization_id,
                connection_id=scope.connection_id,
                user_id=scope.expected_user_id,
                delivery_key=planned.delivery_key or "",
                value=planned.value,
                ask_number=planned.ask_number,
            )
        )
        if note.number is None:
            raise RuntimeError(f"the bridge did not claim {planned.name}: {reply.text}")
        if not note.ended.is_set():
            try:
                async with asyncio.timeout(CLAIM_SECONDS):
                    await note.ended.wait()
            except TimeoutError:
                return Outcome.UNKNOWN
        self._recorder.write(note, reply.kind.value)
        return note.outcome

    async def _put(self, question: PlannedQuestion, planned: PlannedOperation) -> tuple[Outcome, Told]:
        if_answered: IfAnswered = "reopen" if planned.reopens else "keep"
        put = partial(
            self._store.put,
            planned.question_id,
            planned.scope,
            question.question.payload(),
            if_answered=if_answered,
        )
        if self._moves_into_the_past and question.is_extra:
            async with Borrowed(self._source) as connection, connection.transaction():
                stored = await put(connection=connection)
                if stored.outcome in _NEW_LIVES:
                    await move_into_the_past(connection, stored.id)
        else:
            stored = await put()
        if stored.outcome is PutOutcome.ALREADY_ANSWERED:
            return Outcome.REFUSED, Told(Reason.ALREADY_ANSWERED)
        # A refreshed row's time may have been moved into the past.
        created = stored.created_at if stored.outcome in _NEW_LIVES else None
        return Outcome.OK, Told(at=created, ask_number=stored.ask_number, put=stored.outcome)

    async def _delete(self, planned: PlannedOperation) -> tuple[Outcome, Told]:
        if await self._store.delete(planned.question_id, planned.scope):
            return Outcome.OK, Told()
        return Outcome.REFUSED, Told(Reason.NO_SUCH_ROW)

    async def _sweep(self, planned: PlannedOperation) -> tuple[Outcome, Told]:
        taken: list[str] = []
        batches = self._store.sweep(max_age=SWEEP_MAX_AGE, limit=planned.limit, batch_size=SWEEP_BATCH_SIZE)
        try:
            async for ids in batches:
                taken += ids
            now = await server_time(self._source)
        except PendingctlError:
            if not taken:
                raise
            # Some batches are gone for good; which of the others, nobody knows.
            return Outcome.UNKNOWN, Told(ids=tuple(taken))
        return Outcome.OK, Told(at=now, ids=tuple(taken))


_NEW_LIVES = frozenset({PutOutcome.CREATED, PutOutcome.REOPENED})


async def serve(orders: wire.Orders, coordinator: asyncio.StreamReader) -> None:
    """Fire what the coordinator says, until its lines end.

    Raises DatabaseUnreachable when the connections cannot be had in time.
    """
    file = HistoryFile(Path(orders.history, f"{orders.name}.jsonl"))
    recorder = Recorder(orders.name, file)
    async with _connections(orders) as pool:
        await _connected(pool, orders.connections)
        source = RecordingSource(pool)
        store = RecordingStore(store_for(orders.settings.implementation, source), recorder)
        go = asyncio.Event()
        worker = Worker(orders, file, recorder, source, go)
        bridge = InteractionBridge(store, SilentPlatform(), worker, pod=orders.name, lease=LEASE)
        async with bridge:
            for organization in (orders.names.organization_id, orders.names.foreign_organization_id):
                for connection in orders.names.connections:
                    bridge.register(organization, connection)
            pod = Pod(orders, source, recorder, bridge, worker, go)
            pod.plan_ahead()
            say(wire.READY, f"{time.time():.3f}")
            async with asyncio.TaskGroup() as firing:
                while line := await coordinator.readline():
                    if line == wire.GO:
                        pod.go_on()
                    else:
                        firing.create_task(pod.fire(wire.decode_fire(line)))
                _die_in(LAST_BREATH_SECONDS)
    file.close()
    say(wire.ENDED)


def _connections(orders: wire.Orders) -> Pool:
    async def limit_statements(connection: Connection) -> None:
        # Behind a pooler, where nothing is prepared, the session is somebody else's a moment later.
        if orders.statement_timeout_ms is not None and connection.prepare_threshold is not None:
            await connection.execute(f"set statement_timeout = {orders.statement_timeout_ms:d}")

    return open_pool(
        orders.dsn,
        application=APPLICATION,
        min_size=orders.connections,
        max_size=orders.connections,
        timeout=WAIT_SECONDS,
        configure=limit_statements,
    )


async def _connected(pool: Pool, connections: int) -> None:
    try:
        await pool.wait(CONNECT_SECONDS)
    except PoolTimeout as error:
        raise DatabaseUnreachable(
            f"{connections} connections could not be had within {CONNECT_SECONDS:g} s; "
            "raise the server's max_connections, or race with fewer pods or clicks"
        ) from error


def _local_port(connection: Connection) -> int:
    with socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
        name = duplicate.getsockname()
    # Over a socket file there is no port, and no proxy that would ask for it.
    return int(name[1]) if isinstance(name, tuple) else 0


def say(word: bytes, said: str = "") -> None:
    """Tell the coordinator."""
    os.write(sys.stdout.fileno(), word + b" " + said.encode() + b"\n")


def _die_in(seconds: float) -> None:
    """End the process then, whatever hangs by then: the coordinator may be gone, and nobody else would."""
    watchdog = threading.Timer(seconds, os._exit, [1])
    watchdog.daemon = True
    watchdog.start()


async def _run() -> None:
    coordinator = asyncio.StreamReader(limit=wire.MAX_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(coordinator), sys.stdin)
    orders = await coordinator.readline()
    if not orders:
        return
    try:
        await serve(wire.decode_orders(orders), coordinator)
    except PendingctlError as error:
        say(wire.CANNOT, str(error))


def run_pod() -> None:
    """Run a pod until its stdin ends."""
    try:
        asyncio.run(_run())
    except* BrokenPipeError:
        # The coordinator is gone, and with it everybody who could be told anything.
        os._exit(1)
