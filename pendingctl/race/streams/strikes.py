"""What goes wrong in a race on streams: each fault really happens, while all pods append, and it is known if it did."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from ...postgres.connections import CommandConnection, Connection, connect
from ...postgres.driver_errors import translated_errors
from ..faults.locks import something_waits
from ..limits.rows import set_clock_back
from ..pods.dispatcher import STRIKE_SECONDS, broken_off_after
from ..rows import APPLICATION
from .files import write_snapshot
from .history import StruckFault, Way
from .plan import LOCKING, REMADE, StreamFaultKind, locked_stream
from .racing import RacingStreams
from .recording import named, tagged
from .ring_strikes import turn_beside_a_backup, turn_during_a_replay, turn_over_an_append, turn_while_some_are_away
from .rows import cut_listen, hold, take_snapshot
from .scene import Scene
from .wire import Do

AIM_SECONDS = 10.0
POLL_SECONDS = 0.1
# Longer than a pod that heard nothing, as on a busy machine, leaves it at that.
LISTEN_TRIES = 400
_NOBODY_LISTENED = f"nobody listened within {LISTEN_TRIES * POLL_SECONDS:g} s"
# Longer than an append waits for a lock.
LOCK_SECONDS = 4.0
# Long enough to see that what is appended meanwhile is read soon.
STALL_SECONDS = 3.5
# More than a pod keeps in memory of a stream comes by while readers stall.
EVENTS_WHILE_STALLED = 10
# Meanwhile a primary acknowledges what will be lost.
BEHIND_SECONDS = 0.5
SILENT_SECONDS = 3.0
REMADE_TIMES = 2
REMADE_SECONDS = 0.5


def events_at_a_time(kind: StreamFaultKind) -> int:
    """Return how many events each append has that pods make all the while that a fault strikes."""
    return EVENTS_WHILE_STALLED if kind is StreamFaultKind.STALL else 1


async def strike(scene: Scene, kind: StreamFaultKind) -> StruckFault:
    """Let a fault strike. Raises RaceBrokenOff and the database's errors."""
    fault = StruckFault(
        kind, time.monotonic_ns(), stream=locked_stream(scene.organizations) if kind in LOCKING else None
    )
    async with broken_off_after(STRIKE_SECONDS, f"the fault {kind}"):
        detail = await _STRIKES[kind](scene)
    return replace(fault, ended_ns=time.monotonic_ns(), landed=not detail, detail=detail)


async def _kill(scene: Scene) -> str:
    """Kill a pod between a commit and its wake-up, and one that reads, whose readers come back on another one."""
    pods = scene.pods
    aimed = pods.send(0, Do.AIM)
    if not await pods.is_aimed(aimed, AIM_SECONDS):
        return f"no append was between its commit and its wake-up within {AIM_SECONDS:g} s"
    detail = await pods.kill(0)
    number = pods.readers[0]
    theirs = scene.readers.on(number)
    detail = detail or await pods.kill(number)
    await scene.readers.read([(reader, 1) for reader in theirs])
    return detail


async def _drain(scene: Scene) -> str:
    """Drain a pod that reads, as before its end; its readers go on elsewhere."""
    number = scene.pods.readers[-1]
    theirs = scene.readers.on(number)
    await scene.pods.carry_out(number, Do.DRAIN)
    others = len(scene.pods.readers) - 1
    await scene.readers.read([(reader, place % others) for place, reader in enumerate(theirs)])
    return await scene.pods.replace(number)


async def _storm(scene: Scene) -> str:
    """Have all readers leave and come back elsewhere at once."""
    await scene.readers.move(scene.readers.all)
    return ""


async def _stall(scene: Scene) -> str:
    """Have half of the readers take nothing, while more comes by than is kept for them."""
    stalled = [reader for reader in scene.readers.of_shared(1) if reader.pod is not None]
    await scene.readers.order(stalled, Do.STALL)
    await asyncio.sleep(STALL_SECONDS)
    await scene.readers.order(stalled, Do.TAKE)
    return ""


async def _cut_listen(scene: Scene) -> str:
    """End the sessions that listen, once there are some: after a cut they are away for a moment."""
    async with await connect(scene.dsn, application=APPLICATION) as connection:
        for _ in range(LISTEN_TRIES):
            if await cut_listen(connection, scene.organizations[0]):
                return ""
            await asyncio.sleep(POLL_SECONDS)
    return _NOBODY_LISTENED


