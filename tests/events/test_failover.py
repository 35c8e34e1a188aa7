"""Streams over a failover to a standby that had not got all commits: what is lost is reported, and all else goes on."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from pendingctl import open_pool
from pendingctl.embedded import Pair, throwaway_pair
from pendingctl.errors import DatabaseFailed, DatabaseUnreachable, NotConnected
from pendingctl.events.model import Appended, End, NewEvent, Reset, StreamName
from pendingctl.events.streams import Streams
from pendingctl.limits import Limit, RateLimiter
from pendingctl.schema import migrations
from tests.deliveries import until
from tests.events.streaming import said
from tests.events.writers import datas, given

pytestmark = pytest.mark.once

KEPT, SHORTENED, LOST = (StreamName("acme", name) for name in ("kept", "shortened", "lost"))


def prepare(pair: Pair) -> None:
    migrations.apply(pair.dsn)
    with psycopg.connect(pair.dsn, autocommit=True) as connection:
        connection.execute("insert into organization (id) values ('acme')")


async def append(streams: Streams, stream: StreamName, events: list[NewEvent], expected: int) -> Appended:
    """Append as a writer does that knows where the stream was: again and again, while the database is away."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await streams.append(stream, events, expected=expected)
            except DatabaseUnreachable:
                await asyncio.sleep(0.05)


@pytest.mark.law(18)
async def test_whoever_read_what_a_failover_lost_is_given_the_history_that_is_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with throwaway_pair(is_synchronous=False) as pair:
        prepare(pair)
        async with open_pool(pair.dsn) as pool, open_pool(pair.standby.dsn) as pool_at_the_standby:
            streams, at_the_standby = Streams(pool), Streams(pool_at_the_standby)
            for stream in (KEPT, SHORTENED):
                await streams.append(stream, said("one"))
            await asyncio.to_thread(pair.fall_behind)
            lost = await streams.append(SHORTENED, said("two", "three"))
            created_late = await streams.append(LOST, said("one"))
            readers = {stream: streams.subscribe(stream) for stream in (KEPT, SHORTENED, LOST)}
            assert datas(await given(readers[KEPT], 1)) == ["one"]
            assert datas(await given(readers[SHORTENED], 3)) == ["one", "two", "three"]
            assert datas(await given(readers[LOST], 1)) == ["one"]
            # What the standby has not got is yet to come there, and neither lost nor deleted, until it is promoted.
            for stream, position in ((SHORTENED, lost.cursor), (LOST, created_late.cursor)):
                with pytest.raises(DatabaseFailed, match="this server is a standby"):
                    await at_the_standby.read(stream, position)
            waiting = [
                asyncio.create_task(given(at_the_standby.subscribe(stream, position), 1))
                for stream, position in ((SHORTENED, lost.cursor), (LOST, created_late.cursor))
            ]
            await until(lambda: "this server is a standby" in caplog.text)
            assert not any(task.done() for task in waiting)

            await asyncio.to_thread(pair.fail_over)

            assert await asyncio.gather(*waiting) == [[Reset(1)], [End(1)]]
            # Its writer is on another pod, and repeats what has no reply.
            assert (await append(streams, KEPT, said("two"), 1)).last_seq == 2
            assert datas(await given(readers[KEPT], 1)) == ["two"]
            items = await given(readers[SHORTENED], 2)
            assert (items[0], datas(items)) == (Reset(1), ["one"])
            again = await append(streams, SHORTENED, said("another two", "another three"), 1)
            assert (again.last_seq, again.is_repeated) == (lost.last_seq, False)
            assert datas(await given(readers[SHORTENED], 2)) == ["another two", "another three"]
            # A stream whose creation is lost is one that was deleted, until it is made again.
            assert await given(readers[LOST], 1) == [End(1)]
            assert (await append(streams, LOST, said("another one"), 0)).first_seq == 1

            for stream, position, expected in (
                (SHORTENED, lost.cursor, ["one", "another two", "another three"]),
                (LOST, created_late.cursor, ["another one"]),
            ):
                returning = await given(streams.subscribe(stream, position), 1 + len(expected))
                assert (returning[0], datas(returning)) == (Reset(len(expected)), expected)
                page = await streams.read(stream, position)
                assert (page.items[0], datas(list(page.items))) == (Reset(len(expected)), expected)
            await streams.drain()
            await at_the_standby.drain()


async def test_a_failover_gives_each_key_of_a_limit_one_further_burst_at_most() -> None:
    limit = Limit(rate=2, per=timedelta(hours=1), burst=2)
    with throwaway_pair(is_synchronous=False) as pair:
        prepare(pair)
        async with open_pool(pair.dsn) as pool:
            limiter = RateLimiter(pool, if_unreachable="raise")
            assert [(await limiter.take("acme", "k", limit)).allowed for _ in range(3)] == [True, True, False]
            await asyncio.to_thread(pair.fail_over)
            # By now this pod remembers no denial.
            await asyncio.sleep(1)
            async with asyncio.timeout(20):
                allowed: list[bool] = []
                perhaps = 0
                while len(allowed) < 4:
                    try:
                        allowed.append((await limiter.take("acme", "k", limit)).allowed)
                    except DatabaseUnreachable as error:
                        # A take whose reply was lost may have been done.
                        perhaps += not isinstance(error, NotConnected)
                        await asyncio.sleep(0.05)
            assert 2 - perhaps <= sum(allowed) <= 2
