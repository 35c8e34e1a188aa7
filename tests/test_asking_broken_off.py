"""An asker that is cancelled, killed or away at any moment: its caller has the answer, or the pods deliver it."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import TypeVar
from uuid import UUID, uuid4

import psycopg
import pytest

from pendingctl import (
    Answer,
    Claim,
    Delivery,
    LeasedAnswer,
    NoAnswer,
    PendingStore,
    Scope,
    State,
    ask,
    asking,
    open_pool,
)
from pendingctl.errors import AnswerTaken, DatabaseUnreachable
from pendingctl.leased import Unreadable
from pendingctl.postgres.connections import Connection, Pool
from pendingctl.store.leases import Leases
from tests.askers import answer_to, until_stored
from tests.deliveries import LEASE, Worker, run_out, state_of, until_state
from tests.events.streaming import held
from tests.faults.proxy import Hold, fields, running_proxy
from tests.locks import until_waiting_for_a_lock
from tests.pods import QUESTION
from tests.questions import SCOPE, click
from tests.statements import LOCK_THE_ROW

T = TypeVar("T")
LONG = timedelta(seconds=60)
SHORT = timedelta(seconds=0.3)

pytestmark = pytest.mark.usefixtures("patient")


class Moments:
    """Stops an asker at the moment that a test names, for as long as the test wants."""

    def __init__(self, stop_at: str) -> None:
        self.stop_at = stop_at
        self.has_come = asyncio.Event()
        self.goes_on = asyncio.Event()

    async def stop(self, moment: str) -> None:
        if moment == self.stop_at and not self.has_come.is_set():
            self.has_come.set()
            await self.goes_on.wait()

    async def around(self, name: str, work: Callable[[], Awaitable[T]]) -> T:
        await self.stop(f"before {name}")
        done = await work()
        await self.stop(f"after {name}")
        return done


def watched(pool: Pool, moments: Moments) -> PendingStore:
    """A store whose asker can be stopped before and after each of its statements."""

    class WatchedLeases(Leases):
        async def keep_waiting(self, id: str, ask_number: int, awaited_by: UUID, *, awaited_for: timedelta) -> bool:
            work = super().keep_waiting
            return await moments.around(
                "keep_waiting", lambda: work(id, ask_number, awaited_by, awaited_for=awaited_for)
            )

        async def lease_awaited(
            self, id: str, ask_number: int, awaited_by: UUID, *, lease: timedelta
        ) -> LeasedAnswer | Unreadable | None:
            work = super().lease_awaited
            return await moments.around("lease_awaited", lambda: work(id, ask_number, awaited_by, lease=lease))

        async def mark_delivered(self, leased: LeasedAnswer, *, connection: Connection | None = None) -> bool:
            work = super().mark_delivered
            return await moments.around("mark", lambda: work(leased, connection=connection))

    class WatchedStore(PendingStore):
        async def read_answer(self, id: str, scope: Scope, ask_number: int) -> NoAnswer | None:
            work = super().read_answer
            return await moments.around("poll", lambda: work(id, scope, ask_number))

    store = WatchedStore(pool)
    store.leases = WatchedLeases(pool)
    return store


BEFORE_THE_CLICK = ["before poll", "after poll", "before keep_waiting", "after keep_waiting"]
AFTER_THE_CLICK = ["before lease_awaited", "after lease_awaited", "in the block", "before mark", "after mark"]


@pytest.mark.law(6)
@pytest.mark.parametrize(
    ("moment", "is_clicked"),
    [(moment, True) for moment in (*BEFORE_THE_CLICK, *AFTER_THE_CLICK)]
    + [(moment, False) for moment in BEFORE_THE_CLICK],
)
async def test_a_cancelled_asker_hands_the_answer_over_or_leaves_it_to_the_pods(
    store: PendingStore,
    pool: Pool,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    moment: str,
    is_clicked: bool,
) -> None:
    monkeypatch.setattr(asking, "RENEW_SECONDS", 0.0)
    moments, handed = Moments(moment), []

    async def wait() -> None:
        async with ask(watched(pool, moments), QUESTION, timeout=LONG) as answer:
            await moments.stop("in the block")
            handed.append(answer)

    waiting = asyncio.create_task(wait())
    if moment in BEFORE_THE_CLICK:
        await asyncio.wait_for(moments.has_come.wait(), 10)
    else:
        await until_stored(store)
    if is_clicked:
        assert isinstance(await store.claim(click(), lease=LEASE), Claim)
    await asyncio.wait_for(moments.has_come.wait(), 10)
    waiting.cancel()
    await asyncio.sleep(0)
    moments.goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    if not is_clicked:
        assert await state_of(store) is State.WITHDRAWN
        return
    if moment == "after lease_awaited":
        # Leased, and nobody knows: the pods wait for the end of that lease.
        run_out(connection)
    worker = Worker()
    async with Delivery(store, worker):
        await until_state(store, State.CLAIMED)
    assert len(handed) + len(worker.answers) == 1


@pytest.mark.parametrize("moment", ["before the statement", "after the statement"])
async def test_a_question_whose_put_is_cancelled_is_not_left_open(pool: Pool, moment: str) -> None:
    moments = Moments(f"{moment.split(' ', maxsplit=1)[0]} put")

    class Watched(PendingStore):
        async def put(self, *given, **named):  # type: ignore[no-untyped-def]
            work = super().put
            return await moments.around("put", lambda: work(*given, **named))

    store = Watched(pool)
    waiting = asyncio.create_task(answer_to(store, QUESTION, within=LONG))
    await asyncio.wait_for(moments.has_come.wait(), 10)
    waiting.cancel()
    await asyncio.sleep(0)
    moments.goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert await state_of(store) is State.WITHDRAWN


async def test_a_question_that_is_committed_after_its_asker_was_cancelled_is_not_left_open(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    with held(dsn, LOCK_THE_ROW):
        waiting = asyncio.create_task(answer_to(store, QUESTION, within=LONG))
        await until_waiting_for_a_lock(connection)
        waiting.cancel()
        # Whoever does not wait for the server withdraws what is not there yet.
        await asyncio.wait([waiting], timeout=0.2)
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert await state_of(store) is State.WITHDRAWN


ASKER = r"""
import asyncio, sys, time
from datetime import timedelta
from pendingctl import PendingStore, Question, Scope, ask, open_pool
from pendingctl.store.leases import Leases

