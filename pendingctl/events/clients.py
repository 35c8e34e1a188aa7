"""One reader of a stream: from its position it gets each event once, in order, or what is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .catching_up import CatchingUp
from .followed import Followed, History
from .model import START, Cursor, End, Event, Gap, Reset, StreamItem
from .position import Found, judge
from .window import Window, position_after

# Where a stream turned out to be another one than this pod knew, its reader is about to find that.
_PATIENCE_SECONDS = 1.0


class Subscription:
    """The items of a stream after a position, for `async for`.

    It ends after an End. It also ends without one when the pod drains: read on elsewhere, after the last event.

    It keeps a position and no event; whoever is slow, or stops, costs nobody anything. `aclose` ends it, and so does
    letting it go; a task that waits for an item meanwhile is to be cancelled. A wait that is cancelled loses no item.
    """

    def __init__(
        self,
        followed: Followed,
        position: Cursor,
        catching_up: CatchingUp,
        look: Callable[[Followed], None],
        is_draining: Callable[[], bool],
    ) -> None:
        self.position = position
        """After what was given last."""
        self._followed = followed
        self._catching_up = catching_up
        self._look = look
        self._is_draining = is_draining
        # In which the position was found to be.
        self._history: History | None = None
        self._is_over = False
        # What the pod knew before may be over: the stream was made, closed or deleted since, and nobody has noticed.
        self._look_anew()
        followed.subscriptions.add(self)

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> StreamItem:
        while not (self._is_over or self._is_draining()):
            changed = self._followed.changed
            item, page_of = self._next()
            if item is None and page_of is not None:
                page = await self._catching_up.page(self._followed, page_of, self.position.seq)
                if page is None:
                    await _wait(changed, _PATIENCE_SECONDS)
                    continue
                if self._followed.history is not page_of:
                    continue
                item = self._judged(page, page_of)
            elif item is None:
                await changed.wait()
                continue
            if item is not None:
                return item
        self._end()
        raise StopAsyncIteration

    def at_hand(self) -> StreamItem | None:
        """Return the next item if that is there without waiting."""
        return None if self._is_over or self._is_draining() else self._next()[0]

    async def looked_for(self) -> None:
        """Wait until this pod has looked for the stream, so that what is at hand is all that is there."""
        while not (self._is_draining() or self._is_known):
            await self._followed.changed.wait()

    async def aclose(self) -> None:
        """End it."""
        self._end()

    def _end(self) -> None:
        self._is_over = True
        self._followed.subscriptions.discard(self)

    @property
    def _is_known(self) -> bool:
        """Whether the stream was looked for since this one came, and where it exists, its ring's first read made."""
        history = self._followed.history
        return self._followed.looked >= self._first_look and (history is None or history.is_begun)

    def _next(self) -> tuple[StreamItem | None, History | None]:
        """Return the next item, else the history of which a page is needed, else nothing: there is no more for now."""
        if not self._is_known:
            return None, None
        history = self._followed.history
        if history is None:
            self._history = None
            return self._given(judge(self.position, Found(None)), history), None
        ring, seq = history.ring, self.position.seq
        is_at_the_end = seq == ring.end == ring.stream.last_seq and self.position.at == ring.end_at
        if self._history is history and is_at_the_end and ring.stream.closed_at is None:
            # Where most readers are most of the time: there is nothing to judge.
            return None, None
        if ring.start <= seq <= ring.end:
            return self._judged(ring, history), None
        if self._history is history and seq > ring.end:
            return None, None
        if (page := history.page_at(seq)) is not None:
            return self._judged(page, history), None
        return None, history

    def _judged(self, window: Window, history: History) -> StreamItem | None:
        was_in_it = self._history is history
        if was_in_it and window.at_of(self.position.seq) == self.position.at:
            event = window.next_after(self.position.seq)
            if event is not None and event.seq == self.position.seq + 1:
                self.position = event.cursor
                return event
        item = window.judge(self.position)
        if was_in_it and isinstance(item, Reset):
            # A failover has lost commits: either these events or those before were read behind it, and the other ones
            # before it. Which of them are lost is known once this pod has noticed.
            self._history = None
            self._look_anew()
            return None
        return self._given(item, history, window)

    def _given(
        self, item: StreamItem | None, history: History | None, window: Window | None = None
    ) -> StreamItem | None:
        seen_in = window or history
        stream = None if seen_in is None else seen_in.stream
        match item:
            case None:
                self._history = history
                if stream is not None and self.position == START:
                    # From now on another stream of this name is another one.
                    self.position = Cursor(0, stream.created_at)
            case End():
                self._end()
            case Reset():
                assert stream is not None
                self._history = None
                self.position = position_after(item, stream)
                # What this pod holds of the stream may be of two histories: it is read on from what it finds now.
                self._look_anew()
            case Event() | Gap():
                assert stream is not None
                self._history = history
                self.position = position_after(item, stream)
        return item

    def _look_anew(self) -> None:
        self._first_look = self._followed.looks_begun + 1
        self._look(self._followed)


async def _wait(changed: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await changed.wait()
    except TimeoutError:
        pass
