"""Pods that wake readers of streams all the time, and read none themselves.

Run by `streams.py`. It reads a JSON object with the `dsn`, the `organization` and the number of `pods`, prints `ready`,
and goes on until it is killed.
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
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        for number in range(given["pods"]):
            streams = Streams(await stack.enter_async_context(open_pool(given["dsn"], min_size=1, max_size=1)))
            tasks.create_task(_wake(streams, StreamName(given["organization"], f"woken-{number}")))
        print("ready", flush=True)


async def _wake(streams: Streams, name: StreamName) -> None:
    while True:
        streams.wake(name)
        await asyncio.sleep(LEAST_INTERVAL_SECONDS)


if __name__ == "__main__":
    asyncio.run(_main())
