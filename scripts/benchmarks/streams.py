"""Event streams: appends a second, how soon another pod's readers have an event, and what they take of memory."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import count

import psycopg

from pendingctl import open_pool
from pendingctl.events import statements
from pendingctl.events.model import MAX_EVENT_BYTES, NewEvent, StreamName
from pendingctl.events.streams import Streams
from pendingctl.events.waking import CHANNEL

from .contenders import started
from .figures import Figure, Round, doing, in_turns, ratio
from .pgbench import run_pgbench, with_variables
from .served import PROCESSES, order, peak_mib
from .stage import SCOPE, Stage

_WRITERS = 16
_STREAMS = 100
_PODS = 16
_READ_STREAMS = 1_000
_EVENTS_A_SECOND = 200
_LATE_SECONDS = 20.0
_LARGE_A_SECOND = 20.0
_LARGE_REACH_MIB = 300e6 / (1 << 20)
_DATA = "twenty words or so are what an agent writes in a second, and they come in a few pieces"

# What others do: an event in a table, and its NOTIFY in the same transaction.
_NOTIFYING = f"""
    \\set stream random(1, {_STREAMS})
    begin;
    insert into bench_event (stream, data) values (:stream, :data);
    select pg_notify('bench_' || :stream, 'new');
    commit;
"""
_TABLE = """
    create table if not exists bench_event (
        id bigint generated always as identity primary key,
        stream integer not null,
        data text not null
    )
"""
# pgbench has no array and no null to send.
_APPEND = with_variables(
    statements.APPEND.replace("%(types)s", "array['token']")
    .replace("%(datas)s", "array[:data]")
    .replace("%(expected)s", "null")
    .replace("%(name)s", "'s-' || :stream")
)
_APPENDING = f"""
    \\set stream random(1, {_STREAMS})
    {_APPEND};
