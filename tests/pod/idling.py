"""How often a pod that has nothing to do asks its database, for all of its duties together."""

from __future__ import annotations

import asyncio
import time
from typing import Any
from unittest.mock import patch

import psycopg

from pendingctl import InteractionBridge, PendingStore, open_pool
from pendingctl.events.model import NewEvent, StreamName
from pendingctl.events.streams import Streams
from tests.deliveries import until
from tests.pods import RecordingPlatform, nothing

STREAMS = 100


async def statements_a_second(dsn: str, *, is_listening: bool) -> float:
    """Count the statements of a pod with a bridge, whose readers hang on streams, some of which do not exist yet.

    It goes on asking: so many are waited for, and how long they take on a slow machine only lowers the rate.
    """
    execute = psycopg.AsyncCursor.execute
    sent = 0

    async def counted(cursor: psycopg.AsyncCursor[Any], query: Any, *given: Any, **named: Any) -> Any:
        nonlocal sent
        sent += 1
        return await execute(cursor, query, *given, **named)

    # A connection that is made meanwhile would cost statements, too.
    async with open_pool(dsn, min_size=4, max_size=4) as pool:
        await pool.wait()
        streams = Streams(pool)
        names = [StreamName("acme", f"idle-{number}") for number in range(STREAMS)]
        for name in names[::2]:
            await streams.append(name, [NewEvent("said", "one")])
        await streams.settled()
        bridge = InteractionBridge(PendingStore(pool), RecordingPlatform(), lambda _: nothing(), streams=streams)
        bridge.register("acme", "slack")
        subscriptions = [streams.subscribe(name) for name in names]
        for subscription in subscriptions[::2]:
            await anext(subscription)
        readers = [asyncio.ensure_future(anext(subscription)) for subscription in subscriptions]
        reader = streams._following._reader
        assert reader is not None
        async with bridge:
            if is_listening:
                await until(lambda: reader.listening.is_proven)
            # Wake-ups that do not come through are noticed within two seconds; polls become rare then.
            await asyncio.sleep(1.0 if is_listening else 3.5)
            assert reader.listening.is_proven == is_listening
            with patch.object(psycopg.AsyncCursor, "execute", counted):
                began = time.monotonic()
                # About four seconds' worth.
                await until(lambda: sent >= (9 if is_listening else 21))
                rate = sent / (time.monotonic() - began)
        await streams.drain(0)
        await asyncio.gather(*readers, return_exceptions=True)
    return rate
