"""GET /questions/{id}: a question as it stands, at once or when it has ended. Reading changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from pendingctl import PendingStore, Scope
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.serve.waiting import MOST_WAITING
from tests.faults.proxy import running_proxy
from tests.sse.event_source import until

from .applications import AssembledPod, assembled, bearer, usual
from .clients import RawClient, listening_for
from .pods import OTHER_TOKEN, TOKEN

# What a client sees of an end that another pod has noted, on a busy machine: long before it would look by itself.
SOON = 15.0


async def read(pod: AssembledPod, id: str, query: str = "") -> httpx.Response:
    return await pod.internal.get(f"/questions/{id}{query}")


@asynccontextmanager
async def waiting(pod: AssembledPod, id: str, seconds: int = 30) -> AsyncIterator[asyncio.Task[httpx.Response]]:
    """Somebody who waits for the end of a question."""
    before = len(pod.waiting)
    task = asyncio.create_task(read(pod, id, f"?wait={seconds}"))
    async with asyncio.timeout(SOON):
        while len(pod.waiting) == before and not task.done():  # noqa: ASYNC110 (a request has no event)
            await asyncio.sleep(0.005)
    yield task


async def outcome_soon(task: asyncio.Task[httpx.Response]) -> tuple[object, object]:
    async with asyncio.timeout(SOON):
        ended = (await task).json()
    return ended["outcome"], ended["value"]


async def test_an_open_question_is_shown(pod: AssembledPod) -> None:
    await pod.ask("q", expires_in="1h")

    shown = (await read(pod, "q")).json()

    asked_at, expires_at, number = (shown.pop(name) for name in ("asked_at", "expires_at", "ask_number"))
    assert (number > 0, asked_at < expires_at) == (True, True)
    shown.pop("is_posted")
    assert shown == {
        "question_id": "q",
        "connection_id": "slack",
        "user_id": "U1",
        "conversation_id": "C2",
        "text": "Deploy?",
        "state": "pending",
        "ended_at": None,
        "answered_by": None,
        "options": ["yes", "no"],
        "outcome": None,
        "value": None,
    }


async def test_an_answer_is_read_on_any_pod(pod: AssembledPod, other_pod: AssembledPod) -> None:
    await pod.ask("q")
    await other_pod.answer("q", 1)

    shown = (await read(pod, "q", "?wait=30")).json()

    assert (shown["outcome"], shown["value"], shown["answered_by"]) == ("answered", "no", "U1")
    assert shown["ended_at"] > shown["asked_at"]


async def test_whoever_waits_hears_of_an_answer_on_another_pod(pod: AssembledPod, other_pod: AssembledPod) -> None:
    await pod.ask("q")

    async with waiting(pod, "q") as task:
        await other_pod.answer("q")
        assert await outcome_soon(task) == ("answered", "yes")


async def test_whoever_waits_hears_of_a_withdrawal(pod: AssembledPod, other_pod: AssembledPod) -> None:
    await pod.ask("q")

    async with waiting(pod, "q") as task:
        await other_pod.internal.post("/questions/q/withdraw")
        assert await outcome_soon(task) == ("withdrawn", None)


@pytest.mark.parametrize(("default", "ending"), [(None, ("expired", None)), ("no", ("defaulted", "no"))])
async def test_whoever_waits_hears_of_the_deadline(
    pod: AssembledPod, default: str | None, ending: tuple[str, str | None]
) -> None:
    """Within a second of the pods' look for deadlines, which is once a second."""
    await pod.ask("q", expires_in="1s", default=default)

    async with waiting(pod, "q") as task, asyncio.timeout(2 + SOON):
        ended = (await task).json()

    assert (ended["outcome"], ended["value"]) == ending


async def test_whoever_waits_hears_that_a_question_is_gone(pod: AssembledPod, connection: psycopg.Connection) -> None:
    await pod.ask("q")

    async with waiting(pod, "q") as task:
        connection.execute("delete from pending_interactions")
        async with asyncio.timeout(SOON):
            assert (await task).status_code == 404


async def test_a_wait_ends_at_its_time(pod: AssembledPod) -> None:
    await pod.ask("q")
    begun = time.monotonic()

    shown = await read(pod, "q", "?wait=1")

    assert 0.9 < time.monotonic() - begun < 1 + SOON
    assert (shown.status_code, shown.json()["outcome"]) == (200, None)


async def test_a_pod_that_drains_lets_go_whoever_waits_and_makes_nobody_wait(pod: AssembledPod) -> None:
    await pod.ask("q")

    async with waiting(pod, "q") as task:
        pod.waiting.end()
        assert await outcome_soon(task) == (None, None)
    async with asyncio.timeout(SOON):
        assert (await read(pod, "q", "?wait=30")).json()["outcome"] is None


async def test_one_more_than_may_wait_is_answered_at_once_and_all_others_hear_of_the_end(pod: AssembledPod) -> None:
    await pod.ask("q")
    others = [asyncio.create_task(pod.waiting.until_ended("acme", "q", 30)) for _ in range(MOST_WAITING)]
    await until(lambda: len(pod.waiting) == MOST_WAITING)

    async with asyncio.timeout(SOON):
        assert (await read(pod, "q", "?wait=30")).json()["outcome"] is None
    await pod.answer("q")
    async with asyncio.timeout(SOON):
        await asyncio.gather(*others)
    assert len(pod.waiting) == 0


