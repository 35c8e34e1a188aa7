"""Wake-ups of readers on all pods: hints, sent in batches after the commit, never in a writer's transaction.

A NOTIFY takes a lock of the whole database until its commit (PostgreSQL's src/backend/commands/async.c,
PreCommit_Notify), so in the writers' transactions it would put them in a row, one behind the other's disk.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterable
from contextvars import Context
from hashlib import blake2b
from time import monotonic

from ..errors import PendingctlError
from ..postgres.connections import Borrowed, ConnectionSource
from ..postgres.outages import Outage
from ..postgres.time_limits import Purpose
from .model import StreamName
from .statements import WAKE

CHANNEL = "pendingctl_stream"
# A payload has fewer than 8,000 bytes (PostgreSQL manual, "NOTIFY"), and a key takes 17 of them.
KEYS_A_NOTIFICATION = 400

LEAST_INTERVAL_SECONDS = 0.002
MOST_INTERVAL_SECONDS = 0.1
# A notification is followed by a pause of so many times as long as it took: where many pods send at once, most of that
# time is a wait for the others, and a pod that only writes hears none of them.
PAUSE_FACTOR = 4
# Each listening pod hears the notifications of all: with more than these they are sent less often.
HEARD_A_SECOND = 200

_log = logging.getLogger(__name__)


def key_of(stream: StreamName) -> str:
    """Return what a wake-up calls a stream: 16 hexadecimal digits. Two streams may share them, since it is a hint."""
    return blake2b(f"{stream.organization_id}\0{stream.name}".encode(), digest_size=8).hexdigest()


class Waker:
    """Sends a pod's wake-ups: one notification under way at a time, and between two an interval.

    The interval is 2 ms, doubled with each notification while this pod hears more than 200 a second, 100 ms at most,
    and halved again after that; and for four fifths of its time a pod sends none, so that pods which hear nothing give
    way as well. What cannot be sent is dropped: readers look by themselves as well.
    """

    def __init__(self, source: ConnectionSource) -> None:
        self._source = source
        self._keys: dict[str, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._process = os.getpid()
        self._interval = LEAST_INTERVAL_SECONDS
        self._send_at = 0.0
        self._heard = 0
        self._counting_since = monotonic()
        self._outage = Outage(_log)

    @property
    def interval(self) -> float:
        """Seconds between two notifications at least."""
        return self._interval

    def wake(self, streams: Iterable[StreamName]) -> None:
        """Have readers of these streams look for what is new. Returns at once."""
        self._keys.update(dict.fromkeys(map(key_of, streams)))
        if self._keys and not self._is_sending:
            # Its log is not of the question for which somebody appends just now.
            self._task = asyncio.create_task(self._send_all(), name="wake-ups of streams", context=Context())
            self._process = os.getpid()

    @property
    def _is_sending(self) -> bool:
        """Whether a task of this process, and of the event loop that runs, sends what there is."""
        return (
            self._task is not None
            and not self._task.done()
            and self._process == os.getpid()
            and self._task.get_loop() is asyncio.get_running_loop()
        )

    def note_heard(self, notifications: int = 1) -> None:
        """So many notifications have come in, of whatever pod."""
        self._heard += notifications

    async def settled(self) -> None:
        """Wait until all is sent, or dropped."""
        while self._task is not None and self._is_sending:
            await asyncio.shield(self._task)

    async def _send_all(self) -> None:
        while self._keys:
            await asyncio.sleep(self._send_at - monotonic())
            keys = list(self._keys)[:KEYS_A_NOTIFICATION]
            for key in keys:
                del self._keys[key]
            began = monotonic()
            try:
                async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
                    await borrowed.execute(WAKE, {"keys": " ".join(keys)})
                self._outage.over()
            except PendingctlError as error:
                self._outage.report("readers of streams are not woken, and look by themselves: %s", error)
            ended = monotonic()
            self._adapt(ended)
            self._send_at = ended + max(self._interval, min((ended - began) * PAUSE_FACTOR, MOST_INTERVAL_SECONDS))

    def _adapt(self, now: float) -> None:
        elapsed = now - self._counting_since
        if self._heard > HEARD_A_SECOND * max(elapsed, 1.0):
            self._interval = min(self._interval * 2, MOST_INTERVAL_SECONDS)
        elif elapsed >= 1.0:
            self._interval = max(self._interval / 2, LEAST_INTERVAL_SECONDS)
        else:
            return
        self._heard, self._counting_since = 0, now
