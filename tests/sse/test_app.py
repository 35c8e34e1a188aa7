"""Streams over HTTP, served by uvicorn: what a browser's EventSource is given."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import httpx
import psycopg
import pytest
import uvicorn

from pendingctl.events.model import START, Cursor
from pendingctl.postgres.connections import Pool
from pendingctl.serve.connections import Limits
from pendingctl.sse import app as app_module
from pendingctl.sse import clients as clients_module
from tests.events.writers import CHAT, append, append_numbers, close, delete, turn
from tests.sse.conftest import ORIGIN, Pod, running
from tests.sse.event_source import PATIENCE, Dispatched, Reading, reading, until
from tests.sse.test_slow_readers import stalled


@pytest.fixture
def patient_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes back to an ended stream is told by the status, however long that takes to find out."""
    monkeypatch.setattr(app_module, "LOOK_SECONDS", PATIENCE)


def texts(source: Reading) -> list[str]:
    return [event.data for event in source.dispatched]


async def status(url: str, **headers: str) -> int:
    async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        return (await client.get(url, headers=headers)).status_code


async def head(url: str) -> int:
    """The status of a response whose body is not waited for."""
    async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client, client.stream("GET", url) as response:
        return response.status_code


async def test_uvicorn_takes_it_for_what_it_is(pod: Pod) -> None:
    config = uvicorn.Config(pod.app, log_config=None)
    config.load()
    assert config.interface == "asgi3"


async def test_a_client_gets_what_is_there_and_what_comes(pod: Pod, connection: psycopg.Connection) -> None:
    cursor = append(connection, "one", "two\nlines")
    async with reading(pod.url()) as source:
        assert await source.events(2) == [
            Dispatched(str(Cursor(1, cursor.at)), "said", "one"),
            Dispatched(str(cursor), "said", "two\nlines"),
        ]
        cursor = append(connection, "three", wakes=True)
        assert (await source.events(3))[2] == Dispatched(str(cursor), "said", "three")
        headers = source.response.headers
        assert headers["content-type"] == "text/event-stream"
        assert headers["cache-control"] == "no-store, no-transform"
        assert headers["x-accel-buffering"] == "no"
        assert source.retry in range(1_000, 3_001)
    assert pod.app.sent.events == 3


async def test_a_stream_that_does_not_exist_is_open_and_makes_no_row(pod: Pod, connection: psycopg.Connection) -> None:
    async with reading(pod.url()) as source:
        await until(lambda: source.last_event_id == str(START))
        assert connection.execute("select count(*) from pending_stream").fetchone() == (0,)
        append(connection, "one", wakes=True)
        await source.events(1)
    assert texts(source) == ["one"]


async def test_unknown_and_forbidden_streams_look_alike(pod: Pod, connection: psycopg.Connection) -> None:
    append(connection, "secret", stream=type(CHAT)("acme", "forbidden"))
    async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        forbidden = await client.get(pod.url("forbidden"))
        append(connection, "one")
        pod.lifetime = timedelta(seconds=-1)
        no_longer_allowed = await client.get(pod.url())
    assert (forbidden.status_code, forbidden.content) == (404, b"")
    assert (no_longer_allowed.status_code, no_longer_allowed.content) == (404, b"")
    assert set(no_longer_allowed.headers) == set(forbidden.headers)
    assert set(forbidden.headers) == {"date", "cache-control", "content-length", "vary"}


async def test_a_client_goes_on_at_another_pod_once_and_in_order(
    pod: Pod, other_pod: Pod, connection: psycopg.Connection
) -> None:
    append_numbers(connection, 1, 40)
    received: list[str] = []
    last_event_id = ""
    for turn_number in range(6):
        where = (pod, other_pod)[turn_number % 2]
        async with reading(where.url(), last_event_id=last_event_id) as source:
            await source.events(10)
            append_numbers(connection, 41 + turn_number * 10, 50 + turn_number * 10)
        received += texts(source)
        last_event_id = source.last_event_id
    assert received == [str(number) for number in range(1, len(received) + 1)]
    assert len(received) >= 60


async def test_the_header_is_believed_before_the_query(pod: Pod, connection: psycopg.Connection) -> None:
    first = append(connection, "one")
    second = append(connection, "two")
    append(connection, "three")
    async with reading(pod.url(query=f"?last_event_id={first}")) as source:
        await source.events(2)
        assert texts(source) == ["two", "three"]
    async with reading(pod.url(query=f"?last_event_id={first}"), last_event_id=str(second)) as source:
        await source.events(1)
        assert texts(source) == ["three"]


