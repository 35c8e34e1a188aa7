"""Pods that wake readers of streams all the time, and read none themselves.

Run by `streams.py`. It reads a JSON object with the `dsn`, the `organization`, the number of `pods` and the names of
the `streams` that they share, prints `ready`, and goes on until it is killed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import AsyncExitStack

from pendingctl import open_pool
from pendingctl.events.model import StreamName
from pendingctl.events.streams import Streams
from pendingctl.events.waking import LEAST_INTERVAL_SECONDS


async def _main() -> None:
    given = json.loads(sys.stdin.readline())
    names = [StreamName(given["organization"], name) for name in given["streams"]]
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        for number in range(given["pods"]):
            streams = Streams(await stack.enter_async_context(open_pool(given["dsn"], min_size=1, max_size=1)))
            tasks.create_task(_wake(streams, names[number :: given["pods"]]))
        print("ready", flush=True)


async def _wake(streams: Streams, names: list[StreamName]) -> None:
    while True:
        streams.wake(*names)
        await asyncio.sleep(LEAST_INTERVAL_SECONDS)


if __name__ == "__main__":
    asyncio.run(_main())
