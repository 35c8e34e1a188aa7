"""Streams of `serve`: programs append to them, and browsers with a ticket read them at any pod."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest

from pendingctl.demo.slack_server import FakeSlack
from pendingctl.events.model import StreamName
from pendingctl.events.streams import Streams
from pendingctl.postgres.connections import Pool
from pendingctl.serve import callers
from pendingctl.serve.configuration import Streams as StreamSettings
from pendingctl.serve.metrics import Metrics
from pendingctl.serve.problems import application
from pendingctl.serve.streams_app import StreamsApp
from pendingctl.sse.tickets import COOKIE, Tickets
from tests.events.writers import append, delete, turn
from tests.locks import until_waiting_for_a_lock
from tests.outages import away
from tests.serve.clients import PATIENCE, listening_for
from tests.sse.event_source import reading, until

from .applications import ORIGIN, bearer, usual
from .pods import OTHER_TOKEN, TOKEN, configuration, served
from .test_metrics import value
from .test_problems import is_a_problem

KEY = "a-stream-key-of-40-random-characters-...."
STREAMS = f'[streams]\nkeys = ["{KEY}"]\n'


@dataclass
class Pod:
    """What a pod serves of streams: `internal` has acme's token, and `url` is that of the public listener."""

    internal: httpx.AsyncClient
    url: str
    metrics: Metrics
    streams: Streams

    async def append(self, *texts: str, name: str = "talk", **more: object) -> httpx.Response:
        events = [{"type": "said", "data": text} for text in texts]
        return await self.internal.post(f"/streams/{name}/events", json={"events": events, **more})

    async def ticket(self, name: str = "talk", *, token: str = TOKEN) -> str:
        answered = await self.internal.post(f"/streams/{name}/tickets", headers=bearer(token))
        assert answered.status_code == 200
        return str(answered.json()["ticket"])

    async def status(self, path: str, **headers: str) -> int:
        """The status of a response whose body is not waited for."""
        async with (
            httpx.AsyncClient(verify=False, timeout=PATIENCE) as client,
            client.stream("GET", f"{self.url}{path}", headers=headers) as answered,
        ):
            return answered.status_code


@pytest.fixture
async def pods(pool: Pool, tmp_path: Path) -> AsyncIterator[tuple[Pod, Pod]]:
    given = replace(usual(tmp_path, "https://slack.test/api/", more=STREAMS), public_url="https://bot.example.com")
    assert given.streams is not None
    async with AsyncExitStack() as stack:
        made = []
        for _ in range(2):
            streams, metrics = Streams(pool), Metrics()
            stack.push_async_callback(streams.settled)
            stack.push_async_callback(streams.drain, 0)
            app = StreamsApp(given, given.streams, streams, metrics)
            listening = await stack.enter_async_context(listening_for(app.before(application([]))))
            transport = httpx.ASGITransport(application(app.routes))
            internal = httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=bearer(TOKEN))
            await stack.enter_async_context(internal)
            made.append(Pod(internal, f"http://127.0.0.1:{listening.port}", metrics, streams))
        yield made[0], made[1]


async def test_what_a_program_appends_at_one_pod_a_browser_reads_at_another(pods: tuple[Pod, Pod]) -> None:
    here, there = pods
    appended = await here.append("one", "two")
    assert appended.status_code == 201
    assert (appended.json()["first_seq"], appended.json()["last_seq"]) == (1, 2)
    before = datetime.now(UTC).replace(microsecond=0)
    signed = (await here.internal.post("/streams/talk/tickets")).json()
    assert signed["url"] == f"https://bot.example.com/streams/talk?ticket={signed['ticket']}"
    lifetime = timedelta(minutes=10)
    assert before + lifetime <= datetime.fromisoformat(signed["expires_at"]) <= datetime.now(UTC) + lifetime
    async with reading(f"{there.url}/streams/talk?ticket={signed['ticket']}") as source:
        assert [event.data for event in await source.events(2)] == ["one", "two"]
        assert source.dispatched[1].id == appended.json()["cursor"]
        await here.append("three")
        assert (await source.events(3))[2].data == "three"
        assert value(there.metrics, "pendingctl_stream_readers") == 1
        closed = await here.internal.post("/streams/talk/close")
        assert (closed.status_code, closed.json()) == (200, {"last_seq": 3})
        assert (await source.ended())[-1].type == "pendingctl.end"
    assert (
        await there.status(f"/streams/talk?ticket={signed['ticket']}", **{"Last-Event-ID": source.last_event_id}) == 204
    )
    assert value(there.metrics, "pendingctl_stream_events_sent_total") == 3
    assert value(there.metrics, "pendingctl_stream_events_read_total") == 3


