"""Striking: what makes each fault really happen, at the moment that the plan wants, and how it is known that it did."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace

import psycopg

from ..errors import DatabaseFailed, DatabaseUnreachable
from ..postgres.connections import Connection, connect
from ..postgres.driver_errors import translated_errors
from .firing import Board, RaceBrokenOff
from .history import Fault
from .plan import OperationKind, PlannedOperation, PlannedQuestion
from .processes import PodProcess
from .proxy import Proxy, Trap
from .rows import APPLICATION
from .schedule import AT_A_DELIVERY, LEASE, FaultKind, Moment, PlannedFault

# The pods' connections have this in a race with pauses, and each pause is longer.
STATEMENT_TIMEOUT_MS = 1_000
PAUSE_SECONDS = 1.5
# Longer than a lease, and than another pod takes to find that it has run out.
DELIVERY_PAUSE_SECONDS = LEASE.total_seconds() + 2.5
# How long a moment is waited for; and how much longer one that was missed, to let it go.
MOMENT_SECONDS = 5.0
LATE_SECONDS = 5.0
AWAY_SECONDS = 30.0
POLL_SECONDS = 0.01

_LOCK = "select pg_backend_pid() from pending_interactions where id = %(id)s for update"

# Whoever waits for the row that the race has locked is one of the race's own. This view, other than
# pg_stat_activity, is read anew by each statement of a transaction.
_WAITING = "select distinct pid from pg_locks where not granted and %(locked_by)s = any (pg_blocking_pids(pid))"

# Not in one statement with the condition: the server may evaluate the termination first, and for every backend.
_TERMINATE = "select pg_terminate_backend(pid) from unnest(%(pids)s::integer[]) as pid"

_STARTED = "select pg_postmaster_start_time()::text"

_IS_CLAIMED = """
    select 1
    from pending_interactions
    where id = %(id)s and claimed_at is not null and delivery_key = %(delivery_key)s
"""


@dataclass(frozen=True, slots=True)
class OwnServer:
    """What can be done to a server that is the race's own. Both block until one takes writes again.

    `restart` stops it in immediate mode and starts it again; `fail_over`, where there is a standby, stops it for good
    and promotes that.
    """

    restart: Callable[[], None]
    fail_over: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Battlefield:
    """What a fault needs to strike. `succeed` starts a killed pod's successor and returns it when it is ready."""

    dsn: str
    board: Board
    succeed: Callable[[PodProcess], Awaitable[PodProcess]]
    proxy: Proxy | None
    server: OwnServer | None


async def strike(
    field: Battlefield, planned: PlannedFault, question: PlannedQuestion, more: list[PlannedQuestion]
) -> Fault:
    """Fire at a question, let the fault strike meanwhile, and return it with whether it landed.

    `more` questions are fired at while the server is away. Raises RaceBrokenOff and the database's errors.
    """
    fault = Fault(planned.number, planned.kind, planned.moment, time.monotonic_ns())
    # The rightful clicks are in the last burst; what comes before them is not struck.
    last = len(question.bursts) - 1
    for burst in range(last):
        await field.board.carried_out(field.board.give(field.board.pods_at([question], burst), [question], burst))
    if planned.moment in AT_A_DELIVERY:
        detail = await _strike_at_a_delivery(field, planned.kind, planned.moment, question, last, more)
    elif planned.moment is not None:
        detail = await _strike_in_the_proxy(field, planned.kind, planned.moment, question, last)
    else:
        detail = await _strike_at_a_lock(field, planned.kind, question, last, more)
    return replace(fault, ended_ns=time.monotonic_ns(), landed=not detail, detail=detail)


