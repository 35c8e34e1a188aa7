"""Turns of the ring at bad moments: while readers are away or replay, while an append waits, and during a backup.

What a pod has read stays in its memory for a while, and whoever comes back to that pod soon is given it, although the
ring has removed it. So that a turn surely leaves a reader behind, all readers of one stream leave, and more is appended
to it at once than pods keep.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from ...errors import PendingctlError
from ...events.appending import append as append_to
from ...events.catching_up import PAGE_EVENTS
from ...events.followed import RING_EVENTS
from ...events.ring import Ring
from ...postgres.connections import CommandConnection, connect
from ...postgres.driver_errors import translated_errors
from ..faults.locks import something_waits
from ..rows import APPLICATION
from .controls import ring_for
from .files import write_snapshot, write_turn
from .history import Tag, Way
from .plan import pressed_streams
from .readers import Reader
from .recording import named, tagged
from .rows import hold, keep_reading, take_snapshot, turn
from .scene import Scene
from .wire import Do

# More than remove what came before them.
TURNS = 5
# An append may have been overtaken by the first of these, and what it wrote must be there after the last.
TURNS_OVER_AN_APPEND = 3
# Somebody may read what is to be removed, and a turn is tried again.
TURN_SECONDS = 20.0
# What a pod keeps of a stream, and the pages that were on their way to it.
MISSED_EVENTS = RING_EVENTS + 2 * PAGE_EVENTS
# A reader has got so many items when the ring turns.
REPLAYED = 3
BACKUP_SECONDS = 4.0
TRY_EVERY_SECONDS = 0.5


async def turn_while_some_are_away(scene: Scene) -> str:
    """Turn the ring while some readers are away, which then have missed what was removed."""
    missed = _stream_to_be_missed(scene)
    away = [
        reader
        for reader in scene.readers.all
        if reader.pod is not None and (reader.name.endswith(".0") or reader.stream == missed)
    ]
    await scene.readers.stop(away)
    detail = await _turn_past(scene, missed)
    await scene.readers.read([(reader, place) for place, reader in enumerate(away)])
    await scene.readers.until_caught_up(scene.dsn, [reader for reader in away if reader.stream == missed])
    return detail


async def turn_during_a_replay(scene: Scene) -> str:
    """Turn the ring while new readers, which read from the beginning, have got a little."""
    missed = _stream_to_be_missed(scene)
    away = [reader for reader in scene.readers.all if reader.stream == missed and reader.pod is not None]
    await scene.readers.stop(away)
    began = time.monotonic_ns()
    replaying = [
        Reader(f"reader-replay-{began}-{place}", stream)
        for place, stream in enumerate(pressed_streams(scene.organizations))
    ]
    await scene.readers.read([(reader, place) for place, reader in enumerate(replaying)], stalls_after=REPLAYED)
    scene.readers.all += replaying
    (of_missed,) = (reader for reader in replaying if reader.stream == missed)
    detail = "nothing had been replayed when the ring was to turn"
    if await scene.readers.has_begun(of_missed):
        detail = await _turn_past(scene, missed)
    await scene.readers.order(replaying, Do.TAKE)
    await scene.readers.until_caught_up(scene.dsn, [of_missed])
    await scene.readers.read([(reader, place) for place, reader in enumerate(away)])
    return detail


async def turn_over_an_append(scene: Scene) -> str:
    """Turn the ring while an append waits for its stream, and has chosen its table."""
    held = pressed_streams(scene.organizations)[0]
    async with AsyncExitStack() as holding:
        locking = await holding.enter_async_context(await connect(scene.dsn, application=APPLICATION))
        looking = await holding.enter_async_context(await connect(scene.dsn, application=APPLICATION))
        async with locking.transaction():
            await hold(locking, *held.split("/"))
            with translated_errors():
                if not await something_waits(looking, {"locked_by": locking.info.backend_pid}):
                    return "no append waited for its stream"
            detail = await _turn(scene, 1)
    return detail or await _turn(scene, TURNS_OVER_AN_APPEND - 1)


async def turn_beside_a_backup(scene: Scene) -> str:
    """Try to turn the ring while somebody reads all tables in one transaction, as a backup does."""
    async with await connect(scene.dsn, application=APPLICATION) as connection, connection.transaction():
        await keep_reading(connection)
        until = time.monotonic() + BACKUP_SECONDS
        async with await connect(scene.dsn, application=APPLICATION) as other, _ring(scene) as ring:
            while time.monotonic() < until:
                if await turn(other, ring) is not None:
                    return "the ring turned, although somebody read all tables"
                await asyncio.sleep(TRY_EVERY_SECONDS)
    return ""


def _stream_to_be_missed(scene: Scene) -> str:
    """Return a stream to which all pods append, of which all readers leave: not the first, which others may lock."""
    return pressed_streams(scene.organizations)[1]


async def _turn_past(scene: Scene, stream: str) -> str:
    """Append to a stream that nobody reads, turn the ring until that is gone, and return why it is not, or ""."""
    append = scene.recorder.begin(f"missed.{time.monotonic_ns()}", stream, Way.ALONE, MISSED_EVENTS)
    source = CommandConnection(scene.dsn, application=APPLICATION)
    try:
        appended = await append_to(source, named(stream), tagged(stream, append.name, MISSED_EVENTS))
    except PendingctlError as error:
        scene.recorder.end(append, error)
        return f"what readers were to miss could not be appended: {error}"
    finally:
        await source.close()
    scene.recorder.end(append, appended)
    detail = await _turn(scene, TURNS)
    async with await connect(scene.dsn, application=APPLICATION) as connection:
        left = await take_snapshot(connection, scene.organizations)
    if not detail and any(Tag.parse(event.data).append == append.name for event in left.events):
        return "the ring has kept what readers were to miss"
    return detail


async def _turn(scene: Scene, turns: int) -> str:
    """Turn the ring so many times, and return why it did not, or ""."""
    turned = 0
    has_turned = True
    until = time.monotonic() + TURN_SECONDS
    async with await connect(scene.dsn, application=APPLICATION) as connection, _ring(scene) as ring:
        while time.monotonic() < until:
            # What a turn removes was there at the snapshot before the one before.
            if has_turned:
                write_snapshot(scene.directory, await take_snapshot(connection, scene.organizations))
            done = await turn(connection, ring)
            has_turned = done is not None
            if done is not None:
                write_turn(scene.directory, done)
                turned += 1
            if turned == turns:
                write_snapshot(scene.directory, await take_snapshot(connection, scene.organizations))
                return ""
    return f"the ring turned {turned} times within {TURN_SECONDS:g} s, of {turns}"


@asynccontextmanager
async def _ring(scene: Scene) -> AsyncIterator[Ring]:
    source = CommandConnection(scene.dsn, application=APPLICATION)
    try:
        yield ring_for(scene.settings.implementation, source, pod="coordinator")
    finally:
        await source.close()
