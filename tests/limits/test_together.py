"""Takes of one pod at the same moment: one statement, in which no key holds up, or spoils, another one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from pendingctl import open_pool
from pendingctl.errors import DatabaseBusy, DatabaseFailed, DatabaseUnreachable
from pendingctl.limits import Decision, Limit, RateLimiter, statements
from pendingctl.limits.together import MOST
from pendingctl.postgres.time_limits import Purpose
from tests.limits.conftest import IMPATIENT_TAKE
from tests.limits.pools import Watched
from tests.locks import until_waiting_for_a_lock

SLOW = Limit(1, timedelta(hours=1), burst=3)
KEYS = [f"k{number}" for number in range(20)]
PATIENCE = 30.0


@pytest.fixture
async def watched(dsn: str) -> AsyncIterator[Watched]:
    # Hundreds of takes wait for four connections.
    async with open_pool(dsn, min_size=4, max_size=4, timeout=PATIENCE) as pool:
        await pool.wait(PATIENCE)
        yield Watched(pool)


@pytest.fixture
async def pod(watched: Watched) -> RateLimiter:
    """A limiter that has taken from each key once."""
    limiter = RateLimiter(watched, if_unreachable="raise")
    for key in KEYS:
        await limiter.take("acme", key, SLOW)
    watched.loans = 0
    return limiter


def take_from_each(pod: RateLimiter) -> list[asyncio.Task[Decision]]:
    return [asyncio.create_task(pod.take("acme", key, SLOW), name=key) for key in KEYS]


@pytest.mark.law(19)
async def test_takes_from_many_keys_are_one_statement_and_each_is_counted(pod: RateLimiter, watched: Watched) -> None:
    rounds = [await asyncio.gather(*take_from_each(pod)) for _ in range(2)]

    # One is alone each time, as nothing is under way when it comes.
    assert watched.loans <= 4
    assert [{each.remaining for each in decisions} for decisions in rounds] == [{1}, {0}]
    assert {each.allowed for each in await asyncio.gather(*take_from_each(pod))} == {False}


@pytest.mark.law(19)
async def test_takes_from_one_key_get_what_the_limit_allows(pod: RateLimiter) -> None:
    taken = Counter(each.allowed for each in await asyncio.gather(*(pod.take("acme", "k0", SLOW) for _ in range(50))))

    assert taken == {True: 2, False: 48}


async def test_more_than_one_statement_holds_are_taken_by_several(pod: RateLimiter, watched: Watched) -> None:
    keys = [f"many-{number}" for number in range(2 * MOST + 1)]
    for remaining in (2, 1):
        watched.loans = 0
        decisions = await asyncio.gather(*(pod.take("acme", key, SLOW) for key in keys))
        assert {each.remaining for each in decisions} == {remaining}
    assert watched.loans == 3


@pytest.mark.law(16)
async def test_a_locked_key_holds_up_none_of_the_others(
    pod: RateLimiter, connection: psycopg.Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = "select from pending_rate_limit where key in ('k0', 'k7') for update"
    with psycopg.connect(dsn) as holding:
        holding.execute(lock)
        tasks = {task.get_name(): task for task in take_from_each(pod)}
        locked = [tasks.pop("k0"), tasks.pop("k7")]
        await until_waiting_for_a_lock(connection)

        assert {each.allowed for each in await asyncio.gather(*tasks.values())} == {True}
        assert not any(task.done() for task in locked)
        holding.rollback()
        assert [each.allowed for each in await asyncio.gather(*locked)] == [True, True]

        monkeypatch.setattr(statements, "TAKE", IMPATIENT_TAKE)
        holding.execute(lock)
        given_up = await asyncio.gather(*take_from_each(pod), return_exceptions=True)
        assert [KEYS[place] for place, each in enumerate(given_up) if isinstance(each, DatabaseBusy)] == ["k0", "k7"]
        assert sum(isinstance(each, Decision) and each.allowed for each in given_up) == len(KEYS) - 2


async def test_a_key_that_somebody_refuses_spoils_none_of_the_others(
    pod: RateLimiter, connection: psycopg.Connection
) -> None:
    connection.execute(
        "create function refuse() returns trigger language plpgsql as "
        "$$ begin if new.key = 'k7' then raise 'not this one'; end if; return new; end $$; "
        "create trigger refuse before update on pending_rate_limit for each row execute function refuse()"
    )

    decisions = await asyncio.gather(*take_from_each(pod), return_exceptions=True)

    refused = [each for each in decisions if isinstance(each, BaseException)]
    assert [type(each) for each in refused] == [DatabaseFailed]
    assert "not this one" in str(refused[0])
    # None was taken twice.
    assert {each.remaining for each in decisions if isinstance(each, Decision)} == {1}


async def test_whoever_gives_up_takes_none_of_the_others_along(pod: RateLimiter) -> None:
    tasks = take_from_each(pod)
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()

    decisions = await asyncio.gather(*tasks, return_exceptions=True)

    assert {type(each) for each in decisions[::3]} == {asyncio.CancelledError}
    assert all(isinstance(each, Decision) and each.allowed for each in decisions if each not in decisions[::3])
    # What was given up in time is not taken.
    assert (await pod.take("acme", "k3", SLOW)).remaining == 1


async def test_a_database_that_decides_none_is_given_up_by_all_at_once(
    pod: RateLimiter, watched: Watched, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(dsn) as holding, monkeypatch.context() as impatient:
        impatient.setattr(Purpose.LIMIT, "seconds", 0.5)
        holding.execute("lock table pending_rate_limit in access exclusive mode")
        async with asyncio.timeout(20):
            decisions = await asyncio.gather(*take_from_each(pod), return_exceptions=True)

    # Also of those for whom the time is over before a connection is theirs.
    assert [each for each in decisions if not isinstance(each, DatabaseUnreachable)] == []
    assert watched.loans == 2
    assert (await pod.take("acme", "k0", SLOW)).allowed


def test_each_event_loop_takes_by_itself(dsn: str) -> None:
    limiters: list[RateLimiter] = []

    async def take() -> set[bool]:
        async with open_pool(dsn) as pool:
            limiters.append(RateLimiter(pool, if_unreachable="raise"))
            # What the loop before has left under way is nobody's any more.
            limiters[0]._source = pool
            return {each.allowed for each in await asyncio.gather(*take_from_each(limiters[0]))}

    assert [asyncio.run(take()) for _ in range(3)] == [{True}] * 3