async def test_an_append_that_is_repeated_is_there_once(pods: tuple[Pod, Pod]) -> None:
    here, there = pods
    first = await here.append("one", "two", expected=0)
    again = await there.append("one", "two", expected=0)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    other = await there.append("one", "three", expected=0)
    assert (other.status_code, is_a_problem(other)) == (409, True)
    await here.internal.post("/streams/talk/close")
    after = await here.append("four")
    assert (after.status_code, is_a_problem(after)) == (409, True)
    assert (await here.append("one", "two", expected=0)).status_code == 200


async def test_a_repetition_is_known_for_as_long_as_its_events_are_there(
    pods: tuple[Pod, Pod], connection: psycopg.Connection
) -> None:
    here, there = pods
    first = await here.append("one", "two", expected=0)
    connection.execute("update pending_stream_ring set slot = 1")
    await here.append("three", expected=2)
    await here.internal.post("/streams/talk/close")
    # Closed as well: it was appended.
    assert (await there.append("one", "two", expected=0)).json() == first.json()
    turn(connection, 0)
    assert (await there.append("one", "two", expected=0)).status_code == 409
    assert (await there.append("three", expected=2)).status_code == 200
    delete(connection, StreamName("acme", "talk"))
    assert (await there.append("three", expected=2)).status_code == 409
    # As the first append of another stream.
    again = await there.append("one", "two", expected=0)
    assert (again.status_code, again.json()["last_seq"]) == (201, 2)
    assert again.json()["cursor"] != first.json()["cursor"]


async def test_of_two_writers_at_one_position_one_is_refused(pods: tuple[Pod, Pod]) -> None:
    for position in range(10):
        both = await asyncio.gather(*(pod.append(f"{pod.url} {position}", expected=position) for pod in pods))
        assert sorted(each.status_code for each in both) == [201, 409]
    async with reading(f"{pods[0].url}/streams/talk?ticket={await pods[0].ticket()}") as source:
        assert [event.data.partition(" ")[2] for event in await source.events(10)] == [str(n) for n in range(10)]


async def test_readers_of_a_stream_that_is_made_again_are_told(
    pods: tuple[Pod, Pod], connection: psycopg.Connection
) -> None:
    here, there = pods
    await here.append("one", "two")
    path = f"/streams/talk?ticket={await here.ticket()}"
    async with reading(f"{here.url}{path}") as source:
        await source.events(2)
        with connection.transaction():
            delete(connection, StreamName("acme", "talk"))
            append(connection, "new", stream=StreamName("acme", "talk"))
        assert [(event.type, event.data) for event in (await source.events(4))[2:]] == [
            ("pendingctl.reset", "{}"),
            ("said", "new"),
        ]
        of_this = source.last_event_id
        delete(connection, StreamName("acme", "talk"))
        assert (await source.ended())[-1].type == "pendingctl.end"
    assert await there.status(path, **{"Last-Event-ID": of_this}) == 204
    await there.append("newer")
    async with reading(f"{there.url}{path}", last_event_id=of_this) as source:
        assert [event.data for event in await source.events(2)] == ["{}", "newer"]


async def test_readers_of_an_organization_that_is_deleted_are_ended(
    pods: tuple[Pod, Pod], connection: psycopg.Connection
) -> None:
    here, there = pods
    await here.append("one")
    ticket = await here.ticket()
    async with reading(f"{there.url}/streams/talk?ticket={ticket}") as source:
        await source.events(1)
        connection.execute("delete from organization where id = 'acme'")
        assert (await source.ended())[-1].type == "pendingctl.end"
    path = f"/streams/talk?ticket={ticket}"
    assert await there.status(path, **{"Last-Event-ID": source.last_event_id}) == 204
    refused = await here.append("two")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")


async def test_events_beyond_all_number_are_refused_before_they_are_looked_at(pods: tuple[Pod, Pod]) -> None:
    refused = await pods[0].internal.post("/streams/talk/events", json={"events": [{}] * 10_001})
    assert (refused.status_code, is_a_problem(refused)) == (400, True)
    assert "at most 10,000" in refused.json()["detail"]