@pytest.mark.parametrize("position", ["x" * 10_240, "1", "-1-0", "9-1", "1-0", "1-%0A", "99999999999999999999-1"])
async def test_a_position_of_no_such_history_is_told_and_all_is_read(
    pod: Pod, connection: psycopg.Connection, position: str
) -> None:
    append(connection, "one")
    async with reading(pod.url(), last_event_id=position) as source:
        reset, event = await source.events(2)
    assert (reset.type, reset.data, event.data) == ("pendingctl.reset", "{}", "one")
    # Whoever comes back after the reset alone reads the history from its beginning.
    async with reading(pod.url(), last_event_id=reset.id) as source:
        assert [each.data for each in await source.events(1)] == ["one"]
    assert pod.app.sent.resets == 1


async def test_whoever_loses_the_connection_before_a_reset_is_given_it_again(
    pod: Pod, connection: psycopg.Connection
) -> None:
    append(connection, "one")
    async with (
        httpx.AsyncClient(verify=False, timeout=PATIENCE) as client,
        client.stream("GET", pod.url(), headers={"Last-Event-ID": "x"}) as response,
    ):
        lines = [line async for line in _first(response.aiter_lines(), 5)]
    assert [line.partition(":")[0] for line in lines] == ["retry", "", "id", "event", "data"]
    assert lines[3] == "event: pendingctl.reset"


async def _first(lines: AsyncIterator[str], number: int) -> AsyncIterator[str]:
    for _ in range(number):
        yield await anext(lines)


async def test_events_that_are_gone_are_named(pod: Pod, connection: psycopg.Connection) -> None:
    append_numbers(connection, 1, 3)
    connection.execute("update pending_stream_ring set slot = 1")
    append(connection, "four")
    turn(connection, 0)
    async with reading(pod.url()) as source:
        gap, event = await source.events(2)
    assert (gap.type, gap.data, event.data) == ("pendingctl.gap", '{"from": 1, "to": 3}', "four")
    async with reading(pod.url(), last_event_id=gap.id) as source:
        assert [each.data for each in await source.events(1)] == ["four"]
    assert pod.app.sent.gaps == 1


@pytest.mark.usefixtures("patient_looks")
async def test_a_closed_stream_ends_and_nobody_comes_back(pod: Pod, connection: psycopg.Connection) -> None:
    append(connection, "one")
    async with reading(pod.url()) as source:
        await source.events(1)
        close(connection)
        assert [event.type for event in await source.ended()] == ["said", "pendingctl.end"]
    assert await status(pod.url(), **{"Last-Event-ID": source.last_event_id}) == 204
    # Whoever reads it for the first time gets it all.
    async with reading(pod.url()) as source:
        assert [event.type for event in await source.ended()] == ["said", "pendingctl.end"]


@pytest.mark.usefixtures("patient_looks")
async def test_a_deleted_stream_ends_and_nobody_comes_back(pod: Pod, connection: psycopg.Connection) -> None:
    append(connection, "one")
    async with reading(pod.url()) as source:
        await source.events(1)
        delete(connection)
        assert [event.type for event in await source.ended()] == ["said", "pendingctl.end"]
    assert await status(pod.url(), **{"Last-Event-ID": source.last_event_id}) == 204


@pytest.mark.usefixtures("patient_looks")
async def test_a_closed_stream_without_events_is_read_once(pod: Pod, connection: psycopg.Connection) -> None:
    connection.execute("insert into pending_stream (organization_id, name, closed_at) values ('acme', 'chat', now())")
    async with reading(pod.url()) as source:
        assert [event.type for event in await source.ended()] == ["pendingctl.end"]
    assert await status(pod.url(), **{"Last-Event-ID": source.last_event_id}) == 204


async def test_the_connection_ends_with_the_permission(pod: Pod, connection: psycopg.Connection) -> None:
    append(connection, "one")
    pod.lifetime = timedelta(hours=1)
    async with reading(pod.url()) as source:
        await source.events(1)
    pod.lifetime = timedelta(seconds=1)
    async with reading(pod.url()) as source:
        await source.ended()
    assert source.response.status_code == 200
    await until(lambda: pod.app.clients == 0)


async def test_a_pod_that_drains_sends_all_away_at_different_times(pod: Pod, connection: psycopg.Connection) -> None:
    append(connection, "one")
    names = [("chat", "other")[number % 2] for number in range(20)]
    sources: list[Reading] = []

    async def read(name: str) -> None:
        async with reading(pod.url(name)) as source:
            sources.append(source)
            await source.ended()

    tasks = [asyncio.create_task(read(name)) for name in names]
    await until(lambda: pod.app.clients == len(names) and pod.app.sent.events == len(names) / 2)
    async with asyncio.timeout(PATIENCE):
        await pod.streams.drain()
        await asyncio.gather(*tasks)
    await until(lambda: pod.app.clients == 0)
    assert len({source.retry for source in sources}) > 5
    # And so is whoever comes late.
    async with reading(pod.url()) as source:
        await source.ended()
        assert (source.response.status_code, texts(source)) == (200, [])


async def test_a_client_too_many_is_sent_away_for_seconds(pool: Pool) -> None:
    async with running(pool, clients=1) as pod, reading(pod.url()):
        async with reading(pod.url()) as refused:
            await refused.ended()
            assert refused.response.status_code == 200
            assert refused.retry is not None
            assert refused.retry >= 3_000
            assert refused.last_event_id == ""
        assert (pod.app.clients, pod.app.sent.refused) == (1, 1)


