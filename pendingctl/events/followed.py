"""A stream that readers of this pod follow, and the last of its events, which they share."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING
from weakref import WeakSet

from .model import Stream, StreamName
from .reads import Read, Seen
from .window import Window

if TYPE_CHECKING:
    from .clients import Subscription

# Of each stream.
RING_EVENTS = 256
RING_BYTES = 1 << 20
# Of all streams together: whoever falls behind further reads the database.
RINGS_BYTES = 64 << 20
PAGES_BYTES = 16 << 20


class History:
    """One history of a stream, from its creation to its deletion, as far as no failover has lost a part of it.

    `ring` holds its last events; `pages` are what was read for those behind it.
    """

    def __init__(self, stream: Stream, start: int) -> None:
        self.ring = Window(stream, start, None)
        self.pages: list[Window] = []
        self.is_begun = False
        """Whether the ring's first read was made, by which the time of the event where it begins is known."""

    @property
    def stream(self) -> Stream:
        """The stream's row as it was seen last."""
        return self.ring.stream

    @property
    def seen(self) -> Seen:
        """What the row was seen as last, in which each change of it shows."""
        return Seen(self.stream.id, self.stream.last_seq, self.stream.last_at)

    @property
    def is_read(self) -> bool:
        """Whether all that is known to be there has been read."""
        return self.is_begun and self.ring.end >= self.stream.last_seq

    def begin(self, read: Read, stream: Stream) -> None:
        """Note what the first read has found where the ring begins."""
        ring = self.ring
        ring.start_at = stream.last_at if read.at is None and 0 < ring.start == stream.last_seq else read.at
        ring.end_at = ring.start_at or stream.created_at
        self.is_begun = True

    def page_at(self, seq: int) -> Window | None:
        """Return a page that has what follows this number."""
        return next((page for page in self.pages if page.start <= seq < page.end), None)


class Followed:
    """A stream by its name, which more than one history may have had. `history` is None while it does not exist."""

    def __init__(self, name: StreamName, key: str) -> None:
        self.name = name
        self.key = key
        self.history: History | None = None
        self.was_looked_for = False
        self.is_gone = False
        """Whether its history was not found any more, so that it is to be looked for by its name."""
        self.subscriptions: WeakSet[Subscription] = WeakSet()
        self.unread_since: float | None = None
        self.changed = asyncio.Event()

    @property
    def is_known(self) -> bool:
        """Whether it was looked for, and where it exists, its ring's first read made."""
        return self.was_looked_for if self.history is None else self.history.is_begun

    def announce(self) -> None:
        """Wake all that wait for this stream."""
        self.changed.set()
        self.changed = asyncio.Event()

    def start_in(self, stream: Stream) -> int:
        """Return where the ring begins: at the reader that is furthest behind, unless that is too far; else the end."""
        furthest = min((each.position.seq for each in self.subscriptions), default=stream.last_seq)
        return furthest if stream.last_seq - RING_EVENTS <= furthest <= stream.last_seq else stream.last_seq

    def start_in_another(self, stream: Stream) -> int:
        """Return the same for a history that all of them read from its beginning."""
        return 0 if stream.last_seq <= RING_EVENTS else stream.last_seq


class Memory:
    """What rings and pages hold together; the oldest makes room for the newest."""

    def __init__(self, rings_bytes: int = RINGS_BYTES, pages_bytes: int = PAGES_BYTES) -> None:
        self._rings_bytes = rings_bytes
        self._pages_bytes = pages_bytes
        self._rings: OrderedDict[Window, None] = OrderedDict()
        self._pages: OrderedDict[Window, History] = OrderedDict()
        self.ring_bytes = 0
        self.page_bytes = 0

    def extend(self, ring: Window, read: Read, stream: Stream) -> None:
        """Add to a ring what was read behind its end, and let go what is beyond its limits or those of all.

        What has just been read stays for whoever waits for it.
        """
        before, end = ring.bytes, ring.end
        ring.extend(stream, read.events)
        while (len(ring.events) > RING_EVENTS or ring.bytes > RING_BYTES) and ring.events[0].seq <= end:
            ring.drop_first()
        self.ring_bytes += ring.bytes - before
        self._rings[ring] = None
        self._rings.move_to_end(ring)
        while self.ring_bytes > self._rings_bytes and len(self._rings) > 1:
            self.forget(next(iter(self._rings)))

    def forget(self, ring: Window) -> None:
        """Empty a ring."""
        if ring in self._rings:
            del self._rings[ring]
            self.ring_bytes -= ring.bytes
            while ring.events:
                ring.drop_first()

    def keep(self, page: Window, history: History) -> None:
        """Keep a page for others that come to it."""
        history.pages.append(page)
        self._pages[page] = history
        self.page_bytes += page.bytes
        while self.page_bytes > self._pages_bytes:
            oldest, its = self._pages.popitem(last=False)
            its.pages.remove(oldest)
            self.page_bytes -= oldest.bytes

    def forget_pages(self, history: History) -> None:
        """Let go the pages of a history that nobody reads any more."""
        for page in history.pages:
            del self._pages[page]
            self.page_bytes -= page.bytes
        history.pages.clear()