async def _strike_in_the_proxy(
    field: Battlefield, kind: FaultKind, moment: Moment, question: PlannedQuestion, burst: int
) -> str:
    """Return why the fault did not land, or nothing."""
    assert field.proxy is not None
    board, target = field.board, _target(question)
    pod = board.pods[target.pod]
    others = [each for each in board.pods_at([question], burst) if each is not pod]
    aimed = board.give([pod], [question], burst, only=target.name, aim=True)
    if not await _is_about_to_happen(board, pod, aimed):
        for order in (aimed, board.give(board.pods_at([question], burst), [question], burst, without=target.name)):
            await board.carried_out(order)
        return f"{target.name} was not about to be sent within {MOMENT_SECONDS:g} s"
    if pod.gone:
        raise RaceBrokenOff(pod.last_words())
    port = board.aimed.pop(aimed)
    trap = field.proxy.set_trap(port, moment)
    pod.go_on()
    if moment is Moment.AFTER_COMMIT:
        # It goes ahead of the others, so that it is a winner's reply that is lost.
        detail = await _committed(field, trap, target)
        racing = board.give(others, [question], burst, without=target.name)
    else:
        racing = board.give(others, [question], burst, without=target.name)
        detail = "" if await _sprung(trap) else "nothing was sent"
    match kind:
        case FaultKind.KILL:
            await pod.kill()
            field.proxy.cut_off(port)
            if not pod.was_killed:
                detail = pod.last_words()
            board.withdraw(aimed)
            pod = await field.succeed(pod)
            aimed = board.give([pod], [question], burst, only=target.name, again=True)
        case FaultKind.DISCONNECT:
            field.proxy.cut_off(port)
        case _:
            began = time.monotonic()
            pausing = await pod.pause(PAUSE_SECONDS)
            trap.opened.set()
            await asyncio.sleep(PAUSE_SECONDS * 0.5)
            if board.is_carried_out(aimed):
                detail = detail or "it went on while it was paused"
            await pausing
            if (time.monotonic() - began) * 1000 <= STATEMENT_TIMEOUT_MS:
                detail = "the pause was no longer than a statement may take"
    for order in (aimed, racing, board.give([pod], [question], burst, without=target.name)):
        await board.carried_out(order)
    return detail


async def _is_about_to_happen(board: Board, pod: PodProcess, aimed: int) -> bool:
    """Whether what is aimed at comes to where it waits for the word to go on, or its pod is gone.

    One that comes too late is let go.
    """

    def waits() -> bool:
        return aimed in board.aimed or pod.gone

    if await board.until(waits, MOMENT_SECONDS):
        return True
    await board.until(waits, LATE_SECONDS)
    if pod.gone:
        return True
    pod.go_on()
    return False


async def _strike_at_a_delivery(
    field: Battlefield,
    kind: FaultKind,
    moment: Moment,
    question: PlannedQuestion,
    burst: int,
    more: list[PlannedQuestion],
) -> str:
    """Return why the fault did not land, or nothing. One click goes ahead, so that it wins, and its pod delivers."""
    board, target = field.board, _target(question)
    pod = board.pods[target.pod]
    aimed = board.give([pod], [question], burst, only=target.name, aim_delivery=moment)
    await board.carried_out(aimed)
    if not await _is_about_to_happen(board, pod, aimed):
        detail = f"the answer of {target.name} was not about to be delivered within {MOMENT_SECONDS:g} s"
    elif pod.gone:
        raise RaceBrokenOff(pod.last_words())
    else:
        detail = await _strike_a_delivering_pod(field, kind, pod, board.aimed.pop(aimed), more)
    # Those that come now find it answered, whether it is delivered or not.
    await board.carried_out(board.give(board.pods_at([question], burst), [question], burst, without=target.name))
    return detail


async def _strike_a_delivering_pod(
    field: Battlefield, kind: FaultKind, pod: PodProcess, port: int, more: list[PlannedQuestion]
) -> str:
    detail = ""
    match kind:
        case FaultKind.KILL:
            await pod.kill()
            if not pod.was_killed:
                detail = pod.last_words()
            await field.succeed(pod)
            return detail
        case FaultKind.DISCONNECT:
            assert field.proxy is not None
            field.proxy.cut_off(port)
        case FaultKind.PAUSE:
            began = time.monotonic()
            await (await pod.pause(DELIVERY_PAUSE_SECONDS))
            if time.monotonic() - began <= LEASE.total_seconds():
                detail = "the pause was no longer than the lease"
        case _:
            started = await _started_again(field.dsn)
            detail = await _take_the_server_away(field, kind, more)
            if started == await _started_again(field.dsn):
                detail = "the server is still the same"
    pod.go_on()
    return detail


async def _sprung(trap: Trap) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(MOMENT_SECONDS):
            await trap.sprung.wait()
    return trap.sprung.is_set()


