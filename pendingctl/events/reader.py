"""A pod's one reader: it follows all streams that the pod's clients read, over one connection of its own."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import Context
from functools import partial

from psycopg.errors import QueryCanceled

from ..errors import DatabaseBusy, DatabaseUnreachable, PendingctlError
from ..postgres.connections import Connection, ConnectionSource
from ..postgres.driver_errors import translated_errors
from ..postgres.outages import Outage
from ..postgres.sessions import is_alive, within
from ..postgres.time_limits import Purpose
from .catching_up import CatchingUp
from .clients import Subscription
from .followed import RING_BYTES, RING_EVENTS, Followed, History, Memory
from .listening import Listening
from .model import START, Cursor, Reset, Stream, StreamName
from .own_connections import OwnConnections
from .position import Found, judge
from .reads import Place, Read, Seen, moved, open_streams, read
from .unreadable import look_at_each
from .waking import key_of

POLL_LISTENING = 1.0
SHORTEST_POLL = 0.05
LONGEST_POLL = 0.25
# After a failure, doubled up to the longest while they go on.
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
# A stream that nobody reads is kept for whoever comes back; and a reader without streams keeps its connections.
KEPT_SECONDS = 5.0
FORGET_EVERY_SECONDS = 1.0
# A stream of which something cannot be read is looked at again then.
ASIDE_SECONDS = 5.0
# To hang up, once that is all that is left.
LAST_SECONDS = 1.0

OPENED_AT_ONCE = 1_000
READ_AT_ONCE = 256
# So many events one call looks at, among all of its streams, and so many bytes it returns.
CALL_EVENTS = 4_096
LEAST_EVENTS = 16
CALL_BYTES = 8 << 20

_log = logging.getLogger(__name__)


class Reader:
    """Follows streams from the first subscription on, until nobody reads any or it is drained."""

    def __init__(
        self,
        source: ConnectionSource,
        *,
        listen_dsn: str | None = None,
        note_heard: Callable[[], None] = lambda: None,
        memory: Memory | None = None,
    ) -> None:
        self._memory = memory or Memory()
        self._own = OwnConnections(source)
        self._catching_up = CatchingUp(source, self._memory, self._look_at)
        self._streams: dict[StreamName, Followed] = {}
        self._by_key: dict[str, list[Followed]] = {}
        # In the order in which they are looked at: those that left something unread go to the end.
        self._due: dict[Followed, None] = {}
        # Of which something cannot be read, each until when it is not tried again.
        self._aside: dict[Followed, float] = {}
        self._work = asyncio.Event()
        self._outage = Outage(_log)
        self._poll_at = 0.0
        self._forget_at = 0.0
        self._interval = SHORTEST_POLL
        self._call_bytes = CALL_BYTES
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._process = os.getpid()
        self.is_draining = False
        # One for all subscriptions: there may be thousands.
        self._is_draining = lambda: self.is_draining
        self._listen_dsn = listen_dsn
        self._note_heard = note_heard
        self.listening = Listening(source, self._listen_at, self._heard, self._wake_up)
        self.polls = 0
        """How often it has asked for what has moved."""
        self._events = 0

    @property
    def belongs_here(self) -> bool:
        """Whether this process, and the event loop that runs, are those it was made in."""
        return self._process == os.getpid() and self._loop is asyncio.get_running_loop()

    @property
    def pages(self) -> int:
        """How many pages it has read for those that were behind."""
        return self._catching_up.reads

    @property
    def events(self) -> int:
        """How many events it has read."""
        return self._events + self._catching_up.events

    def subscribe(self, name: StreamName, position: Cursor = START) -> Subscription:
        """Return the items of a stream after a position."""
        followed = self._streams.get(name)
        if followed is None:
            followed = self._streams[name] = Followed(name, key_of(name))
            self._by_key.setdefault(followed.key, []).append(followed)
        followed.unread_since = None
        if not self.is_draining and (self._task is None or self._task.done()):
            # It outlives whoever comes first, and its log is of nobody's question.
            self._task = asyncio.create_task(self._run(), name="reader of streams", context=Context())
        return Subscription(followed, position, self._catching_up, self._look_at, self._is_draining)

    async def drain(self, within: float) -> None:
        """End all subscriptions, without an End, and then all else; whoever is slow is waited for so many seconds."""
        self.is_draining = True
        for followed in self._streams.values():
            followed.announce()
        await self._catching_up.close()
        until = time.monotonic() + within
        # Each ends when it is asked for its next item, which nothing announces.
        while any(each.subscriptions for each in self._streams.values()) and time.monotonic() < until:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=LAST_SECONDS)

    def _look_at(self, followed: Followed) -> None:
        if followed not in self._aside:
            self._due[followed] = None
            self._work.set()

    def _set_aside(self, followed: Followed, error: PendingctlError) -> None:
        followed.trouble.report("%s cannot be read for now: %s", followed, error)
        self._aside[followed] = time.monotonic() + ASIDE_SECONDS
        self._due.pop(followed, None)

    def _try_again(self) -> None:
        now = time.monotonic()
        for followed in [followed for followed, until in self._aside.items() if until <= now]:
            del self._aside[followed]
            self._due[followed] = None

    def _wake_up(self) -> None:
        # Whatever came before wake-ups were heard was announced to nobody here.
        self._poll_at = 0.0
        self._work.set()

    def _heard(self, keys: Sequence[str]) -> None:
        self._note_heard()
        for key in keys:
            for followed in self._by_key.get(key, ()):
                self._look_at(followed)

    async def _listen_at(self) -> str:
        return await self._own.conninfo() if self._listen_dsn is None else self._listen_dsn

    @contextmanager
    def _taken(self, wanted: Sequence[Followed]) -> Iterator[None]:
        """Take these off what is due while they are looked at: a wake-up meanwhile may be of later events."""
        for followed in wanted:
            self._due.pop(followed, None)
        try:
            yield
        except BaseException:
            self._due.update(dict.fromkeys(wanted))
            raise

    async def _run(self) -> None:
        while True:
            await self._follow()
            # Whoever came while the connections were closed has found this task at work, and begun no other.
            if not self._streams:
                return

    async def _follow(self) -> None:
        """Do all that is due, until nobody has read a stream for a while."""
        listening = asyncio.create_task(self.listening.run(), name="listener of streams")
        idle_since: float | None = None
        pause = FIRST_PAUSE
        try:
            while idle_since is None or time.monotonic() - idle_since < KEPT_SECONDS:
                self._work.clear()
                try:
                    await self._look()
                    self._outage.over()
                    pause = FIRST_PAUSE
                except PendingctlError as error:
                    await self._failed(error)
                    await asyncio.sleep(pause)
                    pause = min(pause * 2, LONGEST_PAUSE)
                except Exception:  # noqa: BLE001 (the reader must outlive whatever it meets)
                    _log.exception("streams cannot be read for now")
                    await self._hang_up()
                    await asyncio.sleep(LONGEST_PAUSE)
                self._forget_unread()
                idle_since = None if self._streams else (idle_since or time.monotonic())
                if not self._due:
                    with suppress(TimeoutError):
                        async with asyncio.timeout(max(self._poll_at - time.monotonic(), 0)):
                            await self._work.wait()
        finally:
            listening.cancel()
            try:
                await self._hang_up()
            finally:
                await asyncio.gather(listening, return_exceptions=True)

    async def _failed(self, error: PendingctlError) -> None:
        self._outage.report("streams cannot be read for now: %s", error)
        if isinstance(error, DatabaseUnreachable) or isinstance(error.__cause__, QueryCanceled):
            # A slow network may have been the reason, or a slow server.
            self._call_bytes = max(self._call_bytes // 4, 1)
        if not isinstance(error, DatabaseBusy):
            await self._hang_up()

    async def _hang_up(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def _look(self) -> None:
        """Do a part of what is due: open streams, ask for what has moved, read events."""
        if not self._streams:
            self._poll_at = time.monotonic() + POLL_LISTENING
            return
        connection = await self._connected()
        with translated_errors():
            await self._open(connection)
            if time.monotonic() >= self._poll_at:
                await self._poll(connection)
                self._try_again()
            await self._read(connection)

    async def _connected(self) -> Connection:
        if self._connection is None or not is_alive(self._connection):
            await self._hang_up()
            self._connection = await self._own.connect("pendingctl reader")
            # The server may be another one, with another history.
            self._poll_at = 0.0
        return self._connection

    async def _open(self, connection: Connection) -> None:
        wanted = [each for each in self._due if each.history is None or each.is_gone][:OPENED_AT_ONCE]
        if wanted:
            await look_at_each(wanted, partial(self._open_these, connection), self._set_aside)

    async def _open_these(self, connection: Connection, wanted: Sequence[Followed]) -> None:
        looks = _begun(wanted)
        with self._taken(wanted), within(connection, Purpose.LOOP.seconds):
            found = await open_streams(connection, [followed.name for followed in wanted])
        for followed in wanted:
            stream = found.get(followed.name)
            before, followed.is_gone = followed.history, False
            if stream is None:
                self._change(followed, None)
            else:
                # Its id may be the same: a failover can lose the state of a sequence, too.
                start = followed.start_in(stream) if before is None else followed.start_in_another(stream)
                self._change(followed, History(stream, start))
                self._due[followed] = None
            followed.looked = looks[followed]
            followed.announce()

    def _change(self, followed: Followed, history: History | None) -> None:
        if followed.history is not None:
            self._memory.forget(followed.history.ring)
            self._memory.forget_pages(followed.history)
        followed.history = history

    async def _poll(self, connection: Connection) -> None:
        self.polls += 1
        began = self._poll_at = time.monotonic()
        followed_now = [followed for followed in self._streams.values() if followed not in self._aside]
        missing = [followed for followed in followed_now if followed.history is None]
        # Two may have had the same id, before a failover and after it.
        known: dict[int, list[Followed]] = {}
        seen: list[Seen] = []
        for followed in followed_now:
            if followed.history is not None and followed.history.stream.closed_at is None:
                seen.append(followed.history.seen)
                known.setdefault(followed.history.stream.id, []).append(followed)
        with within(connection, Purpose.LOOP.seconds):
            found = await moved(connection, seen, [followed.name for followed in missing])
        for each in found:
            if each.name is None or each.organization_id is None:
                having_moved = known.get(each.id, [])
            else:
                here = self._streams.get(StreamName(each.organization_id, each.name))
                having_moved = [] if here is None else [here]
            for followed in having_moved:
                followed.is_gone = not each.is_there
                self._due[followed] = None
        is_listening = self.listening.is_proven
        if found and is_listening:
            self.listening.suspect()
        self._interval = SHORTEST_POLL if found else min(self._interval * 2, LONGEST_POLL)
        # Unless wake-ups are heard only since it has begun: then it may have missed what was announced before.
        if self._poll_at == began:
            self._poll_at = time.monotonic() + (POLL_LISTENING if is_listening else self._interval)

    async def _read(self, connection: Connection) -> None:
        wanted = [each for each in self._due if each.history is not None and not each.is_gone][:READ_AT_ONCE]
        if wanted:
            await look_at_each(wanted, partial(self._read_these, connection), self._set_aside)

    async def _read_these(self, connection: Connection, taken: Sequence[Followed]) -> None:
        wanted = [(followed, followed.history) for followed in taken if followed.history is not None]
        places = [Place(history.stream.id, followed.name, history.ring.end) for followed, history in wanted]
        looks = _begun(taken)
        most_events = min(max(CALL_EVENTS // len(places), LEAST_EVENTS), RING_EVENTS)
        with self._taken(taken), within(connection, Purpose.LOOP.seconds):
            found = await read(
                connection,
                places,
                most_events=max(most_events * self._call_bytes // CALL_BYTES, 1),
                stream_bytes=RING_BYTES,
                call_bytes=self._call_bytes,
            )
        self._call_bytes = min(self._call_bytes * 2, CALL_BYTES)
        for (followed, history), reading in zip(wanted, found, strict=True):
            self._events += 0 if reading is None else len(reading.events)
            # What was left unread waits behind the others.
            if reading is None:
                self._due[followed] = None
                continue
            followed.trouble.over()
            if reading.stream is None:
                followed.is_gone = True
                self._due[followed] = None
                continue
            self._add(followed, history, reading, reading.stream)
            followed.looked = looks[followed]
            if followed.history is not None and not followed.history.is_read:
                self._due[followed] = None
            followed.announce()

    def _add(self, followed: Followed, history: History, reading: Read, stream: Stream) -> None:
        ring = history.ring
        if not history.is_begun:
            history.begin(reading, stream)
        next_seq = reading.events[0].seq if reading.events else None
        position = Cursor(ring.end, ring.end_at)
        if isinstance(judge(position, Found(stream, reading.at, next_seq)), Reset):
            self._change(followed, History(stream, followed.start_in_another(stream)))
        else:
            self._memory.extend(ring, reading, stream)

    def _forget_unread(self) -> None:
        now = time.monotonic()
        # To look through ten thousand streams takes a millisecond or more, and each wake-up comes by here.
        if now < self._forget_at:
            return
        self._forget_at = now + FORGET_EVERY_SECONDS
        for followed in [each for each in self._streams.values() if not each.subscriptions]:
            if followed.unread_since is None:
                followed.unread_since = now
            elif now - followed.unread_since >= KEPT_SECONDS:
                self._change(followed, None)
                del self._streams[followed.name]
                self._due.pop(followed, None)
                self._aside.pop(followed, None)
                same_key = self._by_key[followed.key]
                same_key.remove(followed)
                if not same_key:
                    del self._by_key[followed.key]


def _begun(looked_at: Sequence[Followed]) -> dict[Followed, int]:
    """Return the number of the look at each that begins now."""
    for followed in looked_at:
        followed.looks_begun += 1
    return {followed: followed.looks_begun for followed in looked_at}
