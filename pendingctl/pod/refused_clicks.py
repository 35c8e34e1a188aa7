"""Clicks that have won nothing, on their way into the trail: counted in the pod, and written together."""

from __future__ import annotations

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from ..errors import InvalidInput, PendingctlError
from ..logged import about
from ..model import MAX_ASK_NUMBER, Click, RefusalReason
from ..postgres.outages import Outage
from ..trail import CANNOT_SERVE, MORE, Presses, Step

# What a person on call sees of a click that was just refused is so old at most.
FLUSH_SECONDS = 2.0
HOUR_SECONDS = 3_600.0
# Of one question, or of one organization's clicks on questions that it does not have, a pod writes so many entries an
# hour, however many users there are to click; the database allows as many of one question in all pods. Clicks of those
# whom a question does not ask are counted apart, and one user gets half: neither may hide what the others press.
ENTRIES_AN_HOUR = 20
ENTRIES_OF_A_USER = 10
# What a pod remembers of clicks at most; whoever sends more is counted.
MOST_COUNTED = 1_000
MOST_WINDOWS = 10_000

_log = logging.getLogger(__name__)


class PressTrail(Protocol):
    """What this asks of `store.trail`."""

    async def note(self, presses: Sequence[Presses]) -> list[Presses]:
        """Leave presses in the trail, and return those for which it has no room."""
        ...


class _Key(NamedTuple):
    """Clicks that share the entries of an hour."""

    organization_id: str
    question_id: str
    reason: str | None


class _Kind(NamedTuple):
    """Clicks that are counted as one entry."""

    organization_id: str
    connection_id: str
    question_id: str
    ask_number: int | None
    user_id: str
    step: Step
    reason: str | None

    @property
    def window(self) -> _Key:
        """Of a question that the organization has, and of others' clicks on it; of all other questions together."""
        is_known = self.reason not in (RefusalReason.UNKNOWN_OR_EXPIRED, CANNOT_SERVE)
        is_apart = not is_known or self.reason == RefusalReason.NOT_YOURS
        return _Key(self.organization_id, self.question_id if is_known else "", self.reason if is_apart else None)


@dataclass(slots=True)
class _Count:
    presses: int
    last: float


@dataclass(slots=True)
class _Window:
    """An hour: how many entries there is room for, and the clicks that had none."""

    until: float
    room: int = ENTRIES_AN_HOUR
    entries: Counter[str] = field(default_factory=Counter)
    rest: int = 0
    last: float = 0.0


class RefusedClicks:
    """Counts clicks that were refused or repeated, and leaves them in the trail every other second.

    Bounded in memory and in entries: a storm of clicks costs a count. What is not written when the pod dies is lost.
    """

    def __init__(self, trail: PressTrail, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._trail = trail
        self._clock = clock
        self._counts: dict[_Kind, _Count] = {}
        self._windows: OrderedDict[_Key, _Window] = OrderedDict()
        self._flushed = clock()
        self._outage = Outage(_log)

    def refused(self, click: Click, reason: str) -> None:
        """Count a click that was refused."""
        self._add(click, Step.REFUSED, reason)

    def repeated(self, click: Click) -> None:
        """Count a repetition of the press that had won."""
        self._add(click, Step.REPEATED, None)

    def is_due(self) -> bool:
        """Whether something is to be written now."""
        now = self._clock()
        has_ended = next((window.until <= now for window in self._windows.values()), False)
        return now - self._flushed >= FLUSH_SECONDS and (bool(self._counts) or has_ended)

    async def flush(self, *, last: bool = False) -> None:
        """Write what is counted, and of hours that have ended, or all with `last`, the clicks that had no room.

        What cannot be written now is kept for the next time.
        """
        now = self._clock()
        self._flushed = now
        counted, self._counts = self._counts, {}
        ended = [key for key, window in self._windows.items() if last or window.until <= now]
        over = {key: window for key in ended if (window := self._windows.pop(key)).rest}
        presses = {_presses(kind, count, now): kind for kind, count in counted.items()}
        rests = [_rest(key, window, now) for key, window in over.items()]
        if not presses and not rests:
            return
        try:
            without_room = await self._note([*presses, *rests])
        except PendingctlError as error:
            self._outage.report("refused clicks cannot be noted for now: %s", error)
            self._keep(counted, over)
            return
        self._outage.over()
        for each in without_room:
            window = self._window(presses[each].window)
            window.room = 0
            self._leave_out(window, each.presses, now)

    async def _note(self, presses: Sequence[Presses]) -> list[Presses]:
        """Leave them in the trail; one with a character that the database's encoding lacks keeps no other out."""
        try:
            return await self._trail.note(presses)
        except InvalidInput as error:
            if len(presses) == 1:
                with about(organization=presses[0].organization_id, question=presses[0].question_id):
                    _log.debug("a refused click cannot be noted: %s", error)
                return []
        middle = len(presses) // 2
        return [*await self._note(presses[:middle]), *await self._note(presses[middle:])]

    def _add(self, click: Click, step: Step, reason: str | None) -> None:
        number = click.ask_number
        kind = _Kind(
            click.organization_id,
            click.connection_id,
            click.question_id,
            number if number is not None and 0 <= number <= MAX_ASK_NUMBER else None,
            click.user_id,
            step,
            reason,
        )
        if (count := self._counts.get(kind)) is not None:
            count.presses += 1
            count.last = self._clock()
            return
        window = self._window(kind.window)
        has_room = window.room > 0 and window.entries[click.user_id] < ENTRIES_OF_A_USER
        if not has_room or len(self._counts) >= MOST_COUNTED:
            self._leave_out(window, 1, self._clock())
            return
        window.room -= 1
        window.entries[click.user_id] += 1
        self._counts[kind] = _Count(1, self._clock())

    def _window(self, key: _Key) -> _Window:
        if (window := self._windows.get(key)) is None:
            window = self._windows[key] = _Window(self._clock() + HOUR_SECONDS)
            if len(self._windows) > MOST_WINDOWS:
                # Whatever had no room in it stays uncounted: so many questions at a time are an attack.
                self._windows.popitem(last=False)
        return window

    def _leave_out(self, window: _Window, presses: int, last: float) -> None:
        window.rest += presses
        window.last = max(window.last, last)

    def _keep(self, counted: dict[_Kind, _Count], over: dict[_Key, _Window]) -> None:
        for kind, count in counted.items():
            if (newer := self._counts.get(kind)) is not None:
                newer.presses += count.presses
            elif len(self._counts) < MOST_COUNTED:
                self._counts[kind] = count
            else:
                self._leave_out(self._window(kind.window), count.presses, count.last)
        for key, window in over.items():
            self._leave_out(self._window(key), window.rest, window.last)


def _presses(kind: _Kind, count: _Count, now: float) -> Presses:
    return Presses(
        question_id=kind.question_id,
        ask_number=kind.ask_number,
        organization_id=kind.organization_id,
        connection_id=kind.connection_id,
        user_id=kind.user_id,
        step=kind.step,
        reason=kind.reason,
        presses=count.presses,
        seconds_ago=now - count.last,
    )


def _rest(key: _Key, window: _Window, now: float) -> Presses:
    return Presses(
        question_id=key.question_id,
        ask_number=None,
        organization_id=key.organization_id,
        connection_id=None,
        user_id=None,
        step=Step.REFUSED,
        reason=MORE,
        presses=window.rest,
        seconds_ago=now - window.last,
    )
