"""Delivery to a worker's URL: what is sent, what a reply means, and what is refused when the sink is made."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendingctl import Answer, Delivery, DeliveryFailed, HttpSink, LeasedAnswer, PendingStore, State
from pendingctl.errors import InvalidInput
from pendingctl.payload import MAX_NESTING, JsonObject, encode_payload
from pendingctl.sinks.retry_after import MOST_RETRY_AFTER, requested_delay
from pendingctl.sinks.signature import sign, signing_key
from tests.deliveries import claimed, state_of, until, until_error, until_state
from tests.http_worker import working
from tests.questions import PAYLOAD

SECRET = b"a secret that the worker knows"
DATE = "\r\nDate: Tue, 24 Nov 2026 10:00:00 GMT"


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
        # A request with this key is still under way (IETF draft "The Idempotency-Key HTTP Header Field", 2.7).
        ("409 Conflict", False, None),
        ("409 Conflict\r\nRetry-After: 3", False, timedelta(seconds=3)),
        ("410 Gone", True, None),
        ("422 Unprocessable Content", True, None),
        ("425 Too Early", False, None),
        ("408 Request Timeout", False, None),
        ("429 Too Many Requests\r\nRetry-After: 7", False, timedelta(seconds=7)),
        ("429 Too Many Requests\r\nRetry-After: 999999999", False, timedelta(hours=1)),
        (
            f"503 Away{DATE}\r\nRetry-After: Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
            False,
            None,
        ),
        (
            f"503 Away{DATE}\r\nRetry-After: Thu, 31 Dec 9999 23:59:59 -2359",
            False,
            timedelta(hours=1),
        ),
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
    host = worker.url.removeprefix("http://").removesuffix("/answers")
    assert (row.state, row.delivery_error) == (State.UNDELIVERED, f"the worker replied 429 Slow Down ({host})")


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


# Secrets.

WHSEC = "whsec_" + base64.b64encode(bytes(range(32))).decode()


@pytest.mark.parametrize("secret", [WHSEC, WHSEC.encode()])
async def test_a_secret_of_standard_webhooks_signs_by_the_bytes_that_it_encodes(
    store: PendingStore, secret: str | bytes
) -> None:
    async with working() as worker, HttpSink(worker.url, secret=secret) as sink:
        leased = await claimed(store)
        assert await sink.deliver(leased, store.leases)

    (request,) = worker.requests
    signed = f"q/{leased.answer.ask_number}.{request.headers['webhook-timestamp']}.".encode() + request.body
    digest = hmac.new(bytes(range(32)), signed, hashlib.sha256).digest()
    assert request.headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()


def test_the_published_example_is_signed_as_published() -> None:
    """The specification's own reference test (standard-webhooks, libraries/python/tests)."""
    key = signing_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret",
    [
        "",
        b"",
        b"short",
        "a text of more than twenty-four characters",
        "whsec_",
        "whsec_no base64 at all!",
        WHSEC[:-1],
        WHSEC + "\n",
        "whsec_" + base64.b64encode(b"k" * 23).decode(),
        "whsec_" + base64.b64encode(b"k" * 65).decode(),
        b"whsec_\xff",
    ],
)
def test_a_secret_that_signs_badly_is_refused_and_not_printed(secret: str | bytes) -> None:
    with pytest.raises(InvalidInput, match="secret") as refused:
        HttpSink("http://worker.example/", secret=secret)

    said = str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None
    if len(secret) > 6:
        assert (secret if isinstance(secret, str) else secret.decode("latin-1")) not in said


@pytest.mark.parametrize("size", [24, 64])
def test_a_secret_has_24_to_64_bytes(size: int) -> None:
    assert signing_key("whsec_" + base64.b64encode(b"k" * size).decode()) == b"k" * size


async def test_an_id_with_dots_leaves_one_reading_of_what_is_signed(store: PendingStore) -> None:
    """The parts are joined by dots. The idempotency key stays as it was delivered before."""
    leased = await claimed(store, "a.1700000000.b")
    async with working() as worker, HttpSink(worker.url, secret=SECRET) as sink:
        await sink.deliver(leased, store.leases)

    (request,) = worker.requests
    assert request.headers["webhook-id"] == f"a%2E1700000000%2Eb/{leased.answer.ask_number}"
    assert request.headers["idempotency-key"] == f'"a.1700000000.b/{leased.answer.ask_number}"'


# Words and waits of the worker.


