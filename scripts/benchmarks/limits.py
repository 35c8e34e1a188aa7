"""The rate limiter: against the bare upsert, where it denies, and beside limiters that keep their state in Redis."""

from __future__ import annotations

import asyncio
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from datetime import timedelta
from itertools import count
from typing import LiteralString

from psycopg_pool import AsyncConnectionPool

from pendingctl import Limit, RateLimiter, open_pool
from pendingctl.postgres.time_limits import Purpose

from .contenders import Process, limiters
from .figures import Figure, Round, doing, in_turns, rate, ratio
from .stage import Stage, patient

_KEYS = [f"key-{number}" for number in range(1_000)]
_TASKS = 8
_FREE = Limit(1_000_000, timedelta(seconds=1), burst=1_000_000)
_USED_UP = Limit(1, timedelta(days=1), burst=1)
_REDIS_SECONDS = 10.0

# What the limiter writes, in a table like its own, and one key of it in a table that is not unlogged.
_TABLES = """
    create unlogged table if not exists bare (like pending_rate_limit including all) with (fillfactor = 50);
    create table if not exists bare_logged (like pending_rate_limit including all) with (fillfactor = 50)
"""
_UPSERT = """
    insert into bare (organization_id, key, tat) values ('bench', %(key)s, clock_timestamp())
    on conflict (organization_id, key) do update set tat = clock_timestamp()
"""
_UPSERT_HOT = """
    insert into bare_logged (organization_id, key, tat) values ('bench', 'hot', clock_timestamp())
    on conflict (organization_id, key) do update set tat = clock_timestamp()
"""


def measure_limits(stage: Stage, *, takes: int, rounds: int, alone: bool) -> Iterator[Figure]:
    """Takes a second by eight tasks on 1,000 keys; `alone`: without Redis, which is left out where there is none."""
    doing(f"limits, {takes:,} takes")
    with ExitStack() as ending:
        theirs: dict[str, Round] = {}
        if not alone:
            if (redis := shutil.which("redis-server")) is None:
                doing("no redis-server on the path: limiters that keep their state in it are left out")
            else:
                port = ending.enter_context(_running(redis))
                theirs = _of_redis(*ending.enter_context(limiters(port, takes)))
        with patient(Purpose.LIMIT):
            figures = asyncio.run(_limits(stage, takes, rounds, theirs))
    yield from figures


async def _limits(stage: Stage, takes: int, rounds: int, theirs: dict[str, Round]) -> list[Figure]:
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(stage.dsn, min_size=_TASKS, max_size=_TASKS))
        plain = await stack.enter_async_context(
            AsyncConnectionPool(stage.dsn, min_size=_TASKS, max_size=_TASKS, open=False, kwargs={"autocommit": True})
        )
        bare = [await stack.enter_async_context(stage.bare()) for _ in range(_TASKS)]
        await bare[0].execute(_TABLES)
        limiter = RateLimiter(pool, if_unreachable="raise")
        # By its clock the last denial is always more than a second ago.
        asking = RateLimiter(pool, if_unreachable="raise", clock=count().__next__)
        await limiter.take("bench", "hot", _USED_UP)

        async def take(key: str) -> None:
            if not (await limiter.take("bench", key, _FREE)).allowed:
                raise RuntimeError("a take was denied")

        def denied(by: RateLimiter) -> Callable[[str], Awaitable[None]]:
            async def deny(_: str) -> None:
                if (await by.take("bench", "hot", _USED_UP)).allowed:
                    raise RuntimeError("a take was allowed")

            return deny

        async def pooled(key: str) -> None:
            async with plain.connection() as connection:
                await connection.execute(_UPSERT, {"key": key})

        def upsert(statement: LiteralString) -> Callable[[str], Awaitable[None]]:
            free = list(bare)

            async def once(key: str) -> None:
                connection = free.pop()
                await connection.execute(statement, {"key": key})
                free.append(connection)

            return once

        contenders: dict[str, Round] = {
            "take": lambda: _rate(takes, take),
            "pooled": lambda: _rate(takes, pooled),
            "upsert": lambda: _rate(takes, upsert(_UPSERT)),
            "denied": lambda: _rate(takes, denied(limiter)),
            "denied, asking": lambda: _rate(takes, denied(asking)),
            "upsert of one key": lambda: _rate(takes // 4, upsert(_UPSERT_HOT)),
            **theirs,
        }
        measured = await in_turns(contenders, rounds)
    once = measured["upsert of one key"]
    return [
        ratio("limit, takes", "takes/s", "upserts, by a pool", measured["take"], measured["pooled"], at_least=0.75),
        ratio("the same", "takes/s", "upserts, a connection for each task", measured["take"], measured["upsert"]),
        ratio("limit, a key that is used up", "takes/s", "upserts of one row", measured["denied"], once, at_least=10.0),
        ratio("the same, asking each time", "takes/s", "upserts of one row", measured["denied, asking"], once),
        *(ratio("limit, takes", "takes/s", name, measured["take"], measured[name], at_least=1.0) for name in theirs),
    ]


async def _rate(takes: int, take: Callable[[str], Awaitable[None]]) -> float:
    left = iter(range(takes))

    async def keep_taking() -> None:
        for _ in left:
            await take(random.choice(_KEYS))

    return await rate(takes, [keep_taking() for _ in range(_TASKS)])


def _of_redis(versions: str, process: Process) -> dict[str, Round]:
    def measured(name: str) -> Round:
        async def once() -> float:
            return float(await asyncio.to_thread(process.answer, name))

        return once

    limits, throttled = versions.split()
    return {
        f"limits {limits} on Redis, fixed window": measured("fixed"),
        f"limits {limits} on Redis, moving window": measured("moving"),
        f"throttled-py {throttled} on Redis, GCRA": measured("gcra"),
        f"limits {limits} on Redis, fixed window, threads": measured("fixed, threads"),
        f"limits {limits} on Redis, moving window, threads": measured("moving, threads"),
        f"throttled-py {throttled} on Redis, GCRA, threads": measured("gcra, threads"),
    }


@contextmanager
def _running(redis: str) -> Iterator[int]:
    """A Redis that keeps everything in memory, by its port. Raises RuntimeError where it does not start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryDirectory() as folder:
        command = [redis, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        process = subprocess.Popen([*command, "--dir", folder], stdout=subprocess.DEVNULL)
        try:
            _until_it_listens(port)
            yield port
        finally:
            process.kill()
            process.wait()


def _until_it_listens(port: int) -> None:
    until = time.monotonic() + _REDIS_SECONDS
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
    raise RuntimeError("Redis did not start")