@pytest.mark.parametrize("trouble", [RuntimeError("no database"), asyncio.CancelledError()])
async def test_a_permission_that_cannot_be_found_out_is_no_refusal(pod: Pod, trouble: BaseException) -> None:
    pod.troubles.append(trouble)
    async with reading(pod.url()) as refused:
        await refused.ended()
        assert (refused.response.status_code, refused.dispatched) == (200, [])
        assert refused.retry is not None


async def test_of_readers_whom_nobody_knows_for_now_the_log_speaks_once(
    pod: Pod, caplog: pytest.LogCaptureFixture
) -> None:
    for trouble in (RuntimeError("no database"), None, RuntimeError("again")):
        pod.troubles = [] if trouble is None else [trouble]
        assert [await head(pod.url()) for _ in range(3)] == [200] * 3
    ours = [record for record in caplog.records if record.name.startswith("pendingctl.")]
    logged = [record.exc_info[1] for record in ours if record.exc_info is not None]
    assert list(map(str, logged)) == ["no database", "again"]


async def test_a_client_that_goes_away_is_forgotten(pod: Pod) -> None:
    async with reading(pod.url()):
        await until(lambda: pod.app.clients == 1)
    await until(lambda: pod.app.clients == 0)


async def test_whoever_waits_hears_comments(pod: Pod, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients_module, "COMMENT_SECONDS", 0.1)
    monkeypatch.setattr(clients_module, "LOOK_SECONDS", 0.05)
    async with reading(pod.url()) as one, reading(pod.url("other")) as other:
        await until(lambda: one.comments > 0 and other.comments > 0)
        before = one.comments, other.comments
        await until(lambda: one.comments - before[0] >= 3 and other.comments - before[1] >= 3)
        # One task sends them to all.
        assert abs((one.comments - before[0]) - (other.comments - before[1])) <= 2


async def test_a_quiet_stream_outlives_what_ends_idle_connections(pool: Pool, connection: psycopg.Connection) -> None:
    async with (
        running(pool, limits=Limits(head=1, idle=1, write=1, linger=1)) as pod,
        reading(pod.url()) as source,
    ):
        await until(lambda: source.last_event_id == str(START))
        # Longer than all of these.
        await asyncio.sleep(1.3)
        append(connection, "one", wakes=True)
        await source.events(1)


async def test_who_takes_nothing_delays_nobody(pod: Pod, connection: psycopg.Connection) -> None:
    async with reading(pod.url()) as source:
        with stalled(pod.listening.port, 1):
            await until(lambda: pod.app.clients == 2)
            # More than the buffers of both kernels take.
            for number in range(8):
                append(connection, str(number) + "x" * 1_000_000, wakes=True)
            await source.events(8)
            append(connection, "the last", wakes=True)
            assert (await source.events(9))[-1].data == "the last"
            # The other is there yet, and has not been sent all of it.
            assert pod.app.sent.events < 2 * 9
            assert pod.app.clients == 2


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE"])
async def test_streams_are_read_alone(pod: Pod, method: str) -> None:
    async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        answered = await client.request(method, pod.url())
    assert (answered.status_code, answered.headers["allow"]) == (405, "GET, OPTIONS")


async def test_pages_of_named_origins_read_with_their_cookies(pod: Pod) -> None:
    async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        asked = {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
        allowed = await client.options(pod.url(), headers=asked)
        refused = await client.options(pod.url(), headers={**asked, "Origin": "https://evil.example.com"})
        denied = await client.get(pod.url("forbidden"), headers={"Origin": ORIGIN})
    assert allowed.status_code == refused.status_code == 204
    assert allowed.headers["access-control-allow-origin"] == ORIGIN
    assert allowed.headers["access-control-allow-credentials"] == "true"
    assert allowed.headers["access-control-allow-methods"] == "GET"
    assert "last-event-id" in allowed.headers["access-control-allow-headers"].lower()
    assert not [name for name in refused.headers if name.startswith("access-control")]
    assert allowed.headers["vary"] == refused.headers["vary"] == "Origin"
    # Otherwise its page would take it for a lost connection, and come back.
    assert denied.headers["access-control-allow-origin"] == ORIGIN
    async with reading(pod.url(), headers={"Origin": ORIGIN}) as source:
        assert source.response.headers["access-control-allow-origin"] == ORIGIN


async def test_a_client_far_behind_is_given_all_of_it(pod: Pod, connection: psycopg.Connection) -> None:
    append_numbers(connection, 1, 1_500)
    async with reading(pod.url()) as source:
        await source.events(1_500)
    assert texts(source) == [str(number) for number in range(1, 1_501)]
    assert all(Cursor.parse(event.id).seq == int(event.data) for event in source.dispatched)
