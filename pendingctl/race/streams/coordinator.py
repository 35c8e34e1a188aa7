"""The middle of a race on streams: rounds in which pods write while others read, move on, and faults strike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from ...postgres.connections import CommandConnection, connect
from ..faults.context import OwnServer
from ..history.files import FAULTS, HistoryFile
from ..limits.rows import set_clock_back
from ..pods.dispatcher import RaceBrokenOff
from ..rows import APPLICATION
from .controls import ring_for
from .files import append_fault, read_sessions, write_snapshot, write_turn
from .history import ItemKind, StruckFault
from .orders import StreamPods
from .plan import (
    CLOSED,
    DELETED,
    ENDED_IN_ROUND,
    LASTING,
    REMADE,
    StreamFaultKind,
    StreamRaceSettings,
    locked_stream,
    streams_of,
)
from .rows import cut_listen, hold, take_snapshot, turn
from .wire import Do

READERS_OF_A_STREAM = 2
# Longer than the longest poll, several times.
SETTLED_SECONDS = 12.0
SETTLED_POLL_SECONDS = 0.1
AIM_SECONDS = 10.0
# Longer than an append waits for a lock.
LOCK_SECONDS = 5.0
# More than remove what came before them; somebody may read what is to be removed, and a turn is tried again.
TURNS = 5
MOST_TRIES = 50
# What is appended meanwhile has not been read by those that are away when it is removed.
UNREAD_SECONDS = 0.3


@dataclass(slots=True)
class _Reader:
    """A reader, and the pod on which it reads, if it does."""

    name: str
    stream: str
    pod: int | None = None


class StreamCoordinator:
    """The race's state between its start and its end."""

    def __init__(
        self,
        dsn: str,
        settings: StreamRaceSettings,
        organizations: tuple[str, str],
        directory: Path,
        pods: StreamPods,
        server: OwnServer | None,
    ) -> None:
        self._dsn = dsn
        self._settings = settings
        self._organizations = organizations
        self._directory = directory
        self._pods = pods
        self._server = server
        streams = streams_of(settings, organizations)
        self._readers = [
            _Reader(f"reader-{place}.{number}", stream)
            for place, stream in enumerate(streams)
            for number in range(READERS_OF_A_STREAM)
        ]
        # One comes back when the stream that it read was made anew, and others have been gone for as long as it takes
        # to remove what they have not read.
        self._absent = _Reader("reader-absent", f"{organizations[0]}/{REMADE}")

    async def race(self, on_progress: Callable[[int], None] | None) -> list[str]:
        """Run all rounds, and return why they prove nothing. Raises DatabaseFailed when a pod cannot start."""
        settings = self._settings
        faults = HistoryFile(self._directory / FAULTS)
        reasons: list[str] = []
        try:
            async with AsyncExitStack() as lasting:
                for lasts in settings.faults:
                    if lasts in LASTING:
                        await self._begin(lasts, lasting)
                        append_fault(faults, StruckFault(lasts, time.monotonic_ns(), time.monotonic_ns(), True))
                await self._pods.start(*self._pods.writers, *self._pods.readers)
                for place, reader in enumerate(self._readers):
                    await self._read(reader, place)
                await self._read(self._absent, 0)
                sudden = [kind for kind in settings.faults if kind not in LASTING]
                for round_number in range(settings.rounds):
                    kind = sudden[(round_number - 1) % len(sudden)] if sudden and round_number else None
                    fault = await self._round(round_number, kind)
                    if fault is not None:
                        append_fault(faults, fault)
                    if on_progress is not None:
                        on_progress(round_number + 1)
                await self._pods.carry_out(0, Do.DELETE, stream=self._own(DELETED))
                await self._read(self._absent, 0)
                await self._until_settled()
                await self._snapshot()
        except RaceBrokenOff as broken:
            reasons.append(str(broken))
        finally:
            faults.close()
        return [*reasons, *await self._pods.end()]

    async def _begin(self, kind: StreamFaultKind, lasting: AsyncExitStack) -> None:
        if kind is StreamFaultKind.LONG_TRANSACTION:
            connection = await lasting.enter_async_context(await connect(self._dsn, application=APPLICATION))
            await lasting.enter_async_context(connection.transaction())
            await connection.execute("select pg_current_xact_id()")

    async def _round(self, round_number: int, kind: StreamFaultKind | None) -> StruckFault | None:
        """Let all pods that write append, while readers move and a fault strikes."""
        pods = self._pods
        aimed = pods.send(0, Do.AIM) if kind is StreamFaultKind.KILL else None
        locked = locked_stream(self._organizations) if kind is StreamFaultKind.LOCK else None
        async with AsyncExitStack() as holding:
            if locked is not None:
                connection = await holding.enter_async_context(await connect(self._dsn, application=APPLICATION))
                await holding.enter_async_context(connection.transaction())
                await hold(connection, *locked.split("/"))
            began = time.monotonic_ns()
            set_back = await self._set_clock_back() if kind is StreamFaultKind.CLOCK_BACK else ""
            orders = {pod: pods.send(pod, Do.ROUND, round=round_number) for pod in pods.writers}
            writing = asyncio.create_task(pods.finish(orders))
            detail = set_back or await self._strike(kind, aimed)
            ended = time.monotonic_ns()
        try:
            if round_number == ENDED_IN_ROUND:
                await pods.carry_out(1, Do.CLOSE, stream=self._own(CLOSED))
                await pods.carry_out(1, Do.DELETE, stream=self._own(REMADE))
            await self._move(round_number)
            await writing
        finally:
            writing.cancel()
        await self._come_back()
        if round_number == 0:
            await self._stop(self._absent)
        return None if kind is None else StruckFault(kind, began, ended, not detail, detail, locked)

    async def _strike(self, kind: StreamFaultKind | None, aimed: int | None) -> str:
        """Return why a fault did not land, or ""."""
        match kind:
            case StreamFaultKind.KILL:
                assert aimed is not None
                if not await self._pods.is_aimed(aimed, AIM_SECONDS):
                    return f"no append was between its commit and its wake-up within {AIM_SECONDS:g} s"
                detail = await self._pods.kill(0)
                return detail or await self._kill_a_reader()
            case StreamFaultKind.CUT_LISTEN:
                return await self._cut_listen()
            case StreamFaultKind.RESTART:
                assert self._server is not None
                await asyncio.to_thread(self._server.restart)
            case StreamFaultKind.TURN:
                return await self._turn()
            case StreamFaultKind.LOCK:
                await asyncio.sleep(LOCK_SECONDS)
            case _:
                pass
        return ""

    async def _set_clock_back(self) -> str:
        """Before the round begins, so that its takes show what came of it."""
        async with await connect(self._dsn, application=APPLICATION) as connection:
            return await set_clock_back(connection, self._organizations, self._directory)

    async def _cut_listen(self) -> str:
        """End the sessions that listen, once there are some: after a cut they are away for a moment."""
        until = time.monotonic() + AIM_SECONDS
        async with await connect(self._dsn, application=APPLICATION) as connection:
            while time.monotonic() < until:
                if await cut_listen(connection, self._organizations[0]):
                    return ""
                await asyncio.sleep(SETTLED_POLL_SECONDS)
        return f"nobody listened within {AIM_SECONDS:g} s"

    async def _kill_a_reader(self) -> str:
        """Kill a pod that reads; its readers come back on another one."""
        number = self._pods.readers[0]
        theirs = [reader for reader in self._readers if reader.pod == number]
        detail = await self._pods.kill(number)
        for reader in theirs:
            reader.pod = None
            await self._read(reader, 1)
        return detail

    async def _turn(self) -> str:
        """Turn the ring while the pods write and some readers are away, which then have missed what was removed."""
        away = [reader for reader in self._readers if reader.name.endswith(".0") and reader.pod is not None]
        for reader in away:
            await self._stop(reader)
        await asyncio.sleep(UNREAD_SECONDS)
        source = CommandConnection(self._dsn, application=APPLICATION)
        turned = 0
        try:
            ring = ring_for(self._settings.implementation, source, pod="coordinator")
            async with await connect(self._dsn, application=APPLICATION) as connection:
                for _ in range(MOST_TRIES):
                    write_snapshot(self._directory, await take_snapshot(connection, self._organizations))
                    if (done := await turn(connection, ring)) is not None:
                        write_turn(self._directory, done)
                        turned += 1
                    if turned == TURNS:
                        break
        finally:
            await source.close()
        for place, reader in enumerate(away):
            await self._read(reader, place)
        return "" if turned == TURNS else f"the ring turned {turned} times, of {TURNS}"

    async def _move(self, round_number: int) -> None:
        """Have every third reader go on elsewhere."""
        for place, reader in enumerate(self._readers):
            if place % 3 == round_number % 3 and reader.pod is not None:
                to = reader.pod + 1
                await self._stop(reader)
                await self._read(reader, to)

    async def _come_back(self) -> None:
        """Readers that were given the end of a stream that was then made anew come back for that."""
        ended = {
            session.reader: bool(session.items) and session.items[-1].kind is ItemKind.END
            for session in sorted(read_sessions(self._directory), key=lambda session: session.started_ns)
        }
        for place, reader in enumerate(self._readers):
            if reader.stream == self._own(REMADE) and ended.get(reader.name) and reader.pod is not None:
                await self._stop(reader)
                await self._read(reader, place)

    async def _read(self, reader: _Reader, place: int) -> None:
        """Let a reader read on, after what it has got so far, on the pod of this place."""
        readers = self._pods.readers
        reader.pod = readers[place % len(readers)]
        sessions = sorted(read_sessions(self._directory), key=lambda session: session.started_ns)
        cursors = [item.cursor for each in sessions if each.reader == reader.name for item in each.items]
        after = cursors[-1] if cursors else None
        await self._pods.carry_out(reader.pod, Do.READ, reader=reader.name, stream=reader.stream, after=after)

    async def _stop(self, reader: _Reader) -> None:
        if reader.pod is not None:
            await self._pods.carry_out(reader.pod, Do.STOP, reader=reader.name)
            reader.pod = None

    async def _until_settled(self) -> None:
        """Wait until all readers have everything; after some seconds the files show what they lack."""
        until = time.monotonic() + SETTLED_SECONDS
        async with await connect(self._dsn, application=APPLICATION) as connection:
            while time.monotonic() < until:
                snapshot = await take_snapshot(connection, self._organizations)
                rows = {row.stream: row for row in snapshot.streams}
                last = {
                    session.reader: (session.stream, session.items[-1] if session.items else None)
                    for session in sorted(read_sessions(self._directory), key=lambda session: session.started_ns)
                    if session.items
                }
                if (
                    all(
                        item is not None
                        and (
                            item.kind is ItemKind.END
                            if stream not in rows or rows[stream].is_closed
                            else item.last == rows[stream].last_seq and item.kind is not ItemKind.RESET
                        )
                        for stream, item in last.values()
                    )
                    and len(last) == len(self._readers) + 1
                ):
                    return
                await asyncio.sleep(SETTLED_POLL_SECONDS)

    async def _snapshot(self) -> None:
        async with await connect(self._dsn, application=APPLICATION) as connection:
            write_snapshot(self._directory, await take_snapshot(connection, self._organizations))

    def _own(self, name: str) -> str:
        return f"{self._organizations[0]}/{name}"
