"""One pod of a race on streams: it writes, or it reads, as the orders on its stdin say. It ends when they do."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

from ...errors import DatabaseUnreachable, PendingctlError, StreamMissing, StreamMoved
from ...events.model import Appended, Cursor, StreamName
from ...postgres.connections import Pool, in_transaction, open_pool
from ...postgres.time_limits import Purpose
from ..history.files import HistoryFile
from ..history.history import DECIDED
from ..limits.taker import Taker, open_taker
from ..pods import wire
from ..pods.lifetime import EXIT_WITHIN_SECONDS, WAIT_SECONDS, connected, exit_within
from ..rows import APPLICATION
from .controls import streams_for
from .history import Append, EndingKind, Way
from .plan import PlannedAppend, StreamFaultKind, plan_round, pressed_streams, pressed_together
from .racing import RacingStreams
from .recording import RolledBack, StreamRecorder, named, tagged
from .wire import Do, StreamAssignment, StreamOrder, decode_order

CONNECTIONS = 4
APPENDS_AT_ONCE = 3
# An append from an expected position is repeated until it is known, every so often, for so long.
RETRY_SECONDS = 0.2
RESOLVE_SECONDS = 30.0
# Between two appends to each stream while a fault strikes.
PRESS_SECONDS = 0.05


class _Reading:
    """A reader's subscription, of which it takes items unless it stalls."""

    def __init__(self, stalls_after: int | None) -> None:
        self.may_take = asyncio.Event()
        self.may_take.set()
        self.task: asyncio.Task[None] | None = None
        self._stalls_after = stalls_after
        self._taken = 0

    async def before_next(self) -> None:
        self._taken += 1
        if self._taken == self._stalls_after:
            self.may_take.clear()
        await self.may_take.wait()

    async def end(self) -> None:
        """Stop taking. Raises what the subscription raised."""
        if self.task is not None:
            self.task.cancel()
            (result,) = await asyncio.gather(self.task, return_exceptions=True)
            if isinstance(result, Exception):
                raise result


