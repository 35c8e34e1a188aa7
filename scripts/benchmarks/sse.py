"""Event streams over HTTP: what clients take of a pod, and how soon it takes them in and sends them away."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median

from pendingctl import open_pool
from pendingctl.events.model import Cursor, NewEvent, StreamName
from pendingctl.events.streams import Streams
from pendingctl.sse.app import DRAINED_RETRY_MS
from pendingctl.sse.tickets import Tickets

from .contenders import Process, event_servers, started
from .figures import Figure, Round, doing, in_turns, ratio
from .served import PROCESSES, ServedPod, cpu_seconds, order, resident_mib, served_pod, silent_slack
from .stage import SCOPE, Stage

_KEY = "bench-stream-key-of-32-random-characters"
_ORIGIN = "https://app.example.com"
_TABLES = f"""
[streams]
keys = ["{_KEY}"]
origins = ["{_ORIGIN}"]
clients = 6000
"""
# Of one stream.
_READERS = 100
_BEHIND = 20
_BEFORE = 5
_WARM = 200
_DATA = "twenty words or so are what an agent writes in a second, and they come in a few pieces"
_EVENT_SECONDS = 0.1
_SETTLED_SECONDS = 0.5
# For each client to be connected before its request.
_APART_SECONDS = 0.000_5
_SENDERS = 4
_MEMORY_REACH = 15.0
_RETURN_REACH_MS = 300.0
_DRAIN_REACH_MS = 2_000.0

_CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
)
# As Chrome sends them with an EventSource of a page of another origin, through a proxy.
_HEADERS = f"""Host: bot.example.com
Connection: keep-alive
Cache-Control: no-cache
User-Agent: {_CHROME}
sec-ch-ua: "Chromium";v="140", "Not=A?Brand";v="24", "Google Chrome";v="140"
sec-ch-ua-mobile: ?0
sec-ch-ua-platform: "Windows"
Accept: text/event-stream
Origin: {_ORIGIN}
Sec-Fetch-Site: same-site
Sec-Fetch-Mode: cors
Sec-Fetch-Dest: empty
Referer: {_ORIGIN}/
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-US,en;q=0.9,de;q=0.8
X-Forwarded-For: 203.0.113.7
X-Forwarded-Proto: https
""".replace("\n", "\r\n")


def measure_streams_over_http(
    stage: Stage,
    *,
    clients: int,
    returning: int,
    rounds: int,
    events: int,
    readers: int,
    event_rounds: int,
    alone: bool,
) -> Iterator[Figure]:
    """A pod of `serve` with so many `clients`, and `returning` ones; and CPU, beside other libraries unless `alone`.

    Of the latter, `readers` are sent so many `events`. Raises RuntimeError where a client lacks one.
    """
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="pendingctl-bench-")))
        load = _Load(started(ending, [sys.executable, str(PROCESSES / "event_sources.py")]), folder / "requests")
        slack = ending.enter_context(silent_slack())
        with served_pod(stage, slack, more=_TABLES) as pod:
            yield _memory(stage, pod, load, clients)
            yield from _returns(stage, pod, load, returning, rounds)
        yield _drain(stage, slack, load, returning, rounds)
        yield from _deliveries(stage, load, readers, events, event_rounds, alone=alone)


@dataclass(frozen=True, slots=True)
class _Opened:
    """How many seconds it took to serve all clients, how many the slowest was served in, and the load's own share."""

    seconds: float
    slowest: float
    own_share: float


@dataclass(frozen=True, slots=True)
class _Load:
    """Clients in a process of their own."""

    process: Process
    file: Path

    def open(self, requests: list[bytes], port: int, *, events: int, apart: float = 0.0, over: float = 0.0) -> _Opened:
        """Open them as event_sources.py says."""
        self.file.write_text(json.dumps([each.decode("latin-1") for each in requests]), "ascii")
        asked = order(do="open", requests=str(self.file), port=port, events=events, apart=apart, over=over)
        return _Opened(**json.loads(self.process.answer(asked)))

    def leave(self) -> None:
        """Close all connections."""
        self.process.answer(order(do="leave"))


