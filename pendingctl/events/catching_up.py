"""Pages of a stream for readers that are behind its ring: those that are close to each other share one read."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass

from ..errors import DatabaseFailed, DatabaseUnreachable
from ..postgres.connections import Borrowed, ConnectionSource
from ..postgres.outages import Outage
from ..postgres.time_limits import Purpose
from .followed import Followed, History, Memory
from .reads import Place, read
from .unreadable import is_of_a_row
from .window import Window

PAGE_EVENTS = 256
PAGE_BYTES = 1 << 20
AT_ONCE = 4
PAUSE = 0.25

_log = logging.getLogger(__name__)


@dataclass(slots=True, eq=False)
class _Request:
    seq: int
    page: asyncio.Future[Window | None]
    was_missed: bool = False


class CatchingUp:
    """Reads pages, at most four at once, over connections of the source, and keeps them for others for a while.

    `look` is called with a stream that is not as this pod knows it.
    """

    def __init__(self, source: ConnectionSource, memory: Memory, look: Callable[[Followed], None]) -> None:
        self._source = source
        self._memory = memory
        self._look = look
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._requests: dict[History, list[_Request]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._outage = Outage(_log)
        self._bytes = PAGE_BYTES
        self.reads = 0
        """How many pages were read."""
        self.events = 0
        """How many events were in them."""

    async def page(self, followed: Followed, history: History, seq: int) -> Window | None:
        """Return what follows a number, in a read that begins from now on.

        None where the stream is gone, or the pod closes. Waits for as long as the database is away.
        """
        request = _Request(seq, asyncio.get_running_loop().create_future())
        requests = self._requests.get(history)
        if requests is None:
            requests = self._requests[history] = []
            serving = self._serve(followed, history, requests)
            task = asyncio.create_task(serving, name="pages of a stream", context=Context())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        requests.append(request)
        try:
            return await request.page
        finally:
            if request in requests:
                requests.remove(request)

    async def close(self) -> None:
        """Break off what is read."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # Of a task that had not begun yet nothing is done, its end neither.
        for requests in self._requests.values():
            _give_up(requests)
        self._requests.clear()

    async def _serve(self, followed: Followed, history: History, requests: list[_Request]) -> None:
        try:
            while requests:
                async with self._turns:
                    is_served = await self._serve_once(followed, history, requests)
                if not is_served:
                    await asyncio.sleep(PAUSE)
        except Exception as error:  # noqa: BLE001 (it is theirs that wait)
            for request in requests:
                if not request.page.done():
                    request.page.set_exception(error)
        finally:
            del self._requests[history]
            _give_up(requests)

    async def _serve_once(self, followed: Followed, history: History, requests: list[_Request]) -> bool:
        """Return whether the database has replied."""
        if not requests:
            return True
        # Those that come during the read may know of later events than it finds.
        waiting = list(requests)
        first = waiting[0]
        near = [each.seq for each in waiting if first.seq - PAGE_EVENTS < each.seq <= first.seq]
        start = first.seq if first.was_missed else min(near)
        try:
            async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
                self.reads += 1
                (found,) = await read(
                    borrowed,
                    [Place(history.stream.id, followed.name, start)],
                    most_events=max(PAGE_EVENTS * self._bytes // PAGE_BYTES, 1),
                    stream_bytes=self._bytes,
                    call_bytes=self._bytes,
                )
        except DatabaseFailed as error:
            self._failed(followed, error)
            return False
        self._outage.over()
        followed.trouble.over()
        self._bytes = min(self._bytes * 2, PAGE_BYTES)
        assert found is not None
        self.events += len(found.events)
        if found.stream is None:
            self._look(followed)
            served, page = waiting, None
        else:
            page = Window.read(found.stream, start, found.at, found.events)
            if page.events and followed.history is history:
                self._memory.keep(page, history)
            served = [each for each in waiting if page.start <= each.seq < page.end or each.seq == start]
        for request in waiting:
            if request in served:
                if request in requests:
                    requests.remove(request)
                if not request.page.done():
                    request.page.set_result(page)
            else:
                request.was_missed = True
        return True

    def _failed(self, followed: Followed, error: DatabaseFailed) -> None:
        if is_of_a_row(error):
            followed.trouble.report("%s cannot be read for now: %s", followed, error)
        else:
            self._outage.report("events of streams cannot be read for now: %s", error)
        if isinstance(error, DatabaseUnreachable):
            # A slow network may have been the reason, or a slow server.
            self._bytes = max(self._bytes // 4, 1)


def _give_up(requests: list[_Request]) -> None:
    for request in requests:
        if not request.page.done():
            request.page.set_result(None)
