"""What a limit allows, and what a request to it is answered. Pure: no I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from ..errors import InvalidInput
from ..words import in_one_unit

# How precise Postgres's intervals are, and Python's.
_RESOLUTION = timedelta(microseconds=1)
_LONGEST = timedelta(days=3650)


@dataclass(frozen=True, slots=True)
class Limit:
    """`rate` units in each time `per`, evenly, and `burst` at once where none were taken before.

    The generic cell rate algorithm (ITU-T I.371, annex A): over any time w a key gets at most burst + rate · w / per. A
    unit comes back each `per / rate`, rounded up to a microsecond.

    Raises InvalidInput for a rate or a burst below 1, for more than a unit each microsecond, and where the whole burst
    takes over 3,650 days to come back.
    """

    rate: int
    per: timedelta
    burst: int
    unit: timedelta = field(init=False, repr=False, compare=False)
    """After which time one unit has come back."""

    def __post_init__(self) -> None:
        for name, value in (("rate", self.rate), ("burst", self.burst)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InvalidInput(f"the {name} of a limit is {value!r}; it must be a whole number of at least 1")
        if not timedelta() < self.per <= _LONGEST:
            raise InvalidInput(f"a limit is per {self.per}; that must be more than 0 and at most 3650d")
        if self.rate > self.per // _RESOLUTION:
            raise InvalidInput(f"a limit of {self.rate} per {in_one_unit(self.per)} is more than one a microsecond")
        # Kept, since a take needs it six times.
        object.__setattr__(self, "unit", _RESOLUTION * -(-(self.per // _RESOLUTION) // self.rate))
        if self.unit // _RESOLUTION * self.burst > _LONGEST // _RESOLUTION:
            raise InvalidInput(f"a burst of {self.burst} comes back after more than 3650d; make it smaller")

    def check_cost(self, cost: int) -> None:
        """Raise InvalidInput for a cost that no key could ever pay, or that is below 1."""
        if not isinstance(cost, int) or isinstance(cost, bool) or cost < 1:
            raise InvalidInput(f"the cost is {cost!r}; it must be a whole number of at least 1")
        if cost > self.burst:
            raise InvalidInput(f"the cost of {cost} is above the burst of {self.burst}: it would never be allowed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether a request may go on.

    `remaining` units could be taken at once. `retry_after` is how long to wait for the same cost, zero where it is
    allowed and above zero where it is not. After `reset_after` the whole burst is free again, if nothing is taken.
    Where the database could not be asked `is_known` is false, and the answer is that of `if_unreachable`.
    """

    limit: Limit
    allowed: bool
    remaining: int
    retry_after: timedelta
    reset_after: timedelta
    is_known: bool = True

    def headers(self, name: str = "default") -> dict[str, str]:
        """Return the header fields of a response, by draft-ietf-httpapi-ratelimit-headers-11, sections 3 and 4.

        `name` is the policy's, in printable ASCII. Of a limit with a burst the draft's quota is the burst, and its
        window the time in which all of it comes back. Times are whole seconds, rounded up: whoever comes back then is
        not early. `Retry-After` is there where the request was denied, and `RateLimit` where the decision is known.

        Raises InvalidInput for another name.
        """
        if not name.isascii() or not name.isprintable():
            raise InvalidInput(f"{name!r} is no name of a policy; it has to be printable ASCII")
        quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
        window = _whole_seconds(self.limit.unit * self.limit.burst)
        headers = {"RateLimit-Policy": f"{quoted};q={self.limit.burst};w={window}"}
        if self.is_known:
            headers["RateLimit"] = f"{quoted};r={self.remaining};t={_whole_seconds(self.reset_after)}"
        if not self.allowed:
            headers["Retry-After"] = str(_whole_seconds(self.retry_after))
        return headers


def decided(limit: Limit, cost: int, used: timedelta, *, allowed: bool) -> Decision:
    """Return the decision where so much of the burst's time is `used`, after the request was allowed or denied."""
    whole = limit.unit * limit.burst
    used = max(used, timedelta())
    free = max(whole - used, timedelta())
    wait = max(limit.unit * cost - free, _RESOLUTION)
    return Decision(
        limit=limit,
        allowed=allowed,
        remaining=free // limit.unit,
        retry_after=timedelta() if allowed else wait,
        reset_after=min(used, whole),
    )


def undecided(limit: Limit, cost: int, *, allowed: bool, retry_after: timedelta) -> Decision:
    """Return the decision where nobody knows what is used."""
    return Decision(
        limit=limit,
        allowed=allowed,
        remaining=limit.burst - cost if allowed else 0,
        retry_after=timedelta() if allowed else retry_after,
        reset_after=timedelta() if allowed else retry_after,
        is_known=False,
    )


def _whole_seconds(time: timedelta) -> int:
    return -(-time // timedelta(seconds=1))
