"""What happens while a screen is watched: it is read anew, and keys do what they say. Imports asyncio and rich."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from ..errors import DatabaseFailed, PendingctlError
from ..inspected import Attention, Concern
from ..store.filters import ALL, Filters
from .filters import page_of
from .question_columns import now_of
from .terminal import Keys, Terminal
from .watch_screen import Action, Apply, Explain, Quit, Remedy, Screen, drawn, pressed, settled, updated

if TYPE_CHECKING:
    from ..store import PendingStore

# So long an escape may be the beginning of a key's sequence, over a slow line too.
_ESCAPE_SECONDS = 0.5
_MOST_ROWS = 100


class Watching:
    """The screen as long as it is watched. What reads or writes the database does so one after the other."""

    def __init__(
        self,
        store: PendingStore,
        terminal: Terminal,
        screen: Screen,
        filters: Filters,
        every: timedelta,
        max_age: timedelta,
    ) -> None:
        self._store = store
        self._terminal = terminal
        self._screen = screen
        self._filters = filters
        self._every = every
        self._max_age = max_age
        self._jobs: asyncio.Queue[Callable[[], Awaitable[None]]] = asyncio.Queue()
        self._keys = Keys()
        self._last_read = 0.0
        self._reading_took = 0.0
        self._ended = asyncio.Event()
        self._trouble: BaseException | None = None

    async def run(self) -> None:
        """Draw until the person quits. Raises what the first reading raises, before anything is drawn."""
        if self._filters != ALL:
            # A name that is nobody's is a mistake now, and later a list that has become empty.
            await page_of(self._store.inspection, self._filters, limit=1, max_age=self._max_age)
        await self._refresh()
        with self._terminal:
            loop = asyncio.get_running_loop()
            loop.add_reader(self._terminal.file, self._called, self._typed)
            loop.add_signal_handler(signal.SIGWINCH, self._called, self._draw)
            loop.add_signal_handler(signal.SIGTSTP, self._called, self._suspend)
            # Beside SIGINT and SIGTERM, which end any command: that of Ctrl-\, and that of a terminal that is gone.
            ending = (signal.SIGQUIT, signal.SIGHUP)
            for number in ending:
                loop.add_signal_handler(number, self._end, SystemExit(128 + number))
            tasks = [loop.create_task(self._work()), loop.create_task(self._tick())]
            for task in tasks:
                task.add_done_callback(self._failed)
            try:
                self._draw()
                await self._ended.wait()
            finally:
                loop.remove_reader(self._terminal.file)
                for number in (signal.SIGWINCH, signal.SIGTSTP, *ending):
                    loop.remove_signal_handler(number)
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        if self._trouble is not None:
            raise self._trouble

    def _called(self, function: Callable[[], None]) -> None:
        """Call what the event loop would call, whose errors it would log over the screen."""
        try:
            function()
        except Exception as error:  # noqa: BLE001 (raised again by run)
            self._end(error)

    def _failed(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._end(error)

    def _end(self, trouble: BaseException) -> None:
        """End, and raise this when the terminal is as it was."""
        self._trouble = trouble
        self._ended.set()

    async def _tick(self) -> None:
        """Read anew at each turn, unless a reading still waits; a stale picture says for how long it has been that.

        A database that is slow to read is read less often: a tenth of the time at most goes into it.
        """
        while True:
            await asyncio.sleep(max(self._every.total_seconds(), 9 * self._reading_took))
            if self._jobs.empty():
                self._jobs.put_nowait(self._refresh)
            silent = time.monotonic() - self._last_read
            if silent > max(3 * self._every.total_seconds(), 20 * self._reading_took, 5):
                why = "the database does not reply" if self._screen.away is None else self._screen.away[1]
                self._screen = replace(self._screen, away=(silent, why))
                self._draw()

    async def _work(self) -> None:
        while True:
            job = await self._jobs.get()
            try:
                await job()
            except DatabaseFailed as error:
                # It may come back; until then the last picture stays.
                self._screen = replace(self._screen, away=(time.monotonic() - self._last_read, str(error)), message="")
            self._draw()

    async def _refresh(self) -> None:
        began = time.monotonic()
        items, is_cut = await self._read()
        self._last_read = time.monotonic()
        self._reading_took = self._last_read - began
        read_at = now_of(items[0].row) if items else None
        self._screen = updated(self._screen, items, read_at, is_cut=is_cut)

    async def _read(self) -> tuple[list[Attention], bool]:
        filters, inspection = self._filters, self._store.inspection
        if filters == Filters(organization_id=filters.organization_id, application=filters.application):
            items = await inspection.attention(
                organization_id=filters.organization_id,
                application=filters.application,
                limit=_MOST_ROWS,
                max_age=self._max_age,
            )
            return items, any(sum(item.concern is concern for item in items) >= _MOST_ROWS for concern in Concern)
        page = await inspection.page(filters, limit=_MOST_ROWS, max_age=self._max_age)
        return [Attention(None, row) for row in page.rows], page.after is not None

    def _typed(self) -> None:
        data = self._terminal.read()
        if not data:
            self._ended.set()
            return
        self._press(self._keys.typed(data))
        if self._keys.is_waiting:
            asyncio.get_running_loop().call_later(_ESCAPE_SECONDS, self._called, self._give_up_sequence)

    def _give_up_sequence(self) -> None:
        self._press(self._keys.given_up())

    def _press(self, keys: list[str]) -> None:
        for key in keys:
            self._screen, action = pressed(self._screen, key, self._terminal.size[1])
            if action is not None:
                self._do(action)
        if keys:
            self._draw()

    def _do(self, action: Action) -> None:
        match action:
            case Quit():
                self._ended.set()
            case Explain(id):
                self._jobs.put_nowait(lambda: self._explain(id))
            case Apply():
                self._jobs.put_nowait(lambda: self._apply(action))

    async def _explain(self, id: str) -> None:
        history = await self._store.inspection.history(id, max_age=self._max_age)
        self._screen = replace(self._screen, explained=history, scrolled=0, message="")

    async def _apply(self, action: Apply) -> None:
        try:
            done = await _applied(self._store, action)
        except PendingctlError as error:
            # Whoever agreed to it learns of it, whatever else the screen says.
            self._screen = replace(self._screen, message=f"not done, or not known to be: {error}")
            return
        self._screen = replace(self._screen, message=done)
        if self._screen.explained is not None:
            history = await self._store.inspection.history(action.row.id, max_age=self._max_age)
            self._screen = replace(self._screen, explained=history)
        await self._refresh()

    def _draw(self) -> None:
        columns, lines = self._terminal.size
        self._screen = settled(self._screen, columns, lines)
        self._terminal.show(drawn(self._screen, columns, lines))

    def _suspend(self) -> None:
        self._terminal.suspend()
        self._draw()


async def _applied(store: PendingStore, action: Apply) -> str:
    """Do it to the very asking that was listed, and return what became of that."""
    row, remedies = action.row, store.remedies
    match action.remedy:
        case Remedy.REDELIVER:
            (remedied,) = await remedies.redeliver([row])
            done = f"the pods deliver the ending of {row.id} again"
        case Remedy.WITHDRAW:
            (remedied,) = await remedies.withdraw([row])
            done = f"withdrew {row.id}"
        case Remedy.REPAIR_CARD:
            (remedied,) = await remedies.repair_cards([row], edit_again=True)
            done = f"the pods post or edit the card of {row.id}"
    if remedied.not_done is None:
        return done
    return f"nothing was done to {row.id}: {remedied.not_done.replace('_', ' ')}"
