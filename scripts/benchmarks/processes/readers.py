"""A pod whose readers hang on many streams, with wake-ups or without them.

Run by `streams.py` with `woken` or `polling`. It reads a JSON object with the `dsn`, the `organization`, and the
`prefix` and the number of the `streams`, and prints `ready` once all are followed. Then for each round it reads a JSON
object with how many events are `expected`, and `within` how many seconds, and an empty line, and prints how many it
`received` and the 99th percentile of the seconds that they took: each event begins with the time of its append. What
comes before the first round counts in it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from psycopg.conninfo import make_conninfo

from pendingctl import open_pool
from pendingctl.events import reader
from pendingctl.events.model import Event, StreamName
from pendingctl.events.streams import Streams

_POLL_SECONDS = 0.05
# For all streams to be opened, and wake-ups to be proven or given up.
_READY_SECONDS = 3.0


async def _main(kind: str) -> None:
    given = json.loads(await asyncio.to_thread(sys.stdin.readline))
    seconds: list[float] = []
    async with open_pool(given["dsn"], max_size=6) as pool:
        listen_dsn = given["dsn"]
        if kind == "polling":
            reader.SHORTEST_POLL = reader.LONGEST_POLL = _POLL_SECONDS
            # Nothing is heard of another database.
            listen_dsn = make_conninfo(listen_dsn, dbname="postgres")
        streams = Streams(pool, listen_dsn=listen_dsn)

        async def follow(number: int) -> None:
            async for item in streams.subscribe(StreamName(given["organization"], f"{given['prefix']}{number}")):
                if isinstance(item, Event):
                    seconds.append(time.monotonic() - float(item.data.split(maxsplit=1)[0]))
                # Until the next one comes it would be kept.
                del item

        followers = [asyncio.create_task(follow(number)) for number in range(given["streams"])]
        await asyncio.sleep(_READY_SECONDS)
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            print("counting", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            until = time.monotonic() + asked["within"]
            while len(seconds) < asked["expected"] and time.monotonic() < until:  # noqa: ASYNC110 (once a round)
                await asyncio.sleep(0.02)
            p99 = sorted(seconds)[int(0.99 * len(seconds))] if seconds else 0.0
            print(json.dumps({"received": len(seconds), "p99": p99}), flush=True)
            seconds.clear()
        await streams.drain(0)
        await asyncio.gather(*followers)


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1]))
