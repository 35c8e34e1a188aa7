"""The readers of a race on streams: they read on one pod, stop, and go on elsewhere, after what they got last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ...events.model import Cursor
from ...postgres.connections import connect
from ..rows import APPLICATION
from .history import Item, ItemKind, StoredStream
from .orders import StreamPods
from .plan import REMADE, SHARED, StreamRaceSettings, streams_of
from .rows import take_snapshot
from .whereabouts import Whereabouts
from .wire import Do

READERS_OF_A_STREAM = 2
# Longer than the longest poll, several times.
PATIENCE_SECONDS = 5.0
MOST_SECONDS = 30.0
SETTLED_POLL_SECONDS = 0.1
COME_BACK_SECONDS = 1.5


@dataclass(slots=True)
class Reader:
    """A reader, and the pod on which it reads, if it does."""

    name: str
    stream: str
    pod: int | None = None


class Readers:
    """All readers of a race. `all` are those that read until its end; `absent` comes back when it has ended.

    The stream of `absent` was made anew meanwhile. All methods raise RaceBrokenOff.
    """

    def __init__(
        self, pods: StreamPods, settings: StreamRaceSettings, organizations: tuple[str, str], directory: Path
    ) -> None:
        self._pods = pods
        self._organizations = organizations
        self._whereabouts = Whereabouts(directory)
        self.all = [
            Reader(f"reader-{place}.{number}", stream)
            for place, stream in enumerate(streams_of(settings, organizations))
            for number in range(READERS_OF_A_STREAM)
        ]
        self.absent = Reader("reader-absent", f"{organizations[0]}/{REMADE}")

    def of_shared(self, number: int) -> list[Reader]:
        """Return the readers of this number, 0 or 1, of the streams to which all pods append."""
        shared = {f"{self._organizations[0]}/{name}" for name in SHARED}
        return [each for each in self.all if each.stream in shared and each.name.endswith(f".{number}")]

    def on(self, pod: int) -> list[Reader]:
        """Return the readers on this pod."""
        return [reader for reader in self.all if reader.pod == pod]

    async def read(self, readers: Iterable[tuple[Reader, int]], *, stalls_after: int | None = None) -> None:
        """Let readers read on, all at once, each on the pod of this place among those that read."""
        last = self._whereabouts.look()
        numbers = self._pods.readers
        orders: list[tuple[int, int]] = []
        for reader, place in readers:
            reader.pod = numbers[place % len(numbers)]
            after = last[reader.name].cursor if reader.name in last else None
            order = self._pods.send(
                reader.pod, Do.READ, reader=reader.name, stream=reader.stream, after=after, stalls_after=stalls_after
            )
            orders.append((reader.pod, order))
        await self._pods.finish(orders)

    async def stop(self, readers: Iterable[Reader]) -> None:
        """Let readers go away, all at once."""
        await self.order(readers, Do.STOP)
        for reader in readers:
            reader.pod = None

    async def order(self, readers: Iterable[Reader], do: Do) -> None:
        """Have the pods of readers that read do this with them."""
        await self._pods.finish(
            [
                (reader.pod, self._pods.send(reader.pod, do, reader=reader.name))
                for reader in readers
                if reader.pod is not None
            ]
        )

    async def move(self, readers: list[Reader]) -> None:
        """Have readers go on elsewhere, all at once."""
        readers = [reader for reader in readers if reader.pod is not None]
        places = [(reader.pod or 0) + 1 for reader in readers]
        await self.stop(readers)
        await self.read(zip(readers, places, strict=True))

    async def come_back(self) -> None:
        """Have those that were given the end of a stream that was made anew come back for that."""
        last = self._whereabouts.look()
        ended = [
            reader
            for reader in self.all
            if reader.stream == self.absent.stream
            and reader.pod is not None
            and reader.name in last
            and last[reader.name].kind is ItemKind.END
        ]
        await self.move(ended)

    async def has_begun(self, reader: Reader) -> bool:
        """Wait until a reader has got something, and return whether it has."""
        return await self._until(lambda last: reader.name in last)

    async def until_caught_up(self, dsn: str, readers: Iterable[Reader]) -> None:
        """Wait until readers have got all that their streams have now, or long enough."""
        async with await connect(dsn, application=APPLICATION) as connection:
            rows = {row.stream: row for row in (await take_snapshot(connection, self._organizations)).streams}
        wanted = {reader.name: rows[reader.stream].last_seq for reader in readers if reader.stream in rows}
        await self._until(lambda last: all(name in last and _seq(last[name]) >= seq for name, seq in wanted.items()))

    async def _until(self, condition: Callable[[Mapping[str, Item]], bool]) -> bool:
        until = time.monotonic() + MOST_SECONDS
        while not (is_so := condition(self._whereabouts.look())) and time.monotonic() < until:  # noqa: ASYNC110 (files grow)
            await asyncio.sleep(SETTLED_POLL_SECONDS)
        return is_so

    async def until_settled(self, dsn: str, *, patience: float) -> None:
        """Wait until all that read have everything, or nothing has come for so many seconds."""
        began = changed_at = time.monotonic()
        comes_back_at = began + COME_BACK_SECONDS
        before: dict[str, Item] | None = None
        async with await connect(dsn, application=APPLICATION) as connection:
            while (now := time.monotonic()) < min(changed_at + patience, began + MOST_SECONDS):
                rows = {row.stream: row for row in (await take_snapshot(connection, self._organizations)).streams}
                last = dict(self._whereabouts.look())
                reading = [reader for reader in (*self.all, self.absent) if reader.pod is not None]
                if all(_has_all(last.get(reader.name), rows.get(reader.stream)) for reader in reading):
                    return
                if last != before:
                    before, changed_at = last, now
                # An end may have been late, by a poll.
                if now >= comes_back_at:
                    await self.come_back()
                    comes_back_at = now + COME_BACK_SECONDS
                await asyncio.sleep(SETTLED_POLL_SECONDS)


def _seq(last: Item) -> int:
    """After which number a reader stands that has got this last."""
    return 0 if last.cursor is None else Cursor.parse(last.cursor).seq


def _has_all(last: Item | None, row: StoredStream | None) -> bool:
    """Whether a reader has all of a stream. Of one that was deleted before it got anything it is told nothing."""
    if row is None:
        return last is None or last.kind is ItemKind.END
    if last is None:
        return False
    if row.is_closed:
        return last.kind is ItemKind.END
    return last.last == row.last_seq and last.kind is not ItemKind.RESET
