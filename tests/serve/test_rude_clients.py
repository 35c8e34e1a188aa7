"""Clients that flood, dawdle and go away, before a pod of `serve` that others need meanwhile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import psycopg
import pytest

from pendingctl.demo.presses import Seen
from pendingctl.demo.slack_server import FakeSlack
from tests.locks import until_waiting_for_a_lock

from .applications import QUESTION, bearer
from .clients import PATIENCE, RawClient, status_of
from .pods import TOKEN, ServedPod, configuration, served

pytestmark = pytest.mark.once

SLOW_CLIENTS = 100


@pytest.fixture
async def served_pod(dsn: str, slack: FakeSlack, tmp_path: Path) -> AsyncIterator[ServedPod]:
    async with served(configuration(slack_url=slack.url, worker_url=None), dsn, tmp_path) as running:
        yield running


async def ask(pod: ServedPod, id: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=pod.url, headers=bearer(TOKEN), timeout=PATIENCE) as client:
        return await client.post("/questions", json={**QUESTION, "id": id})


async def is_of_use(pod: ServedPod, slack: FakeSlack, id: str) -> bool:
    """Whether a pod is ready, takes a question, and acknowledges and answers a press of it."""
    number = len(slack.messages("C2"))
    async with httpx.AsyncClient(base_url=pod.url, timeout=PATIENCE) as client:
        is_ready = (await client.get("/readyz")).status_code == 200
    asked = await ask(pod, id)
    await slack.until(lambda: len(slack.messages("C2")) > number)
    pressed = await slack.press("U1", slack.messages("C2")[number], "yes", to=pod.slack_url)
    said = (await slack.reply_to(pressed)).text
    return is_ready and asked.status_code == 201 and pressed.seen is Seen.ACKNOWLEDGED and said == "You answered: yes"


HEAD = b"POST /slack HTTP/1.1\r\nHost: a\r\n"
FLOODS = (
    (HEAD + b"X: " + b"x" * 100_000 + b"\r\n\r\n", 431),
    (HEAD + b"X: y\r\n" * 20_000 + b"\r\n", 431),
    (b"POST /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n", 431),
    (HEAD + b"Content-Length: 1048577\r\n\r\n", 413),
    (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", 413),
    (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"100000\r\n" + b"x" * 0x100000 + b"\r\n1\r\nx\r\n0\r\n\r\n", 413),
    (HEAD + b"Content-Length: -1\r\n\r\n", 400),
    (HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
)


async def test_floods_and_slow_clients_are_refused_and_keep_nobody_else_waiting(
    served_pod: ServedPod, slack: FakeSlack
) -> None:
    async with AsyncExitStack() as stack:
        ports = (served_pod.public_port, served_pod.internal_port)
        slow = [await stack.enter_async_context(RawClient(ports[n % 2])) for n in range(SLOW_CLIENTS)]
        for number, client in enumerate(slow):
            # Half of them end no head, the others no body.
            client.send(HEAD if number % 4 < 2 else HEAD + b"Content-Length: 100\r\n\r\npayload=")

        for number, (sent, status) in enumerate(FLOODS):
            for port in ports:
                if port == served_pod.internal_port and status == 413:
                    continue
                async with RawClient(port) as client:
                    client.send(sent)
                    assert status_of(await client.response()) == status, sent[:60]
            if number % 5 == 0:
                assert await is_of_use(served_pod, slack, f"q{number}")

        # Bodies are waited for for 2 s where Slack sends them.
        assert status_of(await slow[2].response()) == 408
        assert await is_of_use(served_pod, slack, "last")
    assert not [line for line in served_pod.lines if line["level"] in ("WARNING", "ERROR", "CRITICAL")]


async def test_a_question_of_a_client_that_goes_away_is_asked_once_all_the_same(
    served_pod: ServedPod, slack: FakeSlack, connection: psycopg.Connection, dsn: str
) -> None:
    body = json.dumps({**QUESTION, "id": "q"}).encode()
    head = f"POST /questions HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
    async with await psycopg.AsyncConnection.connect(dsn) as holder:
        await holder.execute("lock table pending_interactions in share mode")
        async with RawClient(served_pod.internal_port) as client:
            client.send(head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await until_waiting_for_a_lock(connection)
        await holder.rollback()

    await slack.until(lambda: len(slack.messages("C2")) == 1)
    again = await ask(served_pod, "q")

    assert (again.status_code, again.json()["outcome"]) == (200, "refreshed")
    assert len(slack.called("chat.postMessage")) == 1
    assert not [line for line in served_pod.lines if line["level"] in ("ERROR", "CRITICAL")]


async def test_clients_that_go_away_while_they_wait_leave_nothing_behind(
    served_pod: ServedPod, slack: FakeSlack
) -> None:
    await ask(served_pod, "q")
    request = f"GET /questions/q?wait=60 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    async with AsyncExitStack() as stack:
        for _ in range(50):
            client = await stack.enter_async_context(RawClient(served_pod.internal_port))
            client.send(request)
        assert await is_of_use(served_pod, slack, "meanwhile")

    assert await is_of_use(served_pod, slack, "afterwards")
    assert await served_pod.stop() == 0
