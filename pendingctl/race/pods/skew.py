"""A wall clock that is wrong."""

from __future__ import annotations

import datetime
import time


def shift_wall_clock(hours: float) -> None:
    """Make this process believe that it is so many hours later, or earlier if negative.

    It replaces Python's two ways to read the time of day, for all modules that are imported afterwards; the monotonic
    clock stays right, as it does on a machine whose clock is set wrong.
    """
    seconds = hours * 3600
    right_time, right_time_ns, right_datetime = time.time, time.time_ns, datetime.datetime

    class ShiftedDatetime(right_datetime):  # type: ignore[misc, valid-type]
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> ShiftedDatetime:
            shifted: ShiftedDatetime = cls.fromtimestamp(right_time() + seconds, tz)
            return shifted

    time.time = lambda: right_time() + seconds
    time.time_ns = lambda: right_time_ns() + int(seconds * 1e9)
    datetime.datetime = ShiftedDatetime  # type: ignore[misc]
