"""What a pod denies by what it remembers, and what it decides without a database."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pendingctl import open_pool
from pendingctl.errors import InvalidInput, NotConnected
from pendingctl.limits import IfUnreachable, Limit, RateLimiter
from pendingctl.limits.denials import MOST, Denials
from pendingctl.postgres.connections import Pool
from tests.limits.pools import Watched

LIMIT = Limit(1, timedelta(hours=1), burst=3)


class Clock:
    """A clock that goes on when it is set."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def watched(pool: Pool) -> Watched:
    return Watched(pool)


async def test_a_denied_key_is_looked_at_once_a_second(watched: Watched, clock: Clock) -> None:
    limiter = RateLimiter(watched, if_unreachable="raise", clock=clock)
    await limiter.take("acme", "k", LIMIT, 3)

    for _ in range(3):
        assert not (await limiter.take("acme", "k", LIMIT)).allowed
    assert watched.loans == 2
    clock.now += 0.999
    assert not (await limiter.take("acme", "k", LIMIT)).allowed
    assert watched.loans == 2
    clock.now += 0.001
    assert not (await limiter.take("acme", "k", LIMIT)).allowed
    assert watched.loans == 3


async def test_a_reset_elsewhere_counts_after_a_second(watched: Watched, clock: Clock, elsewhere: RateLimiter) -> None:
    limiter = RateLimiter(watched, if_unreachable="raise", clock=clock)
    await limiter.take("acme", "k", LIMIT, 3)
    assert not (await limiter.take("acme", "k", LIMIT)).allowed
    await elsewhere.reset("acme", "k")

    clock.now += 1

    assert (await limiter.take("acme", "k", LIMIT)).allowed


async def test_a_smaller_cost_or_another_key_is_not_denied_by_what_is_remembered(pool: Pool, clock: Clock) -> None:
    limiter = RateLimiter(pool, if_unreachable="raise", clock=clock)
    await limiter.take("acme", "k", LIMIT, 2)
    assert not (await limiter.take("acme", "k", LIMIT, 2)).allowed

    assert (await limiter.take("acme", "k", LIMIT, 1)).allowed
    assert (await limiter.take("globex", "k", LIMIT, 2)).allowed
    assert (await limiter.take("acme", "k", Limit(1, timedelta(hours=1), burst=9), 2)).allowed


async def test_a_key_that_has_waited_is_not_denied_by_what_is_remembered(
    watched: Watched, clock: Clock, connection: psycopg.Connection
) -> None:
    limiter = RateLimiter(watched, if_unreachable="raise", clock=clock)
    limit = Limit(1, timedelta(seconds=1), burst=1)
    # Whatever has its turn between the two statements, one of these takes comes within their 0.9 s.
    for _ in range(100):
        connection.execute(
            "insert into pending_rate_limit values ('acme', 'k', now() + interval '0.9 s') "
            "on conflict (organization_id, key) do update set tat = excluded.tat"
        )
        if not (await limiter.take("acme", "k", limit)).allowed:
            break
    loans = watched.loans
    assert not (await limiter.take("acme", "k", limit)).allowed
    assert watched.loans == loans

    # Sooner than what is remembered is too old.
    clock.now += 0.9
    # What the pod's clock has seen the database's has, too.
    connection.execute("update pending_rate_limit set tat = tat - interval '0.9 s'")

    assert (await limiter.take("acme", "k", limit)).allowed


def test_what_a_pod_remembers_is_bounded_in_number_and_in_age() -> None:
    denials = Denials()
    for number in range(MOST + 10):
        denials.note(("acme", f"k{number}", LIMIT), asked_at=5.0, told_at=5.0, used_seconds=9_000.0)
    assert len(denials) == MOST
    assert denials.used_seconds(("acme", "k5", LIMIT), 1, 5.0) is None

    denials.note(("acme", "late", LIMIT), asked_at=7.0, told_at=7.0, used_seconds=9_000.0)
    assert len(denials) == 1
    # Told so late that it is of no use any more.
    denials.note(("acme", "later", LIMIT), asked_at=7.0, told_at=9.0, used_seconds=9_000.0)
    assert len(denials) == 0


@pytest.mark.parametrize(("word", "is_allowed"), [("allow", True), ("deny", False)])
@pytest.mark.law(16)
async def test_without_a_database_the_word_decides_and_it_is_asked_once_a_second(
    word: IfUnreachable, is_allowed: bool, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    away = Watched(None)
    limiter = RateLimiter(away, if_unreachable=word, clock=clock)

    with caplog.at_level(logging.WARNING):
        decisions = [await limiter.take("acme", "k", LIMIT) for _ in range(3)]
        clock.now += 1
        decisions.append(await limiter.take("acme", "k", LIMIT))

    assert {(each.allowed, each.is_known) for each in decisions} == {(is_allowed, False)}
    assert (decisions[0].retry_after > timedelta()) is not is_allowed
    assert away.loans == 2
    assert [record.getMessage() for record in caplog.records] == [
        f"limits {word} without the database for now: the database is away"
    ]


async def test_without_a_database_the_error_is_raised_where_that_is_chosen() -> None:
    limiter = RateLimiter(Watched(None), if_unreachable="raise")

    with pytest.raises(NotConnected):
        await limiter.take("acme", "k", LIMIT)


async def test_a_database_that_is_not_migrated_is_no_reason_to_fail(
    watched: Watched, connection: psycopg.Connection
) -> None:
    connection.execute("drop table pending_rate_limit")

    assert (await RateLimiter(watched, if_unreachable="allow").take("acme", "k", LIMIT)).allowed


def test_another_word_is_refused(watched: Watched) -> None:
    with pytest.raises(InvalidInput, match="raise, allow or deny"):
        RateLimiter(watched, if_unreachable="ignore")  # type: ignore[arg-type]


async def test_of_many_that_wait_for_a_connection_few_ask_for_a_denied_key(dsn: str, clock: Clock) -> None:
    async with open_pool(dsn, max_size=1, timeout=30.0) as pool:
        connection = await pool.getconn()
        # However long they wait, the denial is remembered.
        limiter = RateLimiter(pool, if_unreachable="raise", clock=clock)
        execute, asked = connection.execute, 0

        async def counting(*arguments: Any, **options: Any) -> Any:
            nonlocal asked
            asked += 1
            return await execute(*arguments, **options)

        connection.execute = counting  # type: ignore[method-assign]
        takes = [asyncio.create_task(limiter.take("acme", "k", LIMIT, 3)) for _ in range(20)]
        await asyncio.sleep(0)
        await pool.putconn(connection)
        assert [each.allowed for each in await asyncio.gather(*takes)].count(True) == 1

    # The one that is allowed, and the first that is denied.
    assert asked == 2
