"""How long a worker wants to be left alone. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# A worker that wants to be left alone for longer is asked again nevertheless.
MOST_RETRY_AFTER = timedelta(hours=1)
# 9 digits are 31 years, and the longest date has 35 characters.
_MOST_DIGITS = 9
_MOST_CHARACTERS = 64


def requested_delay(said: str, date: str) -> timedelta | None:
    """Return what the header Retry-After asks for, an hour at most, and None where it is neither seconds nor a date.

    A date counts from the header Date, which is the worker's own clock (RFC 9110, section 10.2.3).
    """
    said = said.strip()
    if said.isascii() and said.isdigit():
        digits = said.lstrip("0")
        return MOST_RETRY_AFTER if len(digits) > _MOST_DIGITS else _bounded(timedelta(seconds=int(digits or "0")))
    try:
        return _bounded(_time(said) - _time(date))
    # What `email.utils` raises for junk, years and offsets without end among it, is not documented.
    except (ValueError, TypeError, OverflowError, LookupError):
        return None


def _time(text: str) -> datetime:
    time = parsedate_to_datetime(text[:_MOST_CHARACTERS])
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _bounded(delay: timedelta) -> timedelta:
    return min(max(delay, timedelta()), MOST_RETRY_AFTER)
