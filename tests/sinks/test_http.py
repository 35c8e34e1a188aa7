"""Delivery to a worker's URL: a real worker on the loopback, which answers as the test wants."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from pendingctl import Answer, Delivery, DeliveryFailed, HttpSink, LeasedAnswer, PendingStore, State
from tests.deliveries import claimed, state_of, until, until_error, until_state
from tests.questions import PAYLOAD

SECRET = b"a secret that the worker knows"


@dataclass
class Request:
    headers: dict[str, str]
    body: bytes


@dataclass
class HttpWorker:
    """Replies with the heads that it was given, one after the other, then with 204; an empty one is no reply."""

    heads: list[str] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
            headers = {
                name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)
            }
            self.requests.append(Request(headers, await reader.readexactly(int(headers["content-length"]))))
            reply = self.heads.pop(0) if self.heads else "204 No Content"
            if not reply:
                await reader.read()
                return
            writer.write(f"HTTP/1.1 {reply}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()
        finally:
            writer.close()


@asynccontextmanager
async def working(*heads: str) -> AsyncIterator[HttpWorker]:
    worker = HttpWorker(list(heads))
    server = await asyncio.start_server(worker.serve, "127.0.0.1", 0)
    worker.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/answers"
    async with server:
        yield worker


async def test_the_worker_gets_the_answer_its_key_and_a_signature(store: PendingStore) -> None:
    leased = await claimed(store, "q 42/ü")
    async with working() as worker, HttpSink(worker.url, secret=SECRET) as sink:
        assert await sink.deliver(leased, store.leases)

    (request,) = worker.requests
    body = json.loads(request.body)
    assert (body["question_id"], body["value"], body["user_id"], body["payload"]) == ("q 42/ü", "yes", "U1", PAYLOAD)
    assert request.headers["idempotency-key"] == f'"q%2042%2F%C3%BC/{leased.answer.ask_number}"'
    id, at = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    assert abs(int(at) - datetime.now(UTC).timestamp()) < 60
    signed = hmac.new(SECRET, f"{id}.{at}.".encode() + request.body, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == "v1," + base64.b64encode(signed).decode()
    assert await state_of(store, "q 42/ü") is State.CLAIMED


@pytest.mark.parametrize(
    ("head", "permanent", "retry_after"),
    [
        ("400 Bad Request", True, None),
        ("404 Not Found", True, None),
        ("408 Request Timeout", False, None),
        ("429 Too Many Requests\r\nRetry-After: 7", False, timedelta(seconds=7)),
        ("429 Too Many Requests\r\nRetry-After: 999999999", False, timedelta(hours=1)),
        ("500 Internal Server Error", False, None),
        (
            "503 Service Unavailable\r\nDate: Tue, 24 Nov 2026 10:00:00 GMT\r\n"
            "Retry-After: Tue, 24 Nov 2026 10:02:00 GMT",
            False,
            timedelta(minutes=2),
        ),
        ("503 Service Unavailable\r\nRetry-After: soon", False, None),
        ("302 Found\r\nLocation: http://127.0.0.1:1/", False, None),
    ],
)
async def test_what_a_refusal_means(
    store: PendingStore, head: str, permanent: bool, retry_after: timedelta | None
) -> None:
    leased = await claimed(store)
    async with working(head) as worker, HttpSink(worker.url) as sink:
        with pytest.raises(DeliveryFailed, match=head[:3]) as failed:
            await sink.deliver(leased, store.leases)

    assert (failed.value.permanent, failed.value.retry_after) == (permanent, retry_after)
    assert await state_of(store) is State.UNDELIVERED


async def test_a_worker_that_is_not_there_or_hangs_is_tried_again(store: PendingStore) -> None:
    leased = await claimed(store)
    async with HttpSink("http://127.0.0.1:1/") as nowhere:
        with pytest.raises(DeliveryFailed, match="could not be reached") as failed:
            await nowhere.deliver(leased, store.leases)
    assert not failed.value.permanent
    async with working("") as worker, HttpSink(worker.url, reply_within=timedelta(seconds=0.2)) as hanging:
        with pytest.raises(DeliveryFailed, match="did not reply in time"):
            await hanging.deliver(leased, store.leases)


async def test_a_worker_that_fails_for_a_while_gets_each_answer_in_the_end(store: PendingStore) -> None:
    async with (
        working("500 Oops", "429 Slow Down\r\nRetry-After: 0", "503 Away") as worker,
        HttpSink(worker.url) as sink,
        Delivery(store, sink, first_delay=timedelta(milliseconds=10)) as delivery,
    ):
        delivery.submit(await claimed(store))
        await until(lambda: len(worker.requests) == 4)
        await until_state(store, State.CLAIMED)

    assert len({request.headers["idempotency-key"] for request in worker.requests}) == 1


async def test_a_worker_is_left_alone_for_as_long_as_it_wants(store: PendingStore) -> None:
    async with (
        working("429 Slow Down\r\nRetry-After: 600") as worker,
        HttpSink(worker.url) as sink,
        Delivery(store, sink) as delivery,
    ):
        delivery.submit(await claimed(store))
        await until_error(store)
        await asyncio.sleep(1.2)

    assert len(worker.requests) == 1
    row = await store.inspection.get("q")
    assert row is not None
    assert (row.state, row.delivery_error) == (State.UNDELIVERED, "the worker replied 429 Slow Down")


async def test_an_answer_that_the_worker_refuses_for_good_waits_for_a_person(store: PendingStore) -> None:
    async with working("400 Bad Request") as worker, HttpSink(worker.url) as sink, Delivery(store, sink) as delivery:
        delivery.submit(await claimed(store))
        await until_state(store, State.STUCK)
        assert len(worker.requests) == 1


def test_a_key_is_one_answers_alone() -> None:
    def key(id: str, ask_number: int) -> str:
        now = datetime.now(UTC)
        answer = Answer(
            question_id=id,
            ask_number=ask_number,
            value="yes",
            organization_id="acme",
            connection_id="slack",
            user_id="U1",
            conversation_id="",
            payload={},
            claimed_at=now,
        )
        return LeasedAnswer(answer=answer, token=uuid4(), attempt=1, leased_at=now).answer.idempotency_key

    assert len({key("q", 1), key("q", 2), key("q/1", 1), key("q%2F1", 1), key("q/1/1", 1)}) == 5
    assert key("ü\n", 1).isascii()
