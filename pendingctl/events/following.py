"""Readers of streams on this pod, wherever it runs: the pod's one reader begins with the first of them."""

from __future__ import annotations

from ..postgres.connections import ConnectionSource
from .clients import Subscription
from .model import START, Cursor, StreamName
from .reader import Reader

DRAIN_SECONDS = 1.0


class Following:
    """Subscribes to streams. A process that was forked, and an event loop that is new, have a reader of their own."""

    def __init__(self, source: ConnectionSource, *, listen_dsn: str | None = None) -> None:
        self._source = source
        self._listen_dsn = listen_dsn
        self._reader: Reader | None = None

    def subscribe(self, stream: StreamName, after: Cursor | None = None) -> Subscription:
        """Return what comes after a position, from the beginning where there is none. To be called in the event loop.

        Each event comes once, in order; where events are gone a Gap comes first that names them; a Reset where the
        position belongs to another history, whose events then come from its beginning. An End is the last: the stream
        is closed and all was read, or it was deleted. A stream that does not exist is open and empty. Where it ends
        without an End the pod drains: subscribe elsewhere, after the last event. While the database is away, it waits.
        """
        if self._reader is None or not self._reader.belongs_here:
            self._reader = Reader(self._source, listen_dsn=self._listen_dsn)
        return self._reader.subscribe(stream, after or START)

    @property
    def is_listening(self) -> bool:
        """Whether wake-ups come through, so that an event is read within milliseconds and not at the next poll."""
        return self._reader is not None and self._reader.listening.is_proven

    async def drain(self, within: float = DRAIN_SECONDS) -> None:
        """End all subscriptions, those to come as well, and the connections; within so many seconds, twice at most."""
        if self._reader is None or not self._reader.belongs_here:
            self._reader = Reader(self._source, listen_dsn=self._listen_dsn)
        await self._reader.drain(within)
