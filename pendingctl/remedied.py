"""What became of the rows that a person on call has worked on, as types. Pure: no I/O, no clock, no SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class NotDone(StrEnum):
    """Why a row was left as it was.

    Gone: it was deleted. Asked again: the id holds another asking by now. Busy: somebody else had it locked. Under way:
    a pod posts its card just now. By caller: no pod shows it.
    """

    GONE = "gone"
    ASKED_AGAIN = "asked_again"
    BUSY = "busy"
    OPEN = "open"
    ANSWERED = "answered"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    AWAITED = "awaited"
    NO_DEADLINE = "no_deadline"
    UNDER_WAY = "under_way"
    BY_CALLER = "by_caller"
    NOTHING_TO_REPAIR = "nothing_to_repair"


@dataclass(frozen=True, slots=True)
class Remedied:
    """What became of one asking: why nothing was done, or None, and its new deadline if that was moved."""

    id: str
    ask_number: int
    not_done: NotDone | None
    expires_at: datetime | None = None