async def _stop_listen(scene: Scene) -> str:
    """Let nothing pass any more on the connections that listen, once there are some; neither end learns of it."""
    assert scene.listening is not None
    for _ in range(LISTEN_TRIES):
        if scene.listening.fall_silent():
            await asyncio.sleep(SILENT_SECONDS)
            return ""
        await asyncio.sleep(POLL_SECONDS)
    return _NOBODY_LISTENED


async def _restart(scene: Scene) -> str:
    assert scene.server is not None
    await asyncio.to_thread(scene.server.restart)
    return ""


async def _fail_over(scene: Scene) -> str:
    """Have the standby fall behind, and then take the place of the primary: what was committed meanwhile is lost."""
    server = scene.server
    assert server is not None
    assert server.fall_behind is not None
    assert server.fail_over is not None
    await asyncio.to_thread(server.fall_behind)
    await asyncio.sleep(BEHIND_SECONDS)
    await _snapshot(scene)
    await asyncio.to_thread(server.fail_over)
    if scene.pooler is not None:
        await scene.pooler.follow(scene.dsn)
    await _snapshot(scene)
    return ""


async def _lock(scene: Scene) -> str:
    """Hold a stream in a transaction."""
    async with await connect(scene.dsn, application=APPLICATION) as connection, connection.transaction():
        await hold(connection, *locked_stream(scene.organizations).split("/"))
        return await _held(scene, connection)


async def _append_for_long(scene: Scene) -> str:
    """Append to a stream in a transaction that stays open: until its commit nobody sees that."""
    stream = locked_stream(scene.organizations)
    source = CommandConnection(scene.dsn, application=APPLICATION)
    try:
        streams = RacingStreams(source, pod="coordinator", is_waking=scene.is_waking)
        append = scene.recorder.begin(f"long.{time.monotonic_ns()}", stream, Way.ALONE, 2)
        async with await connect(scene.dsn, application=APPLICATION) as connection, connection.transaction():
            appended = await streams.append(named(stream), tagged(stream, append.name, 2), connection=connection)
            detail = await _held(scene, connection)
            # Whoever has got it by now has got it too early.
            await _snapshot(scene)
        scene.recorder.end(append, appended)
        streams.wake(named(stream))
        await streams.settled()
    finally:
        await source.close()
    return detail


async def _held(scene: Scene, holding: Connection) -> str:
    """Leave a stream locked for a while, and return why nobody has felt that, or ""."""
    until = time.monotonic() + LOCK_SECONDS
    async with await connect(scene.dsn, application=APPLICATION) as looking:
        with translated_errors():
            has_waited = await something_waits(looking, {"locked_by": holding.info.backend_pid})
    await asyncio.sleep(until - time.monotonic())
    return "" if has_waited else "no append waited for the locked stream"


async def _set_clock_back(scene: Scene) -> str:
    async with await connect(scene.dsn, application=APPLICATION) as connection:
        return await set_clock_back(connection, scene.organizations, scene.directory)


async def _make_anew(scene: Scene) -> str:
    """Delete a stream to which all pods append, which makes it anew."""
    for _ in range(REMADE_TIMES):
        await scene.pods.carry_out(1, Do.DELETE, stream=f"{scene.organizations[0]}/{REMADE}")
        await asyncio.sleep(REMADE_SECONDS)
    return ""


async def _snapshot(scene: Scene) -> None:
    async with await connect(scene.dsn, application=APPLICATION) as connection:
        write_snapshot(scene.directory, await take_snapshot(connection, scene.organizations))


# Each returns why it did not land, or "".
_STRIKES: Mapping[StreamFaultKind, Callable[[Scene], Awaitable[str]]] = {
    StreamFaultKind.KILL: _kill,
    StreamFaultKind.DRAIN: _drain,
    StreamFaultKind.STORM: _storm,
    StreamFaultKind.STALL: _stall,
    StreamFaultKind.CUT_LISTEN: _cut_listen,
    StreamFaultKind.STOP_LISTEN: _stop_listen,
    StreamFaultKind.RESTART: _restart,
    StreamFaultKind.FAILOVER: _fail_over,
    StreamFaultKind.LOCK: _lock,
    StreamFaultKind.LONG_APPEND: _append_for_long,
    StreamFaultKind.REMAKE: _make_anew,
    StreamFaultKind.CLOCK_BACK: _set_clock_back,
    StreamFaultKind.TURN: turn_while_some_are_away,
    StreamFaultKind.TURN_WHILE_WAITING: turn_over_an_append,
    StreamFaultKind.TURN_DURING_REPLAY: turn_during_a_replay,
    StreamFaultKind.BACKUP: turn_beside_a_backup,
}
