"""When a connection may call Slack again: rates, by method and channel, and pauses after a token was refused."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta

from .errors import RateLimited

# So long a call waits for its turn; a post has 20 s and an edit 15 s in all.
LONGEST_WAIT = timedelta(seconds=8)
# Slack's own longest is minutes; what a broken proxy says must not silence a channel for a day.
LONGEST_LIMIT = timedelta(hours=1)
# A refused token is tried again after 1, 2, 4, … minutes, an hour at most: somebody has to mend it.
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=1)
_MOST_KEYS = 10_000

_log = logging.getLogger(__name__)

# Organization and connection.
Connection = tuple[str, str]


class Rates:
    """What Slack has limited: one method of one connection, in one channel, and nothing else.

    `clock` gives seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until: dict[tuple[Connection, str, str], float] = {}
        self._waiting: set[tuple[Connection, str, str]] = set()

    def limit(self, connection: Connection, method: str, channel: str, retry_after: timedelta) -> None:
        """Let nobody call this before that time has passed."""
        now = self._clock()
        self._until = {key: until for key, until in self._until.items() if until > now}
        if len(self._until) < _MOST_KEYS:
            self._until[connection, method, channel] = now + min(retry_after, LONGEST_LIMIT).total_seconds()

    async def wait(self, connection: Connection, method: str, channel: str, until: float) -> None:
        """Return when this may be called, or raise RateLimited.

        That is where it may not be `until` then (of the clock), and where another call waits already: a pod has a few
        turns for a tenant's cards, and those of one channel must not take them all.
        """
        key = (connection, method, channel)
        while (free := self._until.get(key, 0.0)) > (now := self._clock()):
            if free > until or key in self._waiting:
                reason = f"Slack limits {method} {f'in {channel} ' if channel else ''}for {free - now:.1f} s"
                raise RateLimited(reason, timedelta(seconds=free - now))
            self._waiting.add(key)
            try:
                await asyncio.sleep(free - now)
            finally:
                self._waiting.discard(key)


class Pauses:
    """What is paused, since the token was refused: a connection, or one method of it."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        # Until when, and for how long; an empty method stands for all of them.
        self._pauses: dict[tuple[Connection, str], tuple[float, timedelta]] = {}

    def remaining(self, connection: Connection, method: str) -> timedelta | None:
        """Return for how long a method is still paused, None if it is not."""
        now = self._clock()
        ends = [self._pauses[key][0] for key in ((connection, ""), (connection, method)) if key in self._pauses]
        return timedelta(seconds=max(ends) - now) if ends and max(ends) > now else None

    def refused(self, connection: Connection, method: str, reason: str) -> timedelta:
        """Pause a method, all of them if it is empty, for twice as long as before, and return for how long."""
        until, last = self._pauses.get((connection, method), (0.0, FIRST_PAUSE / 2))
        # Of calls that were under way together one lengthens the pause.
        if until > self._clock():
            return timedelta(seconds=until - self._clock())
        length = min(last * 2, LONGEST_PAUSE)
        self._pauses[connection, method] = (self._clock() + length.total_seconds(), length)
        organization_id, connection_id = connection
        _log.error(
            "Slack refuses %s of connection %r of %r: %s; its cards wait, and it is tried again in %d s. Mend the "
            "token or the app's scopes, and restart the pods that have the old token",
            *(method or "the token", connection_id, organization_id, reason, length.total_seconds()),
        )
        return length

    def accepted(self, connection: Connection, method: str) -> None:
        """Note that a call has succeeded: the next refusal begins with the shortest pause."""
        self._pauses.pop((connection, ""), None)
        self._pauses.pop((connection, method), None)
