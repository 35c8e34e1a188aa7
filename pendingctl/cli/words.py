"""Numbers and lengths of time as the commands write them."""

from __future__ import annotations

from datetime import timedelta

from ..words import age, counted

__all__ = ["age", "counted", "in_one_unit", "until"]


def in_one_unit(length: timedelta) -> str:
    """Write a length of time as the options take it: 90s, 30m, 24h, 7d."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if length and not length % timedelta(seconds=size):
            return f"{length // timedelta(seconds=size)}{unit}"
    return f"{length.total_seconds():.6f}".rstrip("0").rstrip(".") + "s"


def until(length: timedelta) -> str:
    """Write when something is due that long from now: in 5 min, or now."""
    return f"in {age(length)}" if length >= timedelta(seconds=1) else "now"
