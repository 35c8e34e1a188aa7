"""The event streams of one database: append to them, read them, close, delete and list them."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

from ..errors import InvalidInput, PendingctlError
from ..payload import check_text
from ..postgres.connections import Connection, ConnectionSource
from ..postgres.shares import Share
from . import appending, ending, pages
from .clients import Subscription
from .following import DRAIN_SECONDS, Counts, Following
from .model import START, Appended, Cursor, NewEvent, Page, Stream, StreamDetails, StreamName
from .ring import Ring
from .waking import Waker

PAGE_EVENTS = 256
LIST_STREAMS = 100


class Streams:
    """The event streams of one database: ordered, durable, written by any pod and read from any pod.

    `source` lends connections: a pool of `pendingctl.open_pool`, or another whose connections
    `postgres.connections.prepare_connection` has prepared. `ring` removes what is older than the retention. `pod` is
    this pod's name for the person on call, by default the host's.

    A stream is created by its first append and has a row of its own, which each append locks until its commit: the
    numbers of its events are 1, 2, 3 … in the order of the commits. Between two streams there is no order.

    Methods that take `connection` run inside the caller's transaction and leave its end to the caller, who calls `wake`
    after the commit; without it, what they did is durable when they return, and readers are woken.

    All methods raise DatabaseUnreachable, NotMigrated or DatabaseFailed when the database cannot do its part.
    """

    def __init__(self, source: ConnectionSource, *, listen_dsn: str | None = None, pod: str | None = None) -> None:
        if pod is None:
            pod = socket.gethostname()
        check_text(pod, "pod")
        self.ring = Ring(source, pod=pod)
        self._source = source
        self._waker = Waker(Share(source, 1))
        self._following = Following(source, listen_dsn=listen_dsn, note_heard=self._waker.note_heard)

    async def append(
        self,
        stream: StreamName,
        events: Sequence[NewEvent],
        *,
        expected: int | None = None,
        connection: Connection | None = None,
    ) -> Appended:
        """Append events, all or none of them, one behind the other; the first append creates the stream.

        At most 10,000 events of 16 MiB together. They come after those of every append that has returned before this
        one began.

        `expected` is the number of the last event that the writer knows of, 0 for none. Where the stream is further,
        the events that follow there are compared: are they the ones given, an earlier attempt had succeeded, whose
        result is returned with `is_repeated`. So a writer that does not know whether it has appended repeats its call,
        as long as the retention lasts. (Of two writers that append the same from the same position one is taken for the
        other's repetition.)

        With `connection` the row stays locked until the caller's transaction ends: other writers of the stream wait,
        for 3 s at most, and a transaction with several streams takes them in the order of their names, lest two wait
        for each other. It must be read committed.

        Raises InvalidInput, StreamClosed, StreamMoved when `expected` is not where the stream is, NotFound for an
        organization that does not exist, and DatabaseBusy when somebody holds the stream for longer than 3 s.
        """
        appended = await appending.append(self._source, stream, events, expected=expected, connection=connection)
        if connection is None:
            self.wake(stream)
        return appended

    async def append_many(
        self, appends: Mapping[StreamName, Sequence[NewEvent]]
    ) -> dict[StreamName, Appended | PendingctlError]:
        """Append to several streams, those that nobody has locked in one commit, and return what became of each.

        The others follow one by one, for 3 s in all: a locked stream holds up no other. The error of a stream is what
        `append` would have raised; its events are not appended, unless it is DatabaseUnreachable: then nobody knows.

        Raises InvalidInput, before anything is appended; and as `append` does when the one commit fails, of which
        DatabaseUnreachable alone leaves open whether it was done.
        """
        results = await appending.append_many(self._source, appends)
        self.wake(*(stream for stream, result in results.items() if isinstance(result, Appended)))
        return results

    def wake(self, *streams: StreamName) -> None:
        """Have the readers of these streams look, on all pods: after a commit of the caller's own. Returns at once."""
        self._waker.wake(streams)

    async def close(self, stream: StreamName, *, connection: Connection | None = None) -> int:
        """Close a stream, so that nothing is appended any more; its readers get what is there and then the end.

        Returns the number of its last event, also for one that was closed before. Raises StreamMissing, and
        DatabaseBusy when somebody holds the stream for longer than 3 s.
        """
        last_seq = await ending.close(self._source, stream, connection=connection)
        if connection is None:
            self.wake(stream)
        return last_seq

    async def delete(self, stream: StreamName, *, purge: bool = False, connection: Connection | None = None) -> int:
        """Delete a stream and return the number of its last event; its readers get the end.

        Nobody can read its events from then on, and they leave the database with the retention. `purge` deletes them
        at once, in batches, in transactions of their own: the stream is closed first, and deleted when they are gone,
        so that a call that breaks off is repeated. The name is free: whoever appends to it makes another stream.

        Raises StreamMissing, InvalidInput for `purge` in the caller's transaction, and DatabaseBusy when somebody holds
        the stream for longer than 3 s.
        """
        if purge:
            if connection is not None:
                raise InvalidInput("events are purged in transactions of their own; purge without a connection")
            await ending.close(self._source, stream)
            self.wake(stream)
        id = await ending.purge(self._source, stream) if purge else None
        last_seq = await ending.delete(self._source, stream, id=id, connection=connection)
        if connection is None:
            self.wake(stream)
        return last_seq

    async def read(self, stream: StreamName, after: Cursor = START, *, limit: int = PAGE_EVENTS) -> Page:
        """Return what follows a position: at most `limit` events, and no more than 4 MiB and one event.

        What is gone stands as a Gap in its place; where the position is none of this stream a Reset comes first, and
        what follows is read from the beginning; a closed or deleted stream has an End, last. A stream that does not
        exist is open and empty. `Page.after` is the position for the next read.

        Raises InvalidInput for a limit outside 1 to 10,000.
        """
        return await pages.read_page(self._source, stream, after, limit=limit)

    async def show(self, stream: StreamName) -> StreamDetails:
        """Return a stream and what is still there of it. Raises StreamMissing."""
        return await pages.show(self._source, stream)

    async def list(
        self, organization_id: str | None = None, *, after: StreamName | None = None, limit: int = LIST_STREAMS
    ) -> list[Stream]:
        """Return the streams of an organization, or of all, by organization and name, from the one after `after` on.

        Raises InvalidInput for a limit outside 1 to 10,000.
        """
        return await pages.list_page(self._source, organization_id, after=after, limit=limit)

    def subscribe(self, stream: StreamName, after: Cursor | None = None) -> Subscription:
        """Return what comes after a position, from the beginning where there is none, for `async for`.

        To be called in the event loop. Each event comes once, in order; where events are gone a Gap comes first that
        names them; a Reset where the position belongs to another history, whose events then come from its beginning. An
        End is the last item: the stream is closed and all was read, or it was deleted. A stream that does not exist is
        open and empty. Where the items end without an End this pod drains: subscribe elsewhere, after the last event.
        A subscription keeps no event; the loop's own variable does, up to 1 MiB while it waits: delete it when it is
        sent.

        It waits for as long as the database is away. `listen_dsn` is where wake-ups are heard, by default where the
        source's connections lead; through a pooler that hands sessions on none are, and streams are polled.
        """
        return self._following.subscribe(stream, after)

    @property
    def counts(self) -> Counts:
        """What this pod's reader has done so far."""
        return self._following.counts

    async def drain(self, within: float = DRAIN_SECONDS) -> None:
        """End all subscriptions, those to come as well, and close the reader's connections: before the end of a pod.

        Clients that take nothing are waited for so many seconds, and so is the reader.
        """
        await self._following.drain(within)

    async def settled(self) -> None:
        """Wait until all wake-ups are sent: before the end of a process."""
        await self._waker.settled()