def _memory(stage: Stage, pod: ServedPod, load: _Load, clients: int) -> Figure:
    """What each of so many clients adds to what a pod takes that has had some; each was sent events."""
    doing(f"streams over HTTP: memory of {clients:,} clients")
    load.open(_requests(asyncio.run(_prepared(stage, "warm-", _WARM)), _WARM), pod.public_port, events=_BEHIND)
    load.leave()
    requests = _requests(asyncio.run(_prepared(stage, "memory-", clients)), clients)
    time.sleep(_SETTLED_SECONDS)
    before = resident_mib(pod.popen.pid)
    load.open(requests, pod.public_port, events=_BEHIND)
    time.sleep(_SETTLED_SECONDS)
    kilobytes = (resident_mib(pod.popen.pid) - before) * (1 << 20) / 1_000 / clients
    load.leave()
    name = f"memory of a client, {clients:,} on a pod"
    compared = kilobytes / _MEMORY_REACH
    return Figure(name, "KB", kilobytes, "15 KB", _MEMORY_REACH, "ratio", compared, 1.0, "at most")


def _returns(stage: Stage, pod: ServedPod, load: _Load, clients: int, rounds: int) -> list[Figure]:
    """So many clients return, and each reads on from 20 events before the end.

    They return as a pod that drained has told them to, apart from each other, which is how long the slowest waits; and
    all in one instant, as nobody has told them to, which is how long it takes until all are served. Beside the pod is
    what uvicorn alone takes that sends each the same bytes; and for the last figure all of them are connected when
    their requests are sent.
    """
    doing(f"streams over HTTP: {clients:,} clients return")
    numbers = count()
    shares: list[float] = []
    reads: list[float] = []
    streams = -(-clients // _READERS)
    apart = clients * _APART_SECONDS
    soonest, latest = DRAINED_RETRY_MS
    over = (latest - soonest) / 1_000
    with event_servers(stage, ["fixed"]) as servers:
        floor, _, floor_port = servers["fixed"]

        def round_of(port: int, *, apart: float = 0.0, over: float = 0.0) -> Round:
            def once() -> float:
                before = _events_read(pod)
                requests = _requests(asyncio.run(_prepared(stage, f"return-{next(numbers)}-", clients)), clients)
                opened = load.open(requests, port, events=_BEHIND, apart=apart, over=over)
                load.leave()
                if port == pod.public_port:
                    reads.append((_events_read(pod) - before) / _BEHIND / streams)
                    shares.append(opened.own_share * 100)
                time.sleep(_SETTLED_SECONDS)
                return (opened.slowest if over else opened.seconds) * 1_000

            return lambda: asyncio.to_thread(once)

        measured = asyncio.run(
            in_turns(
                {
                    "told": round_of(pod.public_port, over=over),
                    "pod": round_of(pod.public_port),
                    "floor": round_of(floor_port),
                    "pod, connected": round_of(pod.public_port, apart=apart),
                    "floor, connected": round_of(floor_port, apart=apart),
                },
                rounds,
                warm_up=rounds > 1,
            )
        )
    name = f"{clients:,} clients return {_BEHIND} events behind"
    connected = "the same, from their requests on open connections"
    reads_of_each = median(reads)
    against = f"one of each of {_READERS} clients"
    return [
        _within(f"{name} over {over:.1f} s, the slowest", measured["told"], _RETURN_REACH_MS),
        ratio(f"{name} in one instant, all", "ms", floor, measured["pod"], measured["floor"]),
        ratio(connected, "ms", floor, measured["pod, connected"], measured["floor, connected"]),
        Figure("the load's own share", "%", median(shares), "of a core", None, "ratio", None),
        Figure(
            *("reads of a stream from the database", "reads", reads_of_each, against, float(_READERS), "ratio"),
            *(reads_of_each / _READERS, 1 / _READERS, "at most"),
        ),
    ]


def _drain(stage: Stage, slack: str, load: _Load, clients: int, rounds: int) -> Figure:
    """From the signal until the last of so many clients was sent away."""
    doing(f"streams over HTTP: {clients:,} clients are sent away")
    took = []
    for number in range(rounds):
        with served_pod(stage, slack, more=_TABLES) as pod:
            requests = _requests(asyncio.run(_prepared(stage, f"drain-{number}-", clients)), clients)
            load.open(requests, pod.public_port, events=_BEHIND)
            load.process.answer(order(do="end"))
            began = time.monotonic()
            # Which skips the delay, in which a pod serves on.
            pod.popen.send_signal(signal.SIGINT)
            took.append((float(json.loads(load.process.answer(""))["at"]) - began) * 1_000)
            load.leave()
    return _within(f"{clients:,} clients sent away by a pod that ends", took, _DRAIN_REACH_MS)


def _deliveries(stage: Stage, load: _Load, readers: int, events: int, rounds: int, *, alone: bool) -> Iterator[Figure]:
    """The CPU of a server for each event that it sends to each reader of one stream, an event each 100 ms."""
    doing(f"streams over HTTP: {events} events for {readers} readers")
    kinds = ["serve", "stream_app", "StreamingResponse", *([] if alone else ["sse-starlette"])]
    numbers = count()
    with event_servers(stage, kinds) as servers:
        if any(cpu_seconds(process.popen.pid) is None for _, process, _ in servers.values()):
            # On a machine without /proc nothing is known of them.
            return

        def round_of(process: Process, port: int) -> Round:
            def once() -> float:
                stream = StreamName(SCOPE.organization_id, f"sent-{next(numbers)}")
                asyncio.run(_append(stage, stream, 1))
                request = f"GET /streams/{stream.name} HTTP/1.1\r\n{_HEADERS}\r\n".encode()
                load.open([request] * readers, port, events=1)
                load.process.answer(order(do="receive", events=events))
                before = cpu_seconds(process.popen.pid) or 0.0
                asyncio.run(_append(stage, stream, events, every=_EVENT_SECONDS))
                load.process.answer("")
                cpu = (cpu_seconds(process.popen.pid) or 0.0) - before
                load.leave()
                return cpu / (events * readers) * 1e6

            return lambda: asyncio.to_thread(once)

        contenders = {kind: round_of(process, port) for kind, (_, process, port) in servers.items()}
        measured = asyncio.run(in_turns(contenders, rounds, warm_up=rounds > 1))
        for ours, name, reach in (("serve", "", 0.6), ("stream_app", ", both on uvicorn", None)):
            for kind in kinds[2:]:
                # In too short a round no CPU is seen.
                if all(measured[kind]):
                    delivery = f"CPU of a delivery, {readers} readers of a stream{name}"
                    at_most = reach if kind == "sse-starlette" else None
                    yield ratio(delivery, "µs", servers[kind][0], measured[ours], measured[kind], at_most=at_most)


def _within(name: str, took: list[float], reach: float) -> Figure:
    compared = [each / reach for each in took]
    return Figure(
        *(name, "ms", median(took), f"{reach:,.0f} ms", reach, "ratio", median(compared), 1.0, "at most"),
        spread=(min(compared), max(compared)),
    )


def _requests(positions: list[tuple[StreamName, Cursor]], clients: int) -> list[bytes]:
    """Return the requests of clients that have read up to these positions, each with a ticket of its own."""
    tickets = Tickets([_KEY.encode()])
    until = datetime.now(UTC) + timedelta(minutes=10)
    made = []
    for number in range(clients):
        stream, position = positions[number % len(positions)]
        ticket = tickets.sign(stream, until)
        head = f"GET /streams/{stream.name}?ticket={ticket} HTTP/1.1\r\n{_HEADERS}Last-Event-ID: {position}\r\n\r\n"
        made.append(head.encode())
    return made


async def _prepared(stage: Stage, prefix: str, clients: int) -> list[tuple[StreamName, Cursor]]:
    """Fill streams for so many clients, and return the positions 20 events before their ends."""
    names = [StreamName(SCOPE.organization_id, f"{prefix}{number}") for number in range(-(-clients // _READERS))]
    batch = [NewEvent("token", _DATA)]
    async with open_pool(stage.dsn, max_size=_SENDERS) as pool:
        streams = Streams(pool)
        before = [await streams.append(name, batch * _BEFORE) for name in names]
        for name in names:
            await streams.append(name, batch * _BEHIND)
        await streams.settled()
    return [(name, appended.cursor) for name, appended in zip(names, before, strict=True)]


async def _append(stage: Stage, stream: StreamName, events: int, *, every: float = 0.0) -> None:
    async with open_pool(stage.dsn, max_size=_SENDERS) as pool:
        streams = Streams(pool)
        began = time.monotonic()
        for number in range(events):
            await asyncio.sleep(began + number * every - time.monotonic())
            await streams.append(stream, [NewEvent("token", _DATA)])
        await streams.settled()


def _events_read(pod: ServedPod) -> float:
    with urllib.request.urlopen(f"{pod.url}/metrics", timeout=5) as answered:
        found = re.search(r"^pendingctl_stream_events_read_total (\S+)", answered.read().decode(), re.MULTILINE)
    assert found is not None
    return float(found[1])