@pytest.mark.parametrize("is_stated", [True, False], ids=["stated", "chunked"])
async def test_bodies_that_wait_are_bounded_and_leave_room_for_those_of_others(
    pods: tuple[Pod, Pod], dsn: str, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch, *, is_stated: bool
) -> None:
    monkeypatch.setattr(callers, "MOST_BYTES", 10_000)
    body = json.dumps({"events": [{"type": "said", "data": "x" * 4_000}]}).encode()

    async def append(**more: str) -> httpx.Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield body

        headers = {"Content-Type": "application/json", **more}
        content = body if is_stated else chunks()
        return await pods[0].internal.post("/streams/talk/events", content=content, headers=headers)

    assert (await append()).status_code == 201
    with psycopg.connect(dsn) as holder:
        holder.execute("select from pending_stream where organization_id = 'acme' for update")
        waiting = [asyncio.create_task(append()) for _ in range(2)]
        await until_waiting_for_a_lock(connection, 2)
        refused = await append()
        assert (refused.status_code, refused.headers["retry-after"], is_a_problem(refused)) == (429, "1", True)
        assert (await append(**bearer(OTHER_TOKEN))).status_code == 201
    assert [each.status_code for each in await asyncio.gather(*waiting)] == [201, 201]
    assert (await append()).status_code == 201


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{}",
        '{"events": []}',
        '{"events": {"type": "said", "data": "x"}}',
        '{"events": ["x"]}',
        '{"events": [{"type": "said"}]}',
        '{"events": [{"type": "said", "data": {}}]}',
        '{"events": [{"type": "said", "data": "x", "id": 1}]}',
        '{"events": [{"type": "said", "data": "\\u0000"}]}',
        '{"events": [{"type": "a\\nb", "data": "x"}]}',
        '{"events": [{"type": "pendingctl.end", "data": "x"}]}',
        '{"events": [{"type": "said", "data": "x"}], "expected": "1"}',
        '{"events": [{"type": "said", "data": "x"}], "expected": true}',
        '{"events": [{"type": "said", "data": "x"}], "expected": -1}',
        '{"events": [{"type": "said", "data": "x"}], "expected": %s}' % ("9" * 4_000),
        '{"events": [{"type": "said", "data": "x"}], "more": 1}',
    ],
)
async def test_an_append_that_is_unfit_is_a_problem(pods: tuple[Pod, Pod], body: str) -> None:
    headers = {"Content-Type": "application/json"}
    refused = await pods[0].internal.post("/streams/talk/events", content=body, headers=headers)
    assert (refused.status_code, is_a_problem(refused)) == (400, True)
    assert len(refused.json()["detail"]) < 200


async def test_what_else_is_refused_is_a_problem(pods: tuple[Pod, Pod]) -> None:
    internal = pods[0].internal
    json_type = {"Content-Type": "application/json"}
    refused = [
        await internal.post("/streams/talk/events", content="{}"),
        await internal.post("/streams/talk/events", content=b"x" * (5 << 20), headers=json_type),
        await internal.post("/streams/ta%20lk/events", json={"events": [{"type": "said", "data": "x"}]}),
        await internal.post("/streams/talk/close"),
        *[
            await internal.post(f"/streams/talk/{what}", headers={"Authorization": "Bearer x"})
            for what in ("events", "close", "tickets")
        ],
        await internal.get("/streams/talk/events"),
        # As it must stand in a URL; browsers take it for a step to the folder above all the same.
        await internal.post("/streams/%2E%2E/tickets"),
    ]
    assert [each.status_code for each in refused] == [415, 413, 400, 404, 401, 401, 401, 405, 400]
    assert all(map(is_a_problem, refused))


async def test_a_ticket_opens_its_own_stream_and_no_other(
    pods: tuple[Pod, Pod], connection: psycopg.Connection
) -> None:
    here, there = pods
    await here.append("one")
    ticket, of_globex = await here.ticket(), await here.ticket(token=OTHER_TOKEN)
    assert await there.status(f"/streams/talk?ticket={ticket}") == 200
    # The cookie counts as well, whatever else stands there, and the query before it.
    cookie = f"a=b; {COOKIE}={of_globex}x; {COOKIE}={ticket}"
    assert await there.status("/streams/talk", Cookie=cookie) == 200
    crumbs = [("Cookie", each) for each in cookie.split("; ")]
    async with httpx.AsyncClient() as client, client.stream("GET", f"{there.url}/streams/talk", headers=crumbs) as read:
        assert read.status_code == 200
    assert await there.status("/streams/talk?ticket=x", Cookie=cookie) == 404
    async with httpx.AsyncClient(verify=False) as client:
        posted = await client.post(f"{there.url}/streams/talk", headers={"Cookie": cookie})
    assert posted.status_code == 405
    expired = Tickets([KEY.encode()]).sign(StreamName("acme", "talk"), datetime.now(UTC))
    foreign = Tickets([b"x" * 40]).sign(StreamName("acme", "talk"), datetime.now(UTC) + timedelta(minutes=1))
    gone = Tickets([KEY.encode()]).sign(StreamName("gone", "talk"), datetime.now(UTC) + timedelta(minutes=1))
    refused = (
        *("/streams/talk", "/streams/talk?ticket=", f"/streams/other?ticket={ticket}", f"/streams/?ticket={ticket}"),
        *(f"/streams/talk?ticket={each}" for each in (expired, foreign, gone, ticket[:-1], f"{ticket}x")),
        *(f"/streams/talk/?ticket={ticket}", f"/streams/talk/events?ticket={ticket}", f"/streams?ticket={ticket}"),
    )
    assert {await there.status(path) for path in refused} == {404}
    # That of another organization opens that one's, which has no events.
    async with reading(f"{there.url}/streams/talk?ticket={of_globex}") as source:
        await until(lambda: source.retry is not None)
        assert source.dispatched == []
    assert connection.execute("select organization_id from pending_stream").fetchall() == [("acme",)]


