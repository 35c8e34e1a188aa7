"""What was taken from limits in a race. Pure: `files` writes it to disk and reads it back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Moment:
    """A reading of the database's clock, in microseconds; `server` tells what lives between two crashes from the next.

    A crash empties the table of limits, and a standby that takes over has an empty one; a clean restart keeps it.
    """

    at_us: int
    server: int


class TakeOutcome(StrEnum):
    """What a take was answered; one that was not answered may have been done, then or later."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Take:
    """One take, which was decided between two readings of the clock.

    `is_new`: the limiter had decided nothing before, so that it has asked the database, as a pod does that has just
    started. Another one may have denied by what it remembered of the last second.
    """

    pod: str
    number: int
    organization_id: str
    key: str
    cost: int
    is_new: bool
    began: Moment
    outcome: TakeOutcome = TakeOutcome.UNKNOWN
    ended: Moment | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class StoredLimit:
    """A key's row: which transaction has written it, which one has locked it last (0: none), and its time."""

    xmin: int
    xmax: int
    tat_us: int


@dataclass(frozen=True, slots=True)
class Look:
    """A key's row as it stood at one moment between two readings of the clock; None without one."""

    pod: str
    organization_id: str
    key: str
    began: Moment
    ended: Moment
    row: StoredLimit | None


@dataclass(frozen=True, slots=True)
class ClockSetBack:
    """All rows lead further ahead by hours, as they do once a clock was set back by as much."""

    began: Moment
    ended: Moment


@dataclass(frozen=True, slots=True)
class LimitHistory:
    """Everything that a race has left about limits."""

    takes: tuple[Take, ...] = ()
    looks: tuple[Look, ...] = ()
    set_back: tuple[ClockSetBack, ...] = ()
