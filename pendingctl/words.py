"""Numbers and lengths of time in words."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = timedelta(days=36_500)


def age(length: timedelta | float) -> str:
    """Write a length of time (or seconds) as people do, in its two largest units: 45 s, 3 min, 5 h 20 min, 2 d 4 h."""
    seconds = int(length.total_seconds() if isinstance(length, timedelta) else length)
    for unit, smaller, size in (("d", "h", 86_400), ("h", "min", 3_600), ("min", "s", 60)):
        if seconds >= size:
            parts = {"h": 3_600, "min": 60, "s": 1}[smaller]
            rest = seconds % size // parts
            return f"{seconds // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{max(seconds, 0)} s"


def span(seconds: float) -> str:
    """Write a length of time in one number: 40 ms, 3.2 s, 45 s, 12 min, 5 h, 3 d."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def size(bytes: float) -> str:
    """Write a number of bytes: 8 kB, 320 MB, 1.4 GB."""
    for unit, factor in (("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20)):
        if bytes >= factor:
            number = bytes / factor
            return f"{number:.1f} {unit}" if number < 10 and unit != "MB" else f"{number:,.0f} {unit}"
    return f"{bytes / 1024:.0f} kB"


def counted(number: int, one: str, many: str) -> str:
    """Write a number with its noun: 1 row, 2 rows."""
    return f"{number:,} {one if number == 1 else many}"


def in_one_unit(length: timedelta) -> str:
    """Write a length of time as the options take it: 90s, 30m, 24h, 7d."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if length and not length % timedelta(seconds=size):
            return f"{length // timedelta(seconds=size)}{unit}"
    return f"{length.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"


def read_duration(text: str) -> timedelta:
    """Return the length of time that `90s`, `30m`, `24h` or `7d` means.

    Raises ValueError for any other text, and for a length that is not above zero or over 36,500 days.
    """
    match = re.fullmatch(r"([0-9]{1,12})([smhd])", text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration; write 90s, 30m, 24h or 7d")
    try:
        length = timedelta(**{_UNITS[match[2]]: int(match[1])})
    except OverflowError:
        length = timedelta.max
    if not timedelta(0) < length <= _LONGEST:
        raise ValueError(f"{text!r} is out of range; it must be above zero and at most 36500d")
    return length


def until(length: timedelta) -> str:
    """Write when something is due that long from now: in 5 min, or now."""
    return f"in {age(length)}" if length >= timedelta(seconds=1) else "now"