async def test_a_ticket_that_ends_while_the_database_is_away_is_replaced_and_nothing_is_missed(
    pods: tuple[Pod, Pod], connection: psycopg.Connection, dsn: str
) -> None:
    here, there = pods
    await here.append("one")
    old = Tickets([KEY.encode()]).sign(StreamName("acme", "talk"), datetime.now(UTC) + timedelta(seconds=5))
    async with AsyncExitStack() as stack:
        ending = await stack.enter_async_context(reading(f"{here.url}/streams/talk?ticket={old}"))
        await ending.events(1)
        with away(dsn):
            append(connection, "two", stream=StreamName("acme", "talk"))
            await ending.ended()
            assert await there.status(f"/streams/talk?ticket={old}") == 404
            url = f"{there.url}/streams/talk?ticket={await there.ticket()}"
            again = await stack.enter_async_context(reading(url, last_event_id=ending.last_event_id))
            await until(lambda: again.retry is not None)
            assert (again.response.status_code, again.dispatched) == (200, [])
        assert [event.data for event in ending.dispatched + await again.events(1)] == ["one", "two"]


async def test_the_ring_is_measured(pods: tuple[Pod, Pod]) -> None:
    here, _ = pods
    await here.append("one")
    here.metrics.ring(await here.streams.ring.state())
    assert value(here.metrics, "pendingctl_stream_event_bytes") > 0
    turned = value(here.metrics, "pendingctl_stream_ring_turned_timestamp_seconds")
    assert turned <= time.time() < value(here.metrics, "pendingctl_stream_ring_due_timestamp_seconds")


def test_settings_show_no_secret() -> None:
    shown = repr(StreamSettings(keys=(KEY.encode(),), listen_dsn="postgresql://bot:password@db/bot"))
    assert (KEY in shown, "password" in shown) == (False, False)


async def test_readers_go_on_at_another_pod_when_theirs_is_stopped(dsn: str, slack: FakeSlack, tmp_path: Path) -> None:
    text = configuration(slack_url=slack.url, worker_url=None, more=STREAMS)
    async with AsyncExitStack() as stack:
        here, there = [await stack.enter_async_context(served(text, dsn, tmp_path)) for _ in range(2)]
        client = await stack.enter_async_context(
            httpx.AsyncClient(verify=False, headers=bearer(TOKEN), timeout=PATIENCE)
        )
        answered = await client.post(f"{here.url}/streams/talk/tickets")
        path = str(answered.json()["url"])
        assert re.fullmatch(r"/streams/talk\?ticket=[A-Za-z0-9_.-]+", path)

        async def append(text: str) -> None:
            body = json.dumps({"events": [{"type": "said", "data": text}]})
            headers = {"Content-Type": "application/json"}
            assert (await client.post(f"{there.url}/streams/talk/events", content=body, headers=headers)).is_success

        async with reading(f"http://127.0.0.1:{here.public_port}{path}") as source:
            await append("one")
            await source.events(1)
            stopping = asyncio.create_task(here.stop())
            # It is ended rather than broken off.
            await source.ended()
            assert source.retry is not None
        await append("two")
        resumed = f"http://127.0.0.1:{there.public_port}{path}"
        async with reading(resumed, last_event_id=source.last_event_id) as source:
            assert [event.data for event in await source.events(1)] == ["two"]
        assert await stopping == 0
        metrics = (await client.get(f"{there.url}/metrics")).text
        assert "pendingctl_stream_events_sent_total 1.0" in metrics
        # No ticket stands in a log.
        assert path not in json.dumps([*here.lines, *there.lines])
