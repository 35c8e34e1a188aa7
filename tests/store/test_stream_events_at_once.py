"""Two pods, a session that is cut, a pod that is killed, a lock: an event is appended with its mark, or not at all."""

from __future__ import annotations

import asyncio
import sys

import psycopg
import pytest

from pendingctl import PendingStore
from pendingctl.errors import DatabaseBusy, DatabaseUnreachable
from pendingctl.events.model import StreamName
from pendingctl.events.streams import Streams
from pendingctl.inspected import Concern
from pendingctl.leased import PostedCard
from pendingctl.pod.stream_events import ENDED, POSTED
from pendingctl.postgres.connections import Connection
from tests.events.streaming import TALK, held, said
from tests.questions import PAYLOAD, SCOPE, click
from tests.store.question_streams import answer, appending, catch_up, lease, on_the_stream, post


@pytest.mark.law(14)
async def test_two_pods_append_once(store: PendingStore, streams: Streams, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD, stream="talk")
    await answer(store)
    (one,) = await lease(store)
    connection.execute("update pending_interactions set stream_due_at = now()")
    (other,) = await lease(store)

    async def after_the_other_pod(appending_on: Connection) -> None:
        assert await store.leases.append_events(one, appending(streams, one))
        await appending(streams, other)(appending_on)

    assert not await store.leases.append_events(other, after_the_other_pod)
    assert not await store.leases.append_events(other, appending(streams, other))
    assert len(await on_the_stream(streams)) == 1


@pytest.mark.law(14)
async def test_what_changes_while_it_is_appended_is_rolled_back_and_due_again(
    store: PendingStore, streams: Streams, connection: psycopg.Connection
) -> None:
    first = (await store.put("q", SCOPE, PAYLOAD, show=True, stream="talk")).ask_number
    await post(store, first)
    (leased,) = await lease(store)

    async def overtaken(appending_on: Connection) -> None:
        await appending(streams, leased)(appending_on)
        await answer(store)

    assert not await store.leases.append_events(leased, overtaken)
    assert await on_the_stream(streams) == []
    connection.execute("update pending_interactions set stream_due_at = now()")
    await catch_up(store, streams)
    assert await on_the_stream(streams) == [(POSTED, first, None), (ENDED, first, "answered")]


@pytest.mark.law(14)
async def test_a_session_that_is_cut_between_append_and_mark_leaves_neither(
    store: PendingStore, streams: Streams, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, stream="talk")
    await answer(store)
    (leased,) = await lease(store)

    async def cut(appending_on: Connection) -> None:
        await appending(streams, leased)(appending_on)
        connection.execute("select pg_terminate_backend(%s, 60000)", [appending_on.info.backend_pid])

    with pytest.raises(DatabaseUnreachable):
        await store.leases.append_events(leased, cut)
    assert await on_the_stream(streams) == []
    connection.execute("update pending_interactions set stream_due_at = now()")
    await catch_up(store, streams)
    assert len(await on_the_stream(streams)) == 1


KILLED = """
import asyncio, sys
from datetime import timedelta
from pendingctl import PendingStore, open_pool
from pendingctl.events.streams import Streams
from pendingctl.pod.stream_events import events_of
from pendingctl.postgres.time_limits import Purpose

# A busy machine is no reason to give up.
for purpose in Purpose:
    purpose.seconds = 60.0

async def main():
    async with open_pool(sys.argv[1], timeout=60) as pool:
        store, streams = PendingStore(pool), Streams(pool)
        (leased,) = await store.leases.lease_events(
            lease=timedelta(minutes=1), longest=timedelta(minutes=5), limit=1
        )
        stream, events = events_of(leased)

        async def append(connection):
            await streams.append(stream, events, connection=connection)
            print("appended", flush=True)
            await asyncio.sleep(60)

        await store.leases.append_events(leased, append)

asyncio.run(main())
"""


@pytest.mark.law(14)
async def test_a_pod_that_is_killed_between_append_and_mark_leaves_neither(
    store: PendingStore, streams: Streams, connection: psycopg.Connection, dsn: str
) -> None:
    await store.put("q", SCOPE, PAYLOAD, stream="talk")
    await answer(store)
    pod = await asyncio.create_subprocess_exec(sys.executable, "-c", KILLED, dsn, stdout=asyncio.subprocess.PIPE)
    assert pod.stdout is not None
    assert await asyncio.wait_for(pod.stdout.readline(), 60) == b"appended\n"
    pod.kill()
    await pod.wait()
    assert not (await store.leases.due()).events
    # Until the server has noticed that nobody is there any more.
    for _ in range(300):
        connection.execute("update pending_interactions set stream_due_at = now()")
        await catch_up(store, streams)
        if await on_the_stream(streams):
            break

    assert [outcome for _, _, outcome in await on_the_stream(streams)] == ["answered"]


@pytest.mark.law(16)
async def test_a_locked_stream_holds_up_neither_a_claim_nor_a_sweep_nor_another_stream(
    store: PendingStore, streams: Streams, connection: psycopg.Connection, dsn: str
) -> None:
    await streams.append(TALK, said("hello"))
    asked = (await store.put("q", SCOPE, PAYLOAD, show=True, stream="talk")).ask_number
    await post(store, asked)
    await store.put("elsewhere", SCOPE, PAYLOAD, stream="other")
    await store.claim(click("elsewhere"))
    of_talk = next(each for each in await lease(store) if each.question_id == "q")

    with held(dsn):

        async def while_it_waits(appending_on: Connection) -> None:
            await answer(store)
            assert await store.leases.mark_posted([PostedCard(question_id="q", ask_number=asked, card='"1"')]) == set()
            await appending(streams, of_talk)(appending_on)

        with pytest.raises(DatabaseBusy):
            await store.leases.append_events(of_talk, while_it_waits)
        row = connection.execute("update pending_interactions set stream_due_at = now() returning now()").fetchone()
        assert row is not None
        await catch_up(store, streams)
        assert len(await on_the_stream(streams, StreamName("acme", "other"))) == 1
        assert not (await store.leases.due()).events
        assert connection.execute(
            "select stream_attempts, stream_due_at > %s + interval '12 s' from pending_interactions where id = 'q'", row
        ).fetchall() == [(2, True)]
        (waiting,) = [each for each in await store.inspection.attention() if each.concern is Concern.UNAPPENDED]
        assert waiting.row.stream_error is not None
        assert "lock timeout" in waiting.row.stream_error
    connection.execute("update pending_interactions set stream_due_at = now()")
    await catch_up(store, streams)

    assert await on_the_stream(streams) == [(POSTED, asked, None), (ENDED, asked, "answered")]
    appended = await store.inspection.get("q")
    assert appended is not None
    assert (appended.stream_error, appended.stream_attempts, appended.stream_due_at) == (None, 0, None)


async def test_a_locked_question_holds_up_no_stream(store: PendingStore, streams: Streams, dsn: str) -> None:
    await store.put("q", SCOPE, PAYLOAD, stream="talk")
    await answer(store)
    (leased,) = await lease(store)

    with held(dsn, "select from pending_interactions for update"):
        assert not await store.leases.append_events(leased, appending(streams, leased))
        assert (await streams.append(TALK, said("hello"))).last_seq == 1
