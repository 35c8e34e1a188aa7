"""Takes from limits that Redis keeps, by other libraries.

Run by `limits.py` with an interpreter that has them: it reads the port of a Redis and how many takes, prints the
versions, and for each further line, the name of a contender, prints how many takes a second that were.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

from limits import RateLimitItemPerSecond
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter
from limits.storage import storage_from_string
from limits.strategies import MovingWindowRateLimiter as MovingWindowOfThreads
from throttled import Throttled as ThrottledThreads
from throttled import store as stores
from throttled.asyncio import RateLimiterType, Throttled, per_sec, store

KEYS = [f"key-{number}" for number in range(1_000)]
TASKS = 8
RATE = 1_000_000


async def rate(takes: int, take: Callable[[str], Awaitable[bool]]) -> float:
    """Return how many takes a second eight tasks make."""
    left = iter(range(takes))

    async def keep_taking() -> None:
        for _ in left:
            if not await take(random.choice(KEYS)):
                raise RuntimeError("a take was denied")

    started = time.perf_counter()
    await asyncio.gather(*(keep_taking() for _ in range(TASKS)))
    return takes / (time.perf_counter() - started)


def rate_of_threads(takes: int, take: Callable[[str], bool]) -> float:
    """Return how many takes a second eight threads make."""

    def keep_taking() -> None:
        for _ in range(takes // TASKS):
            if not take(random.choice(KEYS)):
                raise RuntimeError("a take was denied")

    with ThreadPoolExecutor(TASKS) as threads:
        started = time.perf_counter()
        for each in [threads.submit(keep_taking) for _ in range(TASKS)]:
            each.result()
        return takes / (time.perf_counter() - started)


async def main(port: int, takes: int) -> None:
    """Answer lines until there are none."""
    storage = storage_from_string(f"async+redis://127.0.0.1:{port}", implementation="redispy")
    item = RateLimitItemPerSecond(RATE)
    fixed, moving = FixedWindowRateLimiter(storage), MovingWindowRateLimiter(storage)
    throttled = Throttled(
        using=RateLimiterType.GCRA.value,
        quota=per_sec(RATE, burst=RATE),
        store=store.RedisStore(server=f"redis://127.0.0.1:{port}/0"),
    )

    async def gcra(key: str) -> bool:
        return not (await throttled.limit(key)).limited

    contenders: dict[str, Callable[[str], Awaitable[bool]]] = {
        "fixed": lambda key: fixed.hit(item, "fixed", key),
        "moving": lambda key: moving.hit(item, "moving", key),
        "gcra": gcra,
    }
    url = f"redis://127.0.0.1:{port}/0"
    moving_of_threads = MovingWindowOfThreads(storage_from_string(url))
    gcra_of_threads = ThrottledThreads(
        using=RateLimiterType.GCRA.value,
        quota=per_sec(RATE, burst=RATE),
        store=stores.RedisStore(server=url),
    )
    with_threads: dict[str, Callable[[str], bool]] = {
        "moving, threads": lambda key: moving_of_threads.hit(item, "moving", key),
        "gcra, threads": lambda key: not gcra_of_threads.limit(key).limited,
    }
    print(f"{version('limits')} {version('throttled-py')}", flush=True)
    while name := (await asyncio.to_thread(sys.stdin.readline)).strip():
        if name in contenders:
            print(await rate(takes, contenders[name]), flush=True)
        else:
            print(rate_of_threads(takes, with_threads[name]), flush=True)


asyncio.run(main(*map(int, input().split())))
