"""Requests for streams as no browser sends them: each is answered as it is meant, or refused, and leaves nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from pendingctl.events.model import StreamName
from pendingctl.events.streams import Streams
from pendingctl.postgres.connections import Pool
from pendingctl.serve.listeners import Listening
from pendingctl.serve.metrics import Metrics
from pendingctl.serve.problems import application
from pendingctl.serve.streams_app import StreamsApp
from pendingctl.sse import clients as clients_module
from pendingctl.sse.tickets import Tickets
from tests.events.writers import append
from tests.serve.clients import PATIENCE, RawClient, exchange, listener, listening_for, status_of
from tests.sse.event_source import until

from .applications import usual
from .test_metrics import value
from .test_streams import KEY, STREAMS

LONG = "n" * 255


def ticket(name: str = "talk", *, organization: str = "acme", key: str = KEY, minutes: int = 9) -> str:
    ends_at = datetime.now(UTC) + timedelta(minutes=minutes)
    return Tickets([key.encode()]).sign(StreamName(organization, name), ends_at)


@asynccontextmanager
async def serving(pool: Pool, folder: Path, base_path: str) -> AsyncIterator[tuple[Listening, Metrics]]:
    given = usual(folder, "https://slack.test/api/", more=STREAMS)
    assert given.streams is not None
    streams, metrics = Streams(pool), Metrics()
    app = StreamsApp(given, given.streams, streams, metrics).before(application([]))
    async with listening_for(app, replace(listener(), base_path=base_path)) as listening:
        yield listening, metrics
        await streams.drain(0)


# What is sent for {p}, the path with its ticket {t}, and the status: 200 is the stream, from its first event on.
ODD = {
    "HTTP/1.0": ("GET {p} HTTP/1.0\r\n\r\n", 200),
    "HTTP/1.0 that asks to be kept": ("GET {p} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200),
    "close": ("GET {p} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 200),
    "absolute form": ("GET http://elsewhere{p} HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    "another host": ("GET {p} HTTP/1.1\r\nHost: evil.example.com\r\n\r\n", 200),
    "conditions": (
        "GET {p} HTTP/1.1\r\nHost: a\r\nRange: bytes=0-1\r\nAccept: a/b\r\nIf-Match: *\r\n\r\n",
        200,
    ),
    "a body in chunks": ("GET {p} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 200),
    "a body without end": ("GET {p} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", 200),
    "a body that does not come": ("GET {p} HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", 200),
    "a body to be asked for": ("GET {p} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n", 200),
    "pipelined": ("GET {p} HTTP/1.1\r\nHost: a\r\n\r\n" * 3, 200),
    "pipelined with what is none": ("GET {p} HTTP/1.1\r\nHost: a\r\n\r\n\0\0\r\n\r\n" + "x" * 9_000, 200),
    "a websocket": ("GET {p} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", 200),
    "a long query": ("GET {p}&" + "a=b&" * 3_000 + "%%%&== HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    "a long cookie": ("GET {p} HTTP/1.1\r\nHost: a\r\nCookie: a=" + "b" * 8_000 + "\r\n\r\n", 200),
    "an escaped name": ("GET {b}/streams/%74alk?ticket={t} HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    "two tickets": ("GET {p}&ticket=x HTTP/1.1\r\nHost: a\r\n\r\n", 200),
    "another ticket first": ("GET {b}/streams/talk?ticket=x&ticket={t} HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    "an escaped slash": ("GET {b}/streams/a%2Ftalk?ticket={t} HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    "an escaped NUL": ("GET {b}/streams/talk%00?ticket={t} HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    "another case": ("GET {b}/streams/Talk?ticket={t} HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    "256 characters": (f"GET {{b}}/streams/{LONG}n?ticket={{t}} HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    "no name": ("GET {b}/streams/?ticket={t} HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    "dots": ("GET {b}/streams/x/../talk?ticket={t} HTTP/1.1\r\nHost: a\r\n\r\n", 404),
    "no ticket": (
        "GET {b}/streams/talk HTTP/1.1\r\nHost: a\r\nCookie: pendingctl_ticket=\xff\r\n\r\n",
        404,
    ),
    "a thousand tickets": (
        "GET {b}/streams/talk HTTP/1.1\r\nHost: a\r\nCookie: " + "pendingctl_ticket=x; " * 600 + "\r\n\r\n",
        404,
    ),
    "HEAD": ("HEAD {p} HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    "an unknown method": ("BREW {p} HTTP/1.1\r\nHost: a\r\n\r\n", 405),
    "a body of 100 MB": ("POST {p} HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nx", 405),
    "a chunk that is none": ("GET {p} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    "two lengths": ("GET {p} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
}


@pytest.mark.parametrize("base_path", ["", "/bot"])
async def test_odd_requests_are_answered_and_leave_nothing(
    pool: Pool,
    connection: psycopg.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    base_path: str,
) -> None:
    monkeypatch.setattr(clients_module, "COMMENT_SECONDS", 0.1)
    monkeypatch.setattr(clients_module, "LOOK_SECONDS", 0.05)
    append(connection, "one", stream=StreamName("acme", "talk"))
    append(connection, "one", stream=StreamName("acme", LONG))
    async with serving(pool, tmp_path, base_path) as (listening, metrics):
        before = len(asyncio.all_tasks())
        signed = ticket()
        path = f"{base_path}/streams/talk?ticket={signed}"
        requests = {name: (sent.format(p=path, t=signed, b=base_path), status) for name, (sent, status) in ODD.items()}
        by_its_own = f"GET {base_path}/streams/{LONG}?ticket={ticket(LONG)} HTTP/1.1\r\nHost: a\r\n\r\n"
        requests["255 characters"] = (by_its_own, 200)
        for name, (sent, status) in requests.items():
            async with RawClient(listening.port) as client:
                client.send(sent.encode("latin-1"))
                async with asyncio.timeout(PATIENCE):
                    head = await client.reader.readuntil(b"\r\n\r\n")
                    if status_of(head) == 100:
                        head = await client.reader.readuntil(b"\r\n\r\n")
                    assert status_of(head) == status, name
                    if status == 200:
                        assert b"text/event-stream" in head, name
                        await client.reader.readuntil(b"data: one\n\n")
        await until(lambda: value(metrics, "pendingctl_stream_readers") == 0 and listening.open_connections == 0)
        # The reader of streams, its listener, and what these have under way.
        await until(lambda: len(asyncio.all_tasks()) < before + 10)
    assert not [record for record in caplog.records if record.levelname != "INFO"]


async def test_nobody_learns_from_a_refusal_whether_a_stream_exists(
    pool: Pool, connection: psycopg.Connection, tmp_path: Path
) -> None:
    append(connection, "one", stream=StreamName("acme", "talk"))
    async with serving(pool, tmp_path, "") as (listening, _):
        responses = set()
        for name in ("talk", "none"):
            for query in (
                "",
                f"?ticket={ticket('other')}",
                f"?ticket={ticket(name, organization='gone')}",
                f"?ticket={ticket(name, key='x' * 40)}",
                f"?ticket={ticket(name, minutes=-1)}",
                f"?ticket={ticket(name)}x",
                f"?ticket={ticket(name)[:-1]}",
            ):
                sent = f"GET /streams/{name}{query} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
                responses.add(re.sub(rb"date: [^\r]*", b"", await exchange(listening.port, sent.encode())))
        (response,) = responses
        assert status_of(response) == 404