"""


def measure_appends(stage: Stage, *, appends: int, rounds: int) -> Iterator[Figure]:
    """Appends a second by 16 writers on 100 streams; nothing where there is no pgbench.

    Beside them 16 pods listen, and hear of all that is appended: by NOTIFY in each transaction, or by one pod that
    wakes all the time for all the streams. Then nobody listens, and NOTIFY has nothing to deliver. And at last 16 pods
    wake all the time, each for one stream, and read nothing: they hear no wake-up, so only the pauses after their own
    hold them back.
    """
    if stage.pgbench is None:
        doing("no pgbench: appends to streams are left out")
        return
    doing("appends to streams")
    program = stage.pgbench
    with psycopg.connect(stage.dsn, autocommit=True) as connection:
        connection.execute(_TABLE)
    _create_streams(stage, "s-", _STREAMS)
    variables = {"organization_id": SCOPE.organization_id, "data": _DATA, "lock_timeout": "3s"}
    names = [f"s-{number}" for number in range(1, _STREAMS + 1)]
    channels = [f"bench_{number}" for number in range(1, _STREAMS + 1)]

    def round_of(script: str, *, pods: int = 0, wake: Sequence[str] = (), channels: Sequence[str] = ()) -> Round:
        def once() -> float:
            with ExitStack() as ending:
                if channels:
                    listening = started(ending, [sys.executable, str(PROCESSES / "listening_pods.py")])
                    listening.answer(order(dsn=stage.dsn, pods=_PODS, channels=channels))
                if wake:
                    waking = started(ending, [sys.executable, str(PROCESSES / "waking_pods.py")])
                    where = {"dsn": stage.dsn, "organization": SCOPE.organization_id}
                    waking.answer(order(**where, pods=pods, streams=wake))
                return run_pgbench(
                    *(program, stage.dsn, script),
                    connections=_WRITERS,
                    transactions=appends // _WRITERS,
                    variables=variables,
                )

        return lambda: asyncio.to_thread(once)

    contenders = {
        "append, heard": round_of(_APPENDING, pods=1, wake=names, channels=[CHANNEL]),
        "notify, heard": round_of(_NOTIFYING, channels=channels),
        "append": round_of(_APPENDING),
        "notify": round_of(_NOTIFYING),
        "append, woken": round_of(_APPENDING, pods=_PODS, wake=names[:_PODS]),
    }
    measured = asyncio.run(in_turns(contenders, rounds))
    ours, notify = measured["append"], "NOTIFY in the transaction"
    name = f"appends, {_STREAMS} streams, {_WRITERS} writers, {_PODS} pods listen"
    yield ratio(name, "a second", notify, measured["append, heard"], measured["notify, heard"], at_least=3.0)
    yield ratio("the same, nobody listens", "a second", notify, ours, measured["notify"])
    name = f"the same, {_PODS} pods wake"
    yield ratio(name, "a second", "without them", measured["append, woken"], ours, at_least=0.75)


def measure_receipts(stage: Stage, *, events: int, rounds: int) -> Iterator[Figure]:
    """From an append on one pod to its receipt on another, which has a reader on each of 1,000 streams.

    Beside it is the same pod without wake-ups, which looks every 50 ms; and for the second figure, a transaction that
    has written and stays open all the while. Raises RuntimeError where one does not arrive.
    """
    doing(f"receipt of events, {_READ_STREAMS:,} readers")
    numbers = count()

    def round_of(kind: str) -> Round:
        return lambda: _receipt(stage, kind, f"{kind}-{next(numbers)}-", events)

    async def beside_a_transaction() -> float:
        with psycopg.connect(stage.dsn) as connection:
            connection.execute("select pg_current_xact_id()")
            return await round_of("woken")()

    contenders = {"woken": round_of("woken"), "polling": round_of("polling"), "held": beside_a_transaction}
    measured = asyncio.run(in_turns(contenders, rounds, warm_up=False))
    name = f"event received elsewhere, p99, {_EVENTS_A_SECOND}/s, {_READ_STREAMS:,} readers"
    yield ratio(name, "ms", "polling every 50 ms", measured["woken"], measured["polling"], at_most=0.2)
    name = "the same, a transaction open elsewhere"
    yield ratio(name, "ms", "without it", measured["held"], measured["woken"], at_most=1.5)


async def _receipt(stage: Stage, kind: str, prefix: str, events: int) -> float:
    _create_streams(stage, prefix, _READ_STREAMS)
    with ExitStack() as ending:
        pod = started(ending, [sys.executable, str(PROCESSES / "readers.py"), kind])
        where = {"dsn": stage.dsn, "organization": SCOPE.organization_id}
        await asyncio.to_thread(pod.answer, order(**where, prefix=prefix, streams=_READ_STREAMS))
        within = _LATE_SECONDS + events / _EVENTS_A_SECOND
        await asyncio.to_thread(pod.answer, order(expected=events, within=within))
        async with open_pool(stage.dsn, min_size=4, max_size=4) as pool, asyncio.TaskGroup() as tasks:
            streams = Streams(pool)
            began = time.monotonic()
            for number in range(events):
                await asyncio.sleep(began + number / _EVENTS_A_SECOND - time.monotonic())
                name = StreamName(SCOPE.organization_id, f"{prefix}{number % _READ_STREAMS}")
                tasks.create_task(_append(streams, name))
            await streams.settled()
        said = json.loads(await asyncio.to_thread(pod.answer, ""))
    if said["received"] != events:
        raise RuntimeError(f"of {events:,} events {said['received']:,} were received")
    return float(said["p99"]) * 1_000


def _create_streams(stage: Stage, prefix: str, number: int) -> None:
    with psycopg.connect(stage.dsn, autocommit=True) as connection:
        connection.execute(
            "insert into pending_stream (organization_id, name) select %s, %s || n from generate_series(0, %s) as n",
            (SCOPE.organization_id, prefix, number),
        )


async def _append(streams: Streams, name: StreamName, padding: str = "") -> None:
    # By the clock that all processes of a machine share.
    await streams.append(name, [NewEvent("token", f"{time.monotonic()} {padding}")])


def measure_memory_of_streams(stage: Stage, *, number: int) -> Figure:
    """The peak of a pod that reads so many streams, each with a large event from before and another one to come.

    Raises RuntimeError where one does not arrive.
    """
    name = f"memory of a pod, {number:,} streams of 1 MiB events"
    doing(name)
    prefix = "large-"
    with ExitStack() as ending:
        asyncio.run(_append_large(stage, prefix, number))
        pod = started(ending, [sys.executable, str(PROCESSES / "readers.py"), "woken"])
        pod.answer(order(dsn=stage.dsn, organization=SCOPE.organization_id, prefix=prefix, streams=number))
        for events_to_come in (False, True):
            pod.answer(order(expected=number, within=_LATE_SECONDS + number / _LARGE_A_SECOND))
            if events_to_come:
                asyncio.run(_append_large(stage, prefix, number))
            received = json.loads(pod.answer(""))["received"]
            if received != number:
                raise RuntimeError(f"of {number:,} events {received:,} were received")
        return Figure(
            *(name, "MiB", peak_mib(pod.popen.pid), "300 MB", _LARGE_REACH_MIB, "ratio"),
            *(peak_mib(pod.popen.pid) / _LARGE_REACH_MIB, 1.0, "at most"),
        )


async def _append_large(stage: Stage, prefix: str, number: int) -> None:
    padding = "x" * (MAX_EVENT_BYTES - 64)
    async with open_pool(stage.dsn) as pool:
        streams = Streams(pool)
        for each in range(number):
            await _append(streams, StreamName(SCOPE.organization_id, f"{prefix}{each}"), padding)
        await streams.settled()