def stop(moment):
    if moment == sys.argv[2]:
        print(moment, flush=True)
        time.sleep(60)

class Watched(Leases):
    async def lease_awaited(self, *given, **named):
        leased = await super().lease_awaited(*given, **named)
        stop("leased")
        return leased
    async def mark_delivered(self, *given, **named):
        stop("handed over")
        marked = await super().mark_delivered(*given, **named)
        stop("marked")
        return marked

async def main():
    async with open_pool(sys.argv[1]) as pool:
        store = PendingStore(pool)
        store.leases = Watched(pool)
        question = Question("q", Scope("acme", "slack", "U1"), "Deploy?", ("yes", "no"), "C1")
        async with ask(store, question, timeout=timedelta(seconds=50)) as answer:
            stop("in the block")

asyncio.run(main())
"""


@pytest.mark.law(6)
@pytest.mark.parametrize(
    ("moment", "deliveries"), [("leased", 1), ("in the block", 1), ("handed over", 1), ("marked", 0)]
)
async def test_the_answer_of_an_asker_that_is_killed_is_delivered_by_the_pods_unless_it_has_marked_it(
    store: PendingStore, dsn: str, connection: psycopg.Connection, moment: str, deliveries: int
) -> None:
    asker = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ASKER, dsn, moment, stdout=asyncio.subprocess.PIPE
    )
    try:
        await until_stored(store)
        await store.claim(click(), lease=LEASE)
        assert asker.stdout is not None
        async with asyncio.timeout(60):
            assert (await asker.stdout.readline()).decode().strip() == moment
    finally:
        with suppress(ProcessLookupError):
            asker.send_signal(signal.SIGKILL)
        await asker.wait()
    run_out(connection)
    worker = Worker()
    async with Delivery(store, worker):
        await until_state(store, State.CLAIMED)

    assert len(worker.answers) == deliveries


async def test_a_dead_asker_keeps_the_pods_away_for_15_seconds_at_most(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, QUESTION.payload(), awaited_by=uuid4())
    connection.execute("update pending_interactions set awaited_until = now() + interval '3 seconds'")
    await store.claim(click(), lease=LEASE)

    row = connection.execute("select delivery_due_at = awaited_until from pending_interactions").fetchone()
    assert row == (True,)


async def test_an_asker_that_was_away_is_told_that_the_pods_have_the_answer(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    worker = Worker()
    waiting = asyncio.create_task(clicked(store))

    async def be_away() -> None:
        async with ask(store, QUESTION, timeout=LONG), Delivery(store, worker):
            run_out(connection)
            await until_state(store, State.CLAIMED)

    with pytest.raises(AnswerTaken):
        await be_away()
    await waiting

    assert worker.ids == ["q"]


async def test_an_answer_whose_hand_over_to_a_worker_has_failed_goes_to_no_asker_any_more(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """The worker may have taken it nevertheless."""
    awaited_by = uuid4()
    stored = await store.put("q", SCOPE, QUESTION.payload(), awaited_by=awaited_by)
    await store.claim(click(), lease=LEASE)
    run_out(connection)
    (leased,) = await store.leases.lease(lease=LEASE, limit=1, most_attempts=20)
    await store.leases.mark_failed(leased, "no reply", retry_in=LEASE, most_attempts=20)

    assert await store.leases.lease_awaited("q", stored.ask_number, awaited_by, lease=LEASE) is None


@pytest.mark.parametrize("time", [SHORT, LONG], ids=["its time is up", "it renews its lease"])
async def test_an_asker_that_was_away_does_not_close_the_question_of_the_one_that_waits_now(
    store: PendingStore,
    pool: Pool,
    connection: psycopg.Connection,
    monkeypatch: pytest.MonkeyPatch,
    time: timedelta,
) -> None:
    monkeypatch.setattr(asking, "RENEW_SECONDS", 0.1)
    away, waits = Moments("before poll"), Moments("before poll")
    first = asyncio.create_task(answer_to(watched(pool, away), QUESTION, within=time))
    await asyncio.wait_for(away.has_come.wait(), 20)
    # Nor has its deadline passed on a busy machine.
    connection.execute("update pending_interactions set awaited_until = now(), expires_at = now() + interval '1 hour'")
    second = asyncio.create_task(answer_to(watched(pool, waits), QUESTION, within=LONG))
    await asyncio.wait_for(waits.has_come.wait(), 20)
    waits.goes_on.set()
    away.goes_on.set()
    async with asyncio.timeout(20):
        assert await first is NoAnswer.GONE
    assert isinstance(await store.claim(click(), lease=LEASE), Claim)

    answer = await second
    assert isinstance(answer, Answer)
    assert answer.value == "yes"


async def test_a_mark_whose_reply_is_lost_is_made_again_and_shares_the_answer_with_nobody(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    async with running_proxy(dsn, connection) as proxy, open_pool(proxy.dsn, max_size=2) as far:
        waiting = asyncio.create_task(clicked(store))
        async with ask(PendingStore(far), QUESTION, timeout=LONG) as answer:
            proxy.hold = hold = Hold(b"\x00\x01" + fields("q"))
            hanging_up = asyncio.create_task(hang_up_when(hold, proxy.hang_up))
        await asyncio.gather(waiting, hanging_up)

    assert isinstance(answer, Answer)
    assert await state_of(store) is State.CLAIMED


async def test_what_a_block_raises_is_raised_also_when_the_answer_cannot_be_given_back(
    store: PendingStore, pool: Pool
) -> None:
    class Away(Leases):
        async def release(self, leased: LeasedAnswer) -> bool:
            raise DatabaseUnreachable(f"no server for {leased.token}")

    store.leases = Away(pool)
    waiting = asyncio.create_task(clicked(store))
    with pytest.raises(ZeroDivisionError):
        async with ask(store, QUESTION, timeout=LONG):
            raise ZeroDivisionError
    await waiting

    assert await state_of(store) is State.UNDELIVERED


async def hang_up_when(hold: Hold, hang_up: Callable[[], Awaitable[None]]) -> None:
    await asyncio.wait_for(hold.has_come.wait(), 10)
    await hang_up()


async def clicked(store: PendingStore) -> None:
    await until_stored(store)
    await store.claim(click(), lease=LEASE)