class StreamPod:
    """Carries out the orders of one pod."""

    def __init__(
        self,
        assignment: StreamAssignment,
        source: Pool,
        streams: RacingStreams,
        recorder: StreamRecorder,
        taker: Taker,
    ) -> None:
        self._assignment = assignment
        self._source = source
        self._streams = streams
        self._recorder = recorder
        self._taker = taker
        self._readers: dict[str, _Reading] = {}
        self._pressing: asyncio.Task[None] | None = None
        self._presses = 0
        self._eased = asyncio.Event()
        self._turns = asyncio.Semaphore(APPENDS_AT_ONCE)
        self._expected: int | None = None

    async def carry_out(self, order: StreamOrder) -> None:
        """Do what an order says, and report when it is done."""
        match order.do:
            case Do.ROUND:
                planned = plan_round(
                    self._assignment.settings, self._assignment.organizations, self._assignment.number, order.round
                )
                await asyncio.gather(*map(self._append, planned), self._taker.take_round(order.round))
            case Do.READ:
                self._read(order)
            case Do.STOP:
                await self._readers.pop(order.reader).end()
            case Do.STALL:
                self._readers[order.reader].may_take.clear()
            case Do.TAKE:
                self._readers[order.reader].may_take.set()
            case Do.PRESS:
                self._pressing = asyncio.create_task(self._press(order.events))
            case Do.EASE:
                await self._ease()
            case Do.DRAIN:
                await self._streams.drain()
            case Do.CLOSE | Do.DELETE:
                kind = EndingKind.CLOSE if order.do is Do.CLOSE else EndingKind.DELETE
                end = self._streams.close if kind is EndingKind.CLOSE else self._streams.delete
                await self._end(order.stream, kind, lambda: end(named(order.stream)))
            case Do.AIM:
                self._streams.aimed = order.number
        wire.report(wire.DONE, str(order.number))

    async def _end(self, stream: str, kind: EndingKind, end: Callable[[], Awaitable[int]]) -> None:
        """End a stream, however often it takes: a server may be away."""
        until = time.monotonic() + RESOLVE_SECONDS
        while time.monotonic() < until:
            if await self._recorder.note_ending(stream, kind, end) in DECIDED:
                return
            await asyncio.sleep(RETRY_SECONDS)

    async def close(self) -> None:
        """End all readers."""
        await self._ease()
        for reader in self._readers.values():
            await reader.end()

    def _read(self, order: StreamOrder) -> None:
        """Begin to take the items of a stream."""
        after = None if order.after is None else Cursor.parse(order.after)
        items = self._streams.items(named(order.stream), after)
        reading = self._readers[order.reader] = _Reading(order.stalls_after)
        reading.task = asyncio.create_task(
            self._recorder.note_items(order.reader, order.stream, order.after, items, reading.before_next)
        )

    async def _press(self, events: int) -> None:
        """Append so many events to each of some streams, one to others together, take from limits, and again."""
        self._eased.clear()
        self._presses += 1
        for number in count():
            name = f"{self._assignment.name}.x{self._presses}.{number}"
            await asyncio.gather(self._press_streams(name, events), self._taker.take_beside_a_fault())
            with suppress(TimeoutError):
                async with asyncio.timeout(PRESS_SECONDS):
                    await self._eased.wait()
                    return

    async def _press_streams(self, name: str, events: int) -> None:
        for stream in pressed_streams(self._assignment.organizations):
            await self._alone(PlannedAppend(name, Way.ALONE, (stream,), events))
        together = pressed_together(self._assignment.organizations)
        await self._together(PlannedAppend(name, Way.TOGETHER, together, 1))

    async def _ease(self) -> None:
        self._eased.set()
        if self._pressing is not None:
            await self._pressing
            self._pressing = None

    async def _append(self, planned: PlannedAppend) -> None:
        async with self._turns:
            match Way(planned.way):
                case Way.ALONE:
                    await self._alone(planned)
                case Way.TOGETHER:
                    await self._together(planned)
                case Way.EXPECTED:
                    await self._from_an_expected_position(planned)
                case Way.TRANSACTION | Way.ROLLED_BACK:
                    await self._in_a_transaction(planned)

    async def _alone(self, planned: PlannedAppend) -> None:
        (stream,) = planned.streams
        append = self._recorder.begin(planned.name, stream, Way.ALONE, planned.events)
        await self._ended(append, planned.name)

    async def _ended(self, append: Append, name: str, expected: int | None = None) -> Appended | PendingctlError:
        """Append, and write how it went."""
        result: Appended | PendingctlError
        try:
            result = await self._streams.append(
                named(append.stream), tagged(append.stream, name, append.events), expected=expected
            )
        except PendingctlError as error:
            result = error
        self._recorder.end(append, result)
        return result

    async def _together(self, planned: PlannedAppend) -> None:
        appends = {
            stream: self._recorder.begin(planned.name, stream, Way.TOGETHER, planned.events)
            for stream in planned.streams
        }
        try:
            results = await self._streams.append_many(
                {named(stream): tagged(stream, planned.name, planned.events) for stream in planned.streams}
            )
        except PendingctlError as error:
            results = dict.fromkeys(map(named, planned.streams), error)
        for stream, append in appends.items():
            self._recorder.end(append, results[named(stream)])

    async def _from_an_expected_position(self, planned: PlannedAppend) -> None:
        """Append, and repeat it as a writer does that has not heard of its success."""
        (stream,) = planned.streams
        until = time.monotonic() + RESOLVE_SECONDS
        known = 0
        while known < 2 and time.monotonic() < until:
            try:
                if self._expected is None:
                    self._expected = await self._last_seq(named(stream))
            except DatabaseUnreachable:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            append = self._recorder.begin(planned.name, stream, Way.EXPECTED, planned.events)
            result = await self._ended(append, planned.name, self._expected)
            if isinstance(result, Appended):
                known += 1
            elif isinstance(result, StreamMoved):
                # What a killed pod had sent was still on its way, or a failover has lost what it expected.
                self._expected = None
                if known:
                    return
            else:
                await asyncio.sleep(RETRY_SECONDS)
        if known and self._expected is not None:
            self._expected += planned.events

    async def _last_seq(self, stream: StreamName) -> int:
        try:
            return (await self._streams.show(stream)).stream.last_seq
        except StreamMissing:
            return 0

    async def _in_a_transaction(self, planned: PlannedAppend) -> None:
        """Append to each stream, and once more to the last one, in one transaction of the caller's."""
        way = Way(planned.way)
        parts = [*planned.streams, planned.streams[-1]]
        begun = [
            self._recorder.begin(f"{planned.name}/{place}", stream, way, planned.events, planned.name)
            for place, stream in enumerate(parts)
        ]
        results: list[Appended] = []
        failure: BaseException | None = None
        try:
            async with in_transaction(self._source, purpose=Purpose.APPEND) as connection:
                for append in begun:
                    events = tagged(append.stream, append.name, append.events)
                    results.append(await self._streams.append(named(append.stream), events, connection=connection))
                if way is Way.ROLLED_BACK:
                    raise RolledBack
            self._streams.wake(*map(named, planned.streams))
        except (PendingctlError, RolledBack) as error:
            failure = error
        for place, append in enumerate(begun):
            self._recorder.end(append, results[place] if failure is None else failure)


async def serve(assignment: StreamAssignment, coordinator: asyncio.StreamReader) -> None:
    """Connect, and carry out the orders that `coordinator` sends until it ends. Raises PendingctlError at the start."""
    file = HistoryFile(Path(assignment.history) / f"{assignment.name}.jsonl")
    recorder = StreamRecorder(assignment.name, file)
    async with (
        open_pool(
            assignment.dsn, application=APPLICATION, min_size=CONNECTIONS, max_size=CONNECTIONS, timeout=WAIT_SECONDS
        ) as source,
        open_taker(
            assignment.dsn,
            pod=assignment.name,
            number=assignment.number,
            organizations=assignment.organizations,
            seed=assignment.settings.seed,
            implementation=assignment.settings.implementation,
            directory=Path(assignment.history),
        ) as taker,
    ):
        await connected(source, CONNECTIONS)
        settings = assignment.settings
        streams = streams_for(
            settings.implementation,
            source,
            pod=assignment.name,
            is_waking=StreamFaultKind.DROP_WAKE_UPS not in settings.faults,
            listen_dsn=assignment.listen_dsn,
        )
        pod = StreamPod(assignment, source, streams, recorder, taker)
        wire.report(wire.READY, f"{time.time():.3f}")
        async with asyncio.TaskGroup() as orders:
            try:
                while line := await coordinator.readline():
                    orders.create_task(pod.carry_out(decode_order(line)))
            finally:
                exit_within(EXIT_WITHIN_SECONDS)
        await pod.close()
        await streams.drain()
        await streams.settled()
    file.close()
    wire.report(wire.ENDED)
