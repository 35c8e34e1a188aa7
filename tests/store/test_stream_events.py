"""What becomes of a question is appended to its stream, once for each asking, and to no other."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Claim, PendingStore, PutOutcome, Scope
from pendingctl.errors import InvalidInput, Undelivered
from pendingctl.events.model import Event, StreamName
from pendingctl.events.streams import Streams
from pendingctl.payload import question_payload
from pendingctl.pod.stream_events import ENDED, POSTED
from pendingctl.postgres.connections import Pool
from tests.endings import pass_the_deadline
from tests.events.streaming import TALK, read_all, said
from tests.questions import PAYLOAD, SCOPE, age, click, swept
from tests.store.question_streams import answer, appending, catch_up, lease, on_the_stream, post, withdraw

HOUR = timedelta(hours=1)
CHANGED = question_payload("Deploy anew?", ["yes", "no"], {"conversation_id": "C1"})


@pytest.mark.law(14)
async def test_the_card_is_appended_when_it_is_posted_and_the_ending_after_it(
    store: PendingStore, streams: Streams
) -> None:
    asked = (await store.put("q", SCOPE, PAYLOAD, show=True, stream="talk")).ask_number
    await catch_up(store, streams)
    assert await on_the_stream(streams) == []

    await post(store, asked)
    await catch_up(store, streams)
    assert await on_the_stream(streams) == [(POSTED, asked, None)]

    await answer(store)
    await catch_up(store, streams)
    await catch_up(store, streams)
    posted, ended = [item for item in await read_all(streams) if isinstance(item, Event)]
    assert json.loads(posted.data).items() >= {"question_id": "q", "ask_number": asked, "text": "Deploy?"}.items()
    assert (
        json.loads(ended.data).items()
        >= {"question_id": "q", "outcome": "answered", "answer": "yes", "answered_by": "U1"}.items()
    )
    assert not (await store.leases.due()).events


@pytest.mark.law(14)
@pytest.mark.parametrize("outcome", ["answered", "defaulted", "expired", "withdrawn"])
async def test_every_ending_is_appended_once(
    store: PendingStore, streams: Streams, connection: psycopg.Connection, outcome: str
) -> None:
    default = "no" if outcome == "defaulted" else None
    stored = await store.put("q", SCOPE, PAYLOAD, show=True, expires_in=HOUR, default=default, stream="talk")
    asked = stored.ask_number
    await post(store, asked)
    match outcome:
        case "answered":
            await answer(store)
        case "withdrawn":
            await withdraw(store)
        case _:
            pass_the_deadline(connection)
            assert await store.leases.expire(limit=1) == 1
    assert (await store.leases.due()).events
    await catch_up(store, streams)

    assert await on_the_stream(streams) == [(POSTED, asked, None), (ENDED, asked, outcome)]


async def test_questions_share_a_stream_and_organizations_do_not(store: PendingStore, streams: Streams) -> None:
    asked = [
        (await store.put(id, scope, PAYLOAD, stream="talk")).ask_number
        for id, scope in (("one", SCOPE), ("two", SCOPE), ("elsewhere", Scope("globex", "slack", "U1")))
    ]
    for id, organization in (("two", "acme"), ("one", "acme"), ("elsewhere", "globex")):
        assert isinstance(await store.claim(click(id, organization_id=organization)), Claim)
        await catch_up(store, streams)

    assert await on_the_stream(streams) == [(ENDED, asked[1], "answered"), (ENDED, asked[0], "answered")]
    assert await on_the_stream(streams, StreamName("globex", "talk")) == [(ENDED, asked[2], "answered")]


@pytest.mark.law(12)
async def test_an_id_that_comes_back_after_a_sweep_ends_anew(
    store: PendingStore, streams: Streams, connection: psycopg.Connection
) -> None:
    asked = []
    for _ in range(2):
        asked.append((await store.put("q", SCOPE, PAYLOAD, stream="talk")).ask_number)
        await answer(store)
        await catch_up(store, streams)
        age(connection, 25)
        assert await swept(store) == ["q"]

    assert await on_the_stream(streams) == [(ENDED, number, "answered") for number in asked]


async def test_a_question_without_a_stream_has_nothing_to_append(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    await answer(store)

    assert not (await store.leases.due()).events
    assert await lease(store) == []


@pytest.mark.law(14)
@pytest.mark.parametrize("end", [answer, withdraw, None], ids=["answered", "withdrawn", "superseded"])
async def test_a_former_asking_whose_ending_is_due_keeps_it_when_the_id_is_asked_again(
    store: PendingStore, streams: Streams, end: Callable[[PendingStore], Awaitable[None]] | None
) -> None:
    first = (await store.put("q", SCOPE, PAYLOAD, show=True, stream="talk")).ask_number
    await post(store, first)
    if end is not None:
        await end(store)
    again = await store.put("q", SCOPE, CHANGED, show=True, stream="other")
    await answer(store)
    await store.put("q", SCOPE, PAYLOAD, show=True)
    assert again.outcome is (PutOutcome.SUPERSEDED if end is None else PutOutcome.REOPENED)
    await catch_up(store, streams)

    outcome = "superseded" if end is None else "answered" if end is answer else "withdrawn"
    assert await on_the_stream(streams) == [(POSTED, first, None), (ENDED, first, outcome)]
    assert await on_the_stream(streams, StreamName("acme", "other")) == [(ENDED, again.ask_number, "answered")]
    assert not (await store.leases.due()).events


async def test_a_retry_keeps_the_stream_and_names_one_where_there_was_none(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for stream in (None, "talk", "other", None):
        await store.put("q", SCOPE, PAYLOAD, stream=stream)

    assert connection.execute("select stream, stream_due_at is null from pending_interactions").fetchall() == [
        ("talk", False)
    ]


async def test_a_closed_stream_gets_nothing_and_the_row_says_so(store: PendingStore, streams: Streams) -> None:
    await streams.append(TALK, said("hello"))
    await streams.close(TALK)
    await store.put("q", SCOPE, PAYLOAD, stream="talk")
    await answer(store)
    await catch_up(store, streams)

    assert not (await store.leases.due()).events
    row = await store.inspection.get("q")
    assert row is not None
    assert row.stream_error == "stream talk is closed, with 1 events; append to another stream"
    assert (row.stream, row.stream_due_at) == ("talk", None)


async def test_a_deleted_stream_begins_anew(store: PendingStore, streams: Streams) -> None:
    await streams.append(TALK, said("hello"))
    await streams.delete(TALK)
    await store.put("q", SCOPE, PAYLOAD, stream="talk")
    await answer(store)
    await catch_up(store, streams)

    assert [outcome for _, _, outcome in await on_the_stream(streams)] == ["answered"]


async def test_a_stream_whose_name_is_none_is_refused_and_one_that_somebody_wrote_is_left_out(
    store: PendingStore, streams: Streams, connection: psycopg.Connection
) -> None:
    with pytest.raises(InvalidInput, match="the stream's name"):
        await store.put("q", SCOPE, PAYLOAD, stream="a b")
    await store.put("q", SCOPE, PAYLOAD, stream="talk")
    await answer(store)
    connection.execute("update pending_interactions set stream = 'a b'")
    await catch_up(store, streams)

    row = await store.inspection.get("q")
    assert row is not None
    assert row.stream_error is not None
    assert row.stream_error.startswith("the stream's name is not")


async def test_an_answer_that_is_too_large_for_an_event_is_left_out_of_it(
    store: PendingStore, streams: Streams, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, question_payload("Why?", []), stream="talk")
    await store.claim(click(value="x"))
    connection.execute("update pending_interactions set answer = repeat(chr(1), 200000)")
    await catch_up(store, streams)

    (ended,) = [item for item in await read_all(streams) if isinstance(item, Event)]
    assert json.loads(ended.data).items() >= {"outcome": "answered", "answer": None, "is_shortened": True}.items()


@pytest.mark.law(8)
async def test_what_is_to_be_appended_delays_the_sweep_by_one_further_maximum_age_at_most(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for id in ("q", "appended"):
        await store.put(id, SCOPE, PAYLOAD, stream="talk")
        await store.claim(click(id))
    connection.execute("update pending_interactions set stream_appended = 2 where id = 'appended'")
    age(connection, 25)
    assert await swept(store) == ["appended"]

    age(connection, 24)
    assert await swept(store) == ["q"]


@pytest.mark.law(14)
async def test_a_stale_question_with_a_stream_expires_before_it_is_swept(
    store: PendingStore, streams: Streams, connection: psycopg.Connection
) -> None:
    asked = (await store.put("q", SCOPE, PAYLOAD, stream="talk")).ask_number
    await store.put("without", SCOPE, PAYLOAD)
    age(connection, 25)

    assert await swept(store) == ["without"]
    await catch_up(store, streams)
    assert await on_the_stream(streams) == [(ENDED, asked, "expired")]
    age(connection, 25)
    assert await swept(store) == ["q"]


async def test_an_ending_that_is_to_be_appended_is_deleted_on_request_alone(
    store: PendingStore, streams: Streams
) -> None:
    await store.put("q", SCOPE, PAYLOAD, stream="talk")
    await answer(store)
    with pytest.raises(Undelivered, match="is not on its stream yet"):
        await store.delete("q", SCOPE)
    await catch_up(store, streams)

    assert await store.delete("q", SCOPE)


async def test_an_organization_that_is_gone_has_taken_its_questions_and_streams_with_it(
    store: PendingStore, streams: Streams
) -> None:
    await store.put("q", SCOPE, PAYLOAD, stream="talk")
    await answer(store)
    (leased,) = await lease(store)
    await store.delete_organization("acme")

    assert not await store.leases.append_events(leased, appending(streams, leased))


@pytest.mark.law(15)
async def test_another_application_has_nothing_to_append(store: PendingStore, pool: Pool) -> None:
    await store.put("q", SCOPE, PAYLOAD, stream="talk")
    await answer(store)
    other = PendingStore(pool, application="other")

    assert not (await other.leases.due()).events
    assert await lease(other) == []


@pytest.mark.law(16)
async def test_organizations_take_turns(store: PendingStore, connection: psycopg.Connection) -> None:
    connection.execute(
        """
        insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload,
                                          claimed_at, stream, stream_due_at)
        select organization || n, organization, 'slack', 'U1', '{}', now(), 'talk',
               now() - case organization when 'acme' then interval '1 hour' else interval '1 minute' end
        from unnest(array['acme', 'globex']) as organization cross join generate_series(1, 50) as n
        """
    )

    assert sorted(each.organization_id for each in await lease(store, limit=4)) == ["acme"] * 2 + ["globex"] * 2
