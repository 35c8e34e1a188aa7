"""Takes from keys that all pods share: as many as the limit allows, and no fewer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl import open_pool
from pendingctl.embedded import throwaway_pair, throwaway_server
from pendingctl.errors import DatabaseBusy, DatabaseFailed, InvalidInput
from pendingctl.limits import Limit, RateLimiter, statements
from pendingctl.postgres.connections import connect
from pendingctl.race.limits.facts import KeyFacts
from pendingctl.race.limits.history import Moment, Take, TakeOutcome
from pendingctl.race.limits.laws import limit_never_exceeded, no_false_denial
from pendingctl.schema import migrations
from tests.limits.conftest import IMPATIENT_TAKE
from tests.locks import until_waiting_for_a_lock

SECOND = timedelta(seconds=1)
SLOW = Limit(1, timedelta(hours=1), burst=3)


@pytest.fixture
async def pods(dsn: str) -> AsyncIterator[list[RateLimiter]]:
    async with AsyncExitStack() as stack:
        pools = [await stack.enter_async_context(open_pool(dsn, min_size=4, max_size=4)) for _ in range(3)]
        yield [RateLimiter(pool, if_unreachable="raise") for pool in pools]


def leave(connection: psycopg.Connection, tat: str, key: str = "k") -> None:
    """Write when a key is free again, as an expression or a time."""
    connection.execute(
        f"insert into pending_rate_limit values ('acme', %s, {tat}) "
        "on conflict (organization_id, key) do update set tat = excluded.tat".encode(),
        [key],
    )


def now() -> Moment:
    """A reading of this process's clock, in which a race reads the database's."""
    return Moment(time.monotonic_ns() // 1_000, 0)


@pytest.mark.law(19)
@pytest.mark.parametrize("cost", [1, 3])
async def test_pods_that_take_at_once_get_what_the_limit_allows_and_no_more(pods: list[RateLimiter], cost: int) -> None:
    limit = Limit(150, SECOND, burst=12)
    takes: list[Take] = []
    until = time.monotonic() + 0.4

    def both_were_seen() -> bool:
        return {take.outcome for take in takes} == {TakeOutcome.ALLOWED, TakeOutcome.DENIED}

    async def keep_taking(pod: RateLimiter) -> None:
        # A machine that is too busy to reach the limit goes on until it does.
        while time.monotonic() < until or not both_were_seen():
            began = now()
            decision = await pod.take("acme", "hot", limit, cost)
            outcome = TakeOutcome.ALLOWED if decision.allowed else TakeOutcome.DENIED
            takes.append(Take("", len(takes), "acme", "hot", cost, False, began, outcome, now()))
            # Some wait too short a time, and are denied again.
            await asyncio.sleep(decision.retry_after.total_seconds() * 0.9)

    async with asyncio.timeout(60):
        await asyncio.gather(*(keep_taking(pod) for pod in pods for _ in range(4)))

    facts = KeyFacts("acme/hot", limit, tuple(sorted(takes, key=lambda take: take.began.at_us)), (), ())
    assert [*limit_never_exceeded(facts), *no_false_denial(facts)] == []


async def test_the_first_takes_of_a_key_at_the_same_moment_share_its_burst(pods: list[RateLimiter]) -> None:
    for round in range(10):
        takes = [pod.take("acme", f"new-{round}", SLOW) for pod in pods for _ in range(4)]
        assert [each.allowed for each in await asyncio.gather(*takes)].count(True) == SLOW.burst


async def test_a_key_whose_first_take_is_being_committed_is_waited_for(
    limiter: RateLimiter, connection: psycopg.Connection, dsn: str
) -> None:
    """The take has not seen the row, and may not write it."""
    with psycopg.connect(dsn) as first:
        leave(first, "now() + interval '3 hours'")
        taking = asyncio.create_task(limiter.take("acme", "k", SLOW))
        await until_waiting_for_a_lock(connection)
        first.commit()
        decision = await taking

    assert not decision.allowed
    assert timedelta(minutes=59) < decision.retry_after <= timedelta(hours=1)


async def test_a_denial_that_a_take_elsewhere_has_caused_says_how_long_to_wait(
    limiter: RateLimiter, connection: psycopg.Connection, dsn: str
) -> None:
    """The row as the statement began would have allowed it."""
    leave(connection, "now()")
    with psycopg.connect(dsn) as other:
        leave(other, "now() + interval '3 hours'")
        taking = asyncio.create_task(limiter.take("acme", "k", SLOW))
        await until_waiting_for_a_lock(connection)
        other.commit()
        decision = await taking

    assert not decision.allowed
    assert timedelta(minutes=59) < decision.retry_after <= timedelta(hours=1)


@pytest.mark.law(16)
async def test_a_locked_key_is_given_up_and_delays_no_other(
    limiter: RateLimiter, connection: psycopg.Connection, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(connection, "now()")
    with psycopg.connect(dsn) as holding:
        holding.execute("select from pending_rate_limit for update")
        taking = asyncio.create_task(limiter.take("acme", "k", SLOW))
        await until_waiting_for_a_lock(connection)
        assert (await limiter.take("acme", "another", SLOW)).allowed
        assert not taking.done()
        holding.rollback()
        assert (await taking).allowed

        monkeypatch.setattr(statements, "TAKE", IMPATIENT_TAKE)
        holding.execute("select from pending_rate_limit where key = 'k' for update")
        with pytest.raises(DatabaseBusy):
            await limiter.take("acme", "k", SLOW)


@pytest.mark.law(19)
async def test_a_denial_writes_nothing_and_waits_for_no_lock(
    limiter: RateLimiter, elsewhere: RateLimiter, connection: psycopg.Connection, dsn: str
) -> None:
    leave(connection, "now() + interval '3 hours'")
    version = "select ctid, xmin, xmax, tat from pending_rate_limit"
    before = connection.execute(version.encode()).fetchall()
    with psycopg.connect(dsn) as holding:
        assert not (await limiter.take("acme", "k", SLOW)).allowed
        assert connection.execute(version.encode()).fetchall() == before
        holding.execute("select from pending_rate_limit for update")
        # Not by what the first one remembers.
        assert not (await elsewhere.take("acme", "k", SLOW)).allowed


@pytest.mark.law(19)
@pytest.mark.parametrize("tat", ["now() + interval '1 hour'", "'infinity'", "'294000-01-01'"])
async def test_a_clock_set_back_costs_one_burst_at_most(
    limiter: RateLimiter, elsewhere: RateLimiter, connection: psycopg.Connection, tat: str
) -> None:
    limit = Limit(1, timedelta(minutes=10), burst=5)
    leave(connection, tat)

    denied = await limiter.take("acme", "k", limit)

    assert (denied.allowed, denied.remaining) == (False, 0)
    assert timedelta() < denied.retry_after <= limit.unit
    assert denied.reset_after <= limit.unit * limit.burst
    # A whole burst's time passes.
    connection.execute("update pending_rate_limit set tat = tat - %s", [limit.unit * limit.burst])
    assert (await elsewhere.take("acme", "k", limit, limit.burst)).allowed
    assert not (await elsewhere.take("acme", "k", limit, limit.burst)).allowed


async def test_a_denial_is_certain_also_where_the_row_that_leads_too_far_is_locked(
    limiter: RateLimiter, elsewhere: RateLimiter, dsn: str, connection: psycopg.Connection
) -> None:
    leave(connection, "'infinity'")
    with psycopg.connect(dsn) as holding:
        holding.execute("select from pending_rate_limit for update")
        assert not (await limiter.take("acme", "k", SLOW)).allowed
    assert not (await elsewhere.take("acme", "k", SLOW)).allowed

    assert connection.execute("select tat = 'infinity' from pending_rate_limit").fetchone() == (False,)


async def test_a_key_that_was_free_for_ever_has_one_burst(limiter: RateLimiter, connection: psycopg.Connection) -> None:
    leave(connection, "'-infinity'")

    assert [(await limiter.take("acme", "k", SLOW)).allowed for _ in range(4)] == [True, True, True, False]


async def test_a_limit_of_ten_years_is_counted_like_any_other(limiter: RateLimiter) -> None:
    limit = Limit(1, timedelta(days=3650), burst=1)

    assert (await limiter.take("acme", "k", limit)).allowed
    denied = await limiter.take("acme", "k", limit)

    assert not denied.allowed
    assert timedelta(days=3649) < denied.retry_after <= limit.per


async def test_a_cost_above_the_burst_takes_nothing(limiter: RateLimiter, connection: psycopg.Connection) -> None:
    with pytest.raises(InvalidInput, match="never be allowed"):
        await limiter.take("acme", "k", SLOW, 4)
    assert connection.execute("select from pending_rate_limit").fetchall() == []


@pytest.mark.parametrize(("organization", "key"), [("", "k"), ("acme", ""), ("acme", "k" * 256), ("a\0", "k")])
async def test_a_key_that_no_row_can_hold_is_refused(limiter: RateLimiter, organization: str, key: str) -> None:
    with pytest.raises(InvalidInput):
        await limiter.take(organization, key, SLOW)


async def test_keys_are_an_organizations_which_need_not_exist(limiter: RateLimiter) -> None:
    for organization in ("acme", "nobody"):
        assert (await limiter.take(organization, "k", SLOW, 3)).allowed
    assert not (await limiter.take("nobody", "k", SLOW)).allowed


async def test_showing_takes_nothing(limiter: RateLimiter) -> None:
    await limiter.take("acme", "k", SLOW, 2)

    for _ in range(2):
        shown = await limiter.show("acme", "k", SLOW)
        assert (shown.allowed, shown.remaining, shown.retry_after) == (True, 1, timedelta())
    assert not (await limiter.show("acme", "k", SLOW, 2)).allowed
    assert (await limiter.show("acme", "unknown", SLOW)).remaining == 3


async def test_a_reset_gives_the_whole_burst_again(limiter: RateLimiter) -> None:
    await limiter.take("acme", "k", SLOW, 3)
    assert not (await limiter.take("acme", "k", SLOW)).allowed

    assert await limiter.reset("acme", "k")

    assert (await limiter.take("acme", "k", SLOW, 3)).allowed
    assert not await limiter.reset("acme", "unknown")


@pytest.mark.once
@pytest.mark.law(19)
async def test_a_crash_of_the_server_gives_each_key_one_further_burst() -> None:
    with throwaway_server() as server:
        migrations.apply(server.dsn)
        for _ in range(2):
            async with open_pool(server.dsn) as pool:
                pod = RateLimiter(pool, if_unreachable="raise")
                assert [(await pod.take("acme", "k", SLOW)).allowed for _ in range(4)] == [True, True, True, False]
            server.restart()


@pytest.mark.once
async def test_a_standby_counts_nothing_and_says_where_to_connect() -> None:
    with throwaway_pair() as pair:
        migrations.apply(make_conninfo(pair.primary.dsn, options="-csynchronous_commit=remote_apply"))
        async with open_pool(pair.standby.dsn) as pool:
            for pod in (RateLimiter(pool, if_unreachable="raise"), RateLimiter(pool, if_unreachable="deny")):
                with pytest.raises(DatabaseFailed, match="this server is a standby; connect to the primary"):
                    await pod.show("acme", "k", SLOW)
            assert not (await pod.take("acme", "k", SLOW)).allowed
        with pytest.raises(DatabaseFailed, match="reset default_transaction_isolation"):
            await connect(
                make_conninfo(pair.standby.dsn, options="-cdefault_transaction_isolation=serializable"),
                application="a test",
            )
