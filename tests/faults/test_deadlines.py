"""A deadline that falls while somebody clicks, withdraws, extends or asks anew: each order has one truth."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

import psycopg
import pytest

from pendingctl import Claim, Delivery, PendingStore, Refusal
from pendingctl.errors import DatabaseFailed
from pendingctl.model import ENDED, Outcome, PutOutcome, RefusalReason, Withdrawal
from pendingctl.postgres.connections import Connection
from pendingctl.sinks import CallableSink
from tests.deliveries import Worker
from tests.faults.moments import came_true
from tests.locks import waiting_for_a_lock
from tests.patience import be_patient
from tests.pods import QUESTION, Pod
from tests.questions import click

IDS = [f"q{number:02}" for number in range(40)]
# Each question's deadline falls so long after the one before it, and after the last one was put.
SPREAD = timedelta(milliseconds=12)
AHEAD = timedelta(milliseconds=150)
AT_ONCE = 16
CHANGED = replace(QUESTION, text="Deploy now?", options=("now", "never"))
HOUR = timedelta(hours=1)
EVERYTHING = frozenset(Outcome)

# What somebody does to a question at its deadline, and what became of it.
Deed = Callable[[PendingStore, str], Awaitable[object]]


async def clicks(store: PendingStore, id: str) -> object:
    return await store.claim(click(id), lease=timedelta())


async def withdraws(store: PendingStore, id: str) -> object:
    return await store.withdraw(id, QUESTION.scope)


async def extends(store: PendingStore, id: str) -> object:
    return await store.extend(id, QUESTION.scope, by=HOUR)


async def asks_anew(store: PendingStore, id: str) -> object:
    return (await store.put(id, QUESTION.scope, CHANGED.payload(), if_answered="keep", expires_in=HOUR)).outcome


IS_LATE = "select expires_at <= clock_timestamp() from pending_interactions where id = %s"


def has_won(done: object) -> bool:
    # By identity: NotExtended has a word that equals one of these.
    return isinstance(done, Claim | datetime) or done is Withdrawal.WITHDRAWN or done is PutOutcome.SUPERSEDED


async def raced(store: PendingStore, connection: psycopg.Connection, deeds: list[Deed]) -> list[list[object]]:
    """Do these to each question at its deadline, all at once, while two pods end what is due; what became of each."""
    for id in IDS:
        await store.put(id, QUESTION.scope, QUESTION.payload(), expires_in=HOUR, default="no")
    row = connection.execute(
        """with due as (
            update pending_interactions as pending
            set posted_at = now(), expires_at = clock_timestamp() + %(ahead)s + place * %(spread)s
            from unnest(%(ids)s::text[]) with ordinality as given (id, place)
            where pending.id = given.id
            returning expires_at
        )
        select min(expires_at) - clock_timestamp() from due""",
        {"ids": IDS, "ahead": AHEAD, "spread": SPREAD},
    ).fetchone()
    assert row is not None
    first: float = asyncio.get_running_loop().time() + row[0].total_seconds()

    async def end_what_is_due(until: float) -> None:
        while asyncio.get_running_loop().time() < until:
            await store.leases.expire(limit=3)
            await asyncio.sleep(0.002)

    # More at once would only wait for a connection of the pool.
    turns = asyncio.Semaphore(AT_ONCE)

    async def at_the_deadline(number: int, place: int, deed: Deed) -> object:
        # Some come a little before it and some after, and each is the first of them once in a while.
        moment = first + number * SPREAD.total_seconds() + (number % 8 * 2 - 11) * 0.001
        moment += (number + place) % len(deeds) * 0.0002
        await asyncio.sleep(moment - asyncio.get_running_loop().time())
        async with turns:
            async with store.transaction() as looking:
                found = await (await looking.execute(IS_LATE, [IDS[number]])).fetchone()
            done = await deed(store, IDS[number])
        assert not (found == (True,) and has_won(done)), "what began after the deadline has won"
        return done

    over = first + len(IDS) * SPREAD.total_seconds() + 0.1
    ending = [asyncio.create_task(end_what_is_due(over)) for _ in range(2)]
    done = await asyncio.gather(
        *(
            asyncio.gather(*(at_the_deadline(number, place, deed) for place, deed in enumerate(deeds)))
            for number in range(len(IDS))
        )
    )
    await asyncio.gather(*ending)
    # On a slow machine something was still due when they ended.
    while await store.leases.expire(limit=len(IDS)):
        pass
    return [list(each) for each in done]


async def heard(store: PendingStore, count: int) -> dict[str, list[tuple[Outcome, str | None]]]:
    """What the worker hears of each question, over two pods, once everything is delivered."""
    worker = Worker()
    sink = CallableSink(worker, EVERYTHING)
    async with Delivery(store, sink), Delivery(store, sink):
        await came_true(lambda: len(worker.answers) >= count)
        await asyncio.sleep(0.2)
    told: dict[str, list[tuple[Outcome, str | None]]] = {}
    for answer in worker.answers:
        told.setdefault(answer.question_id, []).append((answer.outcome, answer.value))
    return told


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)


@pytest.fixture(autouse=True)
async def a_worker_wants_everything(store: PendingStore) -> None:
    await store.leases.hear(EVERYTHING)


DEFAULTED = (Outcome.DEFAULTED, "no")


@pytest.mark.law(14)
async def test_a_click_at_the_deadline_wins_or_has_come_too_late(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    done = await raced(store, connection, [clicks])
    told = await heard(store, len(IDS))

    for id, (result,) in zip(IDS, done, strict=True):
        if isinstance(result, Claim):
            assert told[id] == [(Outcome.ANSWERED, "yes")]
        else:
            # It has expired, or the pods were quicker and the default has answered it.
            assert isinstance(result, Refusal)
            assert result.reason in (RefusalReason.EXPIRED, RefusalReason.ALREADY_ANSWERED)
            assert result.answered_by is None
            assert told[id] == [DEFAULTED]


@pytest.mark.law(14)
async def test_a_withdrawal_at_the_deadline_comes_before_or_after_it(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    done = await raced(store, connection, [withdraws])
    told = await heard(store, len(IDS))

    for id, (result,) in zip(IDS, done, strict=True):
        if result is Withdrawal.WITHDRAWN:
            assert told[id] == [(Outcome.WITHDRAWN, None)]
        else:
            assert result is Withdrawal.ALREADY_ANSWERED
            assert told[id] == [DEFAULTED]


@pytest.mark.law(14)
async def test_a_deadline_that_is_moved_does_not_end_the_question_and_one_that_is_not_does(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    done = await raced(store, connection, [extends])
    moved = {id for id, (result,) in zip(IDS, done, strict=True) if isinstance(result, datetime)}
    told = await heard(store, len(IDS) - len(moved))

    assert told == {id: [DEFAULTED] for id in IDS if id not in moved}
    still_open = connection.execute("select id from pending_interactions where claimed_at is null").fetchall()
    assert {id for (id,) in still_open} == moved


@pytest.mark.law(14)
async def test_a_question_that_is_asked_anew_at_its_deadline_is_open_and_an_old_default_ends_no_new_asking(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    done = await raced(store, connection, [asks_anew])
    anew = {id for id, (result,) in zip(IDS, done, strict=True) if result is PutOutcome.SUPERSEDED}
    told = await heard(store, len(IDS) - len(anew))

    assert {result for (result,) in done} <= {PutOutcome.SUPERSEDED, *ENDED}
    assert told == {id: [DEFAULTED] for id in IDS if id not in anew}
    still_open = connection.execute("select id from pending_interactions where claimed_at is null").fetchall()
    assert {id for (id,) in still_open} == anew


@pytest.mark.law(14)
async def test_whoever_comes_first_of_a_click_a_withdrawal_an_extension_a_new_asking_and_the_deadline_is_the_one_truth(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    done = await raced(store, connection, [clicks, withdraws, extends, asks_anew])
    rows = connection.execute("select id, claimed_at is not null from pending_interactions").fetchall()
    ended = {id for id, is_ended in rows if is_ended}
    told = await heard(store, len(ended))

    for id, (clicked, withdrawn, extended, asked) in zip(IDS, done, strict=True):
        won = [
            *([(Outcome.ANSWERED, "yes")] if isinstance(clicked, Claim) else []),
            *([(Outcome.WITHDRAWN, None)] if withdrawn is Withdrawal.WITHDRAWN else []),
        ]
        is_moved = asked is PutOutcome.SUPERSEDED or isinstance(extended, datetime)
        # One of them at most; else the deadline, unless that was moved, and the question is open.
        assert told.get(id, []) == (won or ([] if is_moved else [DEFAULTED]))


async def withdraws_in(store: PendingStore, connection: Connection) -> object:
    return await store.withdraw("q", QUESTION.scope, connection=connection)


async def extends_in(store: PendingStore, connection: Connection) -> object:
    return await store.extend("q", QUESTION.scope, by=HOUR, connection=connection)


async def asks_anew_in(store: PendingStore, connection: Connection) -> object:
    return (await store.put("q", QUESTION.scope, CHANGED.payload(), expires_in=HOUR, connection=connection)).outcome


# Seconds until the deadline, one after the other: on a slow machine the first ones are over before the deed.
AHEADS = (0.3, 2, 10)


class TooLate(Exception):
    """The deadline was over before the deed, which is then undone."""


async def until_it_is_done_or_waits(doing: asyncio.Task[int], connection: psycopg.Connection) -> None:
    await came_true(lambda: doing.done() or waiting_for_a_lock(connection) > 0)


@pytest.mark.law(14)
@pytest.mark.parametrize("is_committed", [True, False], ids=["committed", "rolled back"])
@pytest.mark.parametrize(
    ("deed", "ending"),
    [(withdraws_in, [(Outcome.WITHDRAWN, None)]), (extends_in, []), (asks_anew_in, [])],
)
async def test_what_a_transaction_has_begun_before_the_deadline_is_the_truth_if_it_is_committed(
    store: PendingStore,
    connection: psycopg.Connection,
    deed: Callable[[PendingStore, Connection], Awaitable[object]],
    ending: list[tuple[Outcome, str | None]],
    is_committed: bool,
) -> None:
    await store.put("q", QUESTION.scope, QUESTION.payload(), expires_in=HOUR, default="no")
    for ahead in AHEADS:
        connection.execute(
            "update pending_interactions set posted_at = now(), expires_at = clock_timestamp() + %s",
            [timedelta(seconds=ahead)],
        )
        with suppress(TooLate):
            async with store.transaction() as application, application.transaction(force_rollback=not is_committed):
                if not has_won(await deed(store, application)):
                    raise TooLate
                assert await came_true(lambda: connection.execute(IS_LATE, ["q"]).fetchone() == (True,))
                ending_it = asyncio.create_task(store.leases.expire(limit=10))
                await until_it_is_done_or_waits(ending_it, connection)
            break
    else:
        pytest.fail(f"it came too late, {ahead} s before the deadline")
    with suppress(DatabaseFailed):
        await ending_it
    await store.leases.expire(limit=10)

    expected = ending if is_committed else [DEFAULTED]
    assert (await heard(store, len(expected))).get("q", []) == expected


# A question whose options have changed by a new asking.


@pytest.mark.law(14)
@pytest.mark.parametrize(
    ("options", "default", "ending"),
    [
        (("now", "never"), None, (Outcome.EXPIRED, None)),
        (("now", "never"), "never", (Outcome.DEFAULTED, "never")),
        (("now", "no"), None, (Outcome.EXPIRED, None)),
    ],
)
async def test_the_default_of_a_question_is_the_one_of_its_last_asking(
    store: PendingStore,
    connection: psycopg.Connection,
    options: tuple[str, ...],
    default: str | None,
    ending: tuple[Outcome, str | None],
) -> None:
    pod = Pod(store)
    await pod.bridge.ask(replace(QUESTION, expires_in=HOUR, default="no"), event_id="e")
    await pod.bridge.ask(replace(CHANGED, options=options, expires_in=HOUR, default=default), event_id="e-2")
    await pod.bridge.close()
    connection.execute("update pending_interactions set expires_at = now()")

    assert await heard(store, 1) == {"q": [ending]}


@pytest.mark.law(14)
async def test_a_default_that_is_no_option_any_more_answers_nothing(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """An application has changed the row itself."""
    pod = Pod(store)
    await pod.bridge.ask(replace(QUESTION, expires_in=HOUR, default="no"), event_id="e")
    await pod.bridge.close()
    connection.execute(
        """update pending_interactions set expires_at = now(),
        entry_payload = jsonb_set(entry_payload, '{question,options}', '["now", "never"]')"""
    )

    assert await heard(store, 1) == {"q": [(Outcome.EXPIRED, None)]}