async def test_whoever_waits_over_an_outage_of_the_database_hears_of_the_end_after_it(
    dsn: str, connection: psycopg.Connection, store: PendingStore, slack: FakeSlack, tmp_path: Path
) -> None:
    async with running_proxy(dsn, connection) as proxy, assembled(usual(tmp_path, slack.url), proxy.dsn) as pod:
        await pod.ask("q")
        async with waiting(pod, "q") as task:
            await proxy.hang_up()
            await store.withdraw("q", Scope("acme", "slack", "U1"))
            async with asyncio.timeout(SOON):
                assert (await task).json()["outcome"] == "withdrawn"


async def test_an_organization_that_waits_in_all_places_leaves_others_theirs(pod: AssembledPod) -> None:
    """Whoever waits for longest of the organization that waits most makes room."""
    for id in ("q", "r"):
        await pod.ask(id)
    flood = [asyncio.create_task(pod.waiting.until_ended("globex", "r", 30)) for _ in range(MOST_WAITING)]
    await until(lambda: len(pod.waiting) == MOST_WAITING)

    task = asyncio.create_task(read(pod, "q", "?wait=30"))
    await asyncio.wait([flood[0]], timeout=SOON)
    assert [each.done() for each in flood] == [True] + [False] * (MOST_WAITING - 1)
    await pod.answer("q")
    assert await outcome_soon(task) == ("answered", "yes")
    pod.waiting.end()
    await asyncio.gather(*flood)


async def test_a_client_that_goes_away_waits_no_more(pod: AssembledPod) -> None:
    await pod.ask("q")
    request = f"GET /questions/q?wait=60 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"

    async with listening_for(pod.questions_app.asgi) as listening, asyncio.timeout(2 * SOON):
        async with RawClient(listening.port) as client:
            client.send(request.encode())
            while len(pod.waiting) == 0:  # noqa: ASYNC110 (a request has no event)
                await asyncio.sleep(0.005)
        while len(pod.waiting) > 0:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_a_wait_is_in_whole_seconds_up_to_a_minute(pod: AssembledPod) -> None:
    await pod.ask("q")
    await pod.answer("q")

    for query in ("?wait=0", "?wait=60", "?wait=007", "?"):
        assert (await read(pod, "q", query)).status_code == 200, query
    for query in ("?wait=", "?wait=61", "?wait=-1", "?wait=1.5", "?wait=1e1", "?wait=٣", "?wait=%2B1", "?wait=9999999"):
        assert (await read(pod, "q", query)).status_code == 400, query
    for query in ("?wait=1&wait=1", "?timeout=1", "?organization=globex", "?wait=1&claim=1", "?=", "?wait%00=1"):
        assert (await read(pod, "q", query)).status_code == 400, query


async def test_what_is_another_organizations_cannot_be_told_from_what_is_not_there(
    pod: AssembledPod, connection: psycopg.Connection
) -> None:
    await pod.ask("of-globex", token=OTHER_TOKEN)
    await pod.ask("of-another-application")
    await pod.ask("of-another-connection")
    connection.execute("update pending_interactions set application = 'b' where id = 'of-another-application'")
    connection.execute("update pending_interactions set connection_id = 'c2' where id = 'of-another-connection'")
    ids = ("of-globex", "of-another-application", "of-another-connection", "unknown", "x" * 256, "", "%00", "%FF")

    for method, rest in (("GET", ""), ("GET", "?wait=5"), ("POST", "/withdraw")):
        refused = [await pod.internal.request(method, f"/questions/{id}{rest}") for id in ids]

        assert {each.status_code for each in refused} == {404}
        assert len({(each.content, tuple(each.headers.multi_items())) for each in refused}) == 1
    row = connection.execute("select claimed_at from pending_interactions where id = 'of-globex'").fetchone()
    assert row == (None,)
    assert (await pod.internal.get("/questions/of-globex", headers=bearer(OTHER_TOKEN))).status_code == 200


async def test_reading_writes_nothing(pod: AssembledPod, connection: psycopg.Connection) -> None:
    await pod.ask("q")
    async with asyncio.timeout(SOON):
        while not (await read(pod, "q")).json()["is_posted"]:  # noqa: ASYNC110 (a row has no event)
            await asyncio.sleep(0.01)

    def all_of_it() -> list[tuple[object, ...]]:
        rows = connection.execute("select xmin::text, ctid::text, p::text from pending_interactions p").fetchall()
        return rows + connection.execute("select xmin::text, t::text from pending_trail t order by id").fetchall()

    before = all_of_it()
    for path in ("/questions/q", "/questions/q?wait=1", "/questions?for=U1", "/questions/unknown", "/metrics"):
        await pod.internal.get(path)
    await pod.internal.head("/questions/q")

    assert all_of_it() == before


async def test_head_is_get_without_a_body(pod: AssembledPod) -> None:
    await pod.ask("q")

    found, missing = await pod.internal.head("/questions/q"), await pod.internal.head("/questions/unknown")

    assert (found.status_code, missing.status_code) == (200, 404)
    assert found.headers["Content-Type"] == "application/json"