@given(
    st.one_of(
        st.text(max_size=60),
        st.integers().map(str),
        st.integers(min_value=1, max_value=5_000).map(lambda digits: "9" * digits),
        st.text(alphabet="0123456789٠١²３ ,.+-e:", max_size=30),
        st.builds(
            "{}, {} {} {} {}:{}:{} {}".format,
            st.sampled_from(["Tue", ""]),
            st.integers(-(10**30), 10**30),
            st.sampled_from(["Nov", "Foo"]),
            st.integers(-(10**30), 10**30),
            st.integers(-(10**20), 10**20),
            st.integers(0, 99),
            st.integers(0, 99),
            st.one_of(st.just("GMT"), st.integers(-(10**30), 10**30).map(str)),
        ),
    ),
    st.sampled_from(["", "Tue, 24 Nov 2026 10:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "soon"]),
)
def test_no_retry_after_overflows(said: str, date: str) -> None:
    delay = requested_delay(said, date)
    assert delay is None or timedelta() <= delay <= MOST_RETRY_AFTER


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("0000000000000007", 7),
        ("0", 0),
        ("9" * 5_000, 3600),
        ("-5", None),
        ("1.5", None),
        ("5, 10", None),
        ("٥", None),
        ("", None),
        ("Tue, 24 Nov 2026 09:00:00 GMT", 0),
        ("Tue, 24 Nov 2026 10:00:30 GMT", 30),
        ("Thu, 31 Dec 9999 23:59:59 GMT", 3600),
    ],
)
def test_what_a_retry_after_means(said: str, seconds: int | None) -> None:
    wanted = None if seconds is None else timedelta(seconds=seconds)
    assert requested_delay(said, "Tue, 24 Nov 2026 10:00:00 GMT") == wanted


@pytest.mark.parametrize("wanted", [timedelta.max, timedelta.min, timedelta(seconds=-1)])
async def test_a_handler_can_ask_for_no_wait_that_overflows(store: PendingStore, wanted: timedelta) -> None:
    async def refuse(answer: Answer) -> None:
        raise DeliveryFailed(f"not now, {answer.question_id}", retry_after=wanted)

    async with Delivery(store, refuse) as delivery:
        delivery.submit(await claimed(store))
        await until_error(store)


# What an error says.


@pytest.mark.parametrize(
    "url",
    [
        "",
        "worker.example/answers",
        "ftp://robot:s3cr3t@worker.example/",
        "http://robot:s3cr3t/x@worker.example/",
        "http:///s3cr3t",
        "http://worker.example:99999/s3cr3t",
        "http://worker.example:0/s3cr3t",
        "http://worker.example/\ns3cr3t",
    ],
)
def test_a_url_that_cannot_be_used_is_refused_when_the_sink_is_made(url: str) -> None:
    with pytest.raises(InvalidInput, match="URL") as refused:
        HttpSink(url)
    assert "s3cr3t" not in str(refused.value)
    assert refused.value.__suppress_context__ or refused.value.__context__ is None


async def test_an_error_names_the_host_and_no_secret(store: PendingStore, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    leased = await claimed(store)
    async with working("500 At robot:s3cr3t", "500 Oops") as worker:
        host = worker.url.removeprefix("http://").removesuffix("/answers")
        said = []
        for target in (host, host, "127.0.0.1:1"):
            async with HttpSink(f"http://robot:s3cr3t@{target}/hooks/t0k3n?key=t1k3n", secret=WHSEC) as sink:
                with pytest.raises(DeliveryFailed) as failed:
                    await sink.deliver(leased, store.leases)
                said.append((str(failed.value), target))

    assert worker.requests[0].headers["authorization"] == "Basic " + base64.b64encode(b"robot:s3cr3t").decode()
    assert worker.requests[0].line == "POST /hooks/t0k3n?key=t1k3n HTTP/1.1"
    assert all(target in error for error, target in said)
    assert said[0][0] == f"the worker replied 500 ({host})"
    told = caplog.text + "".join(error for error, _ in said)
    assert not [secret for secret in ("s3cr3t", "t0k3n", "t1k3n", WHSEC) if secret in told]


# What `put` has accepted is delivered.


async def test_a_payload_as_deep_and_as_large_as_put_takes_is_delivered(store: PendingStore) -> None:
    leased = await claimed(store)
    payload: JsonObject = {"numbers": [1e308] * 30_000, "digits": 10**4_299, "text": "ü\u2028\\u0000"}
    for _ in range(MAX_NESTING - 2):
        payload = {"deeper": payload}
    encode_payload(payload)
    async with working() as worker, HttpSink(worker.url) as sink:
        assert await sink.deliver(replace(leased, answer=replace(leased.answer, payload=payload)), store.leases)

    assert json.loads(worker.requests[0].body)["payload"] == payload


@pytest.mark.parametrize("number", [float("inf"), float("nan")])
async def test_a_strangers_payload_that_is_no_json_waits_for_a_person(store: PendingStore, number: float) -> None:
    leased = await claimed(store)
    foreign = replace(leased, answer=replace(leased.answer, payload={"number": number}))
    async with working() as worker, HttpSink(worker.url) as sink:
        with pytest.raises(DeliveryFailed, match="JSON") as failed:
            await sink.deliver(foreign, store.leases)
    assert failed.value.permanent
    assert not worker.requests


async def test_a_payload_of_a_version_that_took_deeper_ones_is_delivered(store: PendingStore) -> None:
    leased = await claimed(store)
    payload: JsonObject = {}
    for _ in range(700):
        payload = {"deeper": payload}
    async with working() as worker, HttpSink(worker.url) as sink:
        assert await sink.deliver(replace(leased, answer=replace(leased.answer, payload=payload)), store.leases)
    assert worker.requests