async def _committed(field: Battlefield, trap: Trap, target: PlannedOperation) -> str:
    if not await _sprung(trap):
        return "the server did not reply"
    asked = {"id": target.question_id, "delivery_key": target.delivery_key}
    async with await connect(field.dsn, application=APPLICATION) as looking:
        with translated_errors():
            found = await (await looking.execute(_IS_CLAIMED, asked)).fetchone()
    return "" if found else "the claim was not committed when the server replied"


async def _strike_at_a_lock(
    field: Battlefield, kind: FaultKind, question: PlannedQuestion, burst: int, more: list[PlannedQuestion]
) -> str:
    """Return why the fault did not land, or nothing. The rightful clicks wait for a locked row when it strikes."""
    board = field.board
    async with _two_connections(field.dsn) as (locking, looking):
        with translated_errors():
            # Both in a transaction: behind a pooler the waiting clicks might take all other sessions.
            async with _transaction(locking), _transaction(looking):
                started = await _value(looking, _STARTED)
                locked = {"locked_by": await _value(locking, _LOCK, {"id": question.question.id})}
                racing = board.give(board.pods_at([question], burst), [question], burst)
                if not await _until_somebody_waits(looking, locked):
                    detail = f"nobody waited for the row within {MOMENT_SECONDS:g} s"
                elif kind is FaultKind.TERMINATE:
                    detail = await _terminate(looking, locked)
                else:
                    detail = await _take_the_server_away(field, kind, more)
    await board.carried_out(racing)
    if not detail and kind is not FaultKind.TERMINATE and started == await _started_again(field.dsn):
        detail = "the server is still the same"
    return detail


async def _terminate(looking: Connection, locked: dict[str, object]) -> str:
    pids = [pid for (pid,) in await (await looking.execute(_WAITING, locked)).fetchall()]
    ended = await (await looking.execute(_TERMINATE, {"pids": pids})).fetchall()
    return "" if (True,) in ended else "no backend was there to be terminated"


async def _take_the_server_away(field: Battlefield, kind: FaultKind, more: list[PlannedQuestion]) -> str:
    assert field.server is not None
    take_away = field.server.restart if kind is FaultKind.RESTART else field.server.fail_over
    assert take_away is not None
    firing = [asyncio.create_task(field.board.fire(question)) for question in more]
    try:
        await asyncio.to_thread(take_away)
        await asyncio.gather(*firing)
    finally:
        for each in firing:
            each.cancel()
    return ""


async def _until_somebody_waits(looking: Connection, locked: dict[str, object]) -> bool:
    deadline = time.monotonic() + MOMENT_SECONDS
    while await _value(looking, _WAITING, locked) is None:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_SECONDS)
    return True


@asynccontextmanager
async def _two_connections(dsn: str) -> AsyncIterator[tuple[Connection, Connection]]:
    async with await connect(dsn, application=APPLICATION) as one, await connect(dsn, application=APPLICATION) as other:
        yield one, other


@asynccontextmanager
async def _transaction(connection: Connection) -> AsyncIterator[None]:
    """A transaction that may lose its server, as it does when that is what strikes."""
    await connection.set_autocommit(False)
    try:
        yield
    finally:
        with suppress(psycopg.OperationalError):
            await connection.rollback()


async def _value(connection: Connection, statement: str, parameters: dict[str, object] | None = None) -> object:
    row = await (await connection.execute(statement, parameters)).fetchone()
    return None if row is None else row[0]


async def _started_again(dsn: str) -> object:
    """When the server started that answers by now; it may take a moment to come back."""
    deadline = time.monotonic() + AWAY_SECONDS
    while True:
        try:
            async with await connect(dsn, application=APPLICATION) as connection:
                with translated_errors():
                    return await _value(connection, _STARTED)
        except DatabaseUnreachable:
            if time.monotonic() > deadline:
                raise DatabaseFailed(f"the server was still away after {AWAY_SECONDS:g} s") from None
            await asyncio.sleep(POLL_SECONDS)


def _target(question: PlannedQuestion) -> PlannedOperation:
    return next(
        each for each in question.bursts[-1].operations if each.kind is OperationKind.CLAIM and each.wrong is None
    )
