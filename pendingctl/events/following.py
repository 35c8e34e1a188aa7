"""Readers of streams on this pod, wherever it runs: the pod's one reader begins with the first of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..postgres.connections import ConnectionSource
from .clients import Subscription
from .model import START, Cursor, StreamName
from .reader import Reader

DRAIN_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Counts:
    """How often a pod's reader has asked for what has moved, how many pages it has read for those that were behind.

    And how many events it has read in all, and how many wake-ups were heard.
    """

    polls: int
    pages: int
    events: int
    heard: int


class Following:
    """Subscribes to streams. A process that was forked, and an event loop that is new, have a reader of their own."""

    def __init__(
        self,
        source: ConnectionSource,
        *,
        listen_dsn: str | None = None,
        note_heard: Callable[[], None] = lambda: None,
    ) -> None:
        """`note_heard` is called for each notification that comes in."""
        self._source = source
        self._listen_dsn = listen_dsn
        self._note_heard = note_heard
        self._reader: Reader | None = None

    def subscribe(self, stream: StreamName, after: Cursor | None = None) -> Subscription:
        """See `Streams.subscribe`."""
        return self._present().subscribe(stream, after or START)

    @property
    def is_listening(self) -> bool:
        """Whether wake-ups come through, so that an event is read within milliseconds and not at the next poll."""
        return self._reader is not None and self._reader.listening.is_proven

    @property
    def counts(self) -> Counts:
        """What its reader has done so far."""
        reader = self._reader
        if reader is None:
            return Counts(0, 0, 0, 0)
        return Counts(reader.polls, reader.pages, reader.events, reader.listening.heard)

    async def drain(self, within: float = DRAIN_SECONDS) -> None:
        """End all subscriptions, those to come as well, and the connections; within so many seconds and one more."""
        await self._present().drain(within)

    def _present(self) -> Reader:
        if self._reader is None or not self._reader.belongs_here:
            self._reader = Reader(self._source, listen_dsn=self._listen_dsn, note_heard=self._note_heard)
        return self._reader
