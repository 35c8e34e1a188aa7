"""What has happened to questions, as types. Pure: no I/O, no clock, no SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

# How long an entry is kept, unless the sweep is given another age.
TRAIL_KEPT = timedelta(days=30)


class Step(StrEnum):
    """What has happened to a question, or to its card or its ending.

    The asking, the card, the clicks, how it ended, the delivery of the ending, and what became of the row.
    """

    ASKED = "asked"
    EXTENDED = "extended"

    POSTING = "posting"
    POSTED = "posted"
    NOT_POSTED = "not_posted"
    GIVEN_UP = "given_up"
    REMINDED = "reminded"
    ESCALATED = "escalated"
    EDITING = "editing"
    EDITED = "edited"
    REPAIRED = "repaired"

    REFUSED = "refused"
    REPEATED = "repeated"

    ANSWERED = "answered"
    DEFAULTED = "defaulted"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"

    LEASED = "leased"
    RELEASED = "released"
    DELIVERED = "delivered"
    FAILED = "failed"
    STUCK = "stuck"
    REDELIVERED = "redelivered"

    DELETED = "deleted"
    SWEPT = "swept"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailEntry:
    """One step of one asking; entries of one question are in the order of their `id`.

    `at` is the database's clock. `pod` did it: a pod by its name, or a command by its user and host. Fields that a step
    does not have are None:

    - `user_id`: who was asked (asked), who clicked (answered, refused, repeated), or the operator who answered.
    - `connection_id`, `application`: asked, refused and repeated; `request_key`: asked.
    - `attempt`: of posting, not_posted, editing, leased, delivered, failed and stuck; from 1.
    - `presses`: how many were refused or repeated, by this pod and for this reason, since the entry before.
    - `detail`: the error (not_posted, given_up, failed, stuck; edited, where the card is gone), why a click was
      refused, what asked the id before (asked: created, superseded or reopened), an operator's reason (answered), the
      new deadline (extended).

    `ask_number` is None where a click named none and matched no question.
    """

    id: int
    at: datetime
    question_id: str
    ask_number: int | None
    organization_id: str
    step: Step
    pod: str | None
    user_id: str | None
    connection_id: str | None
    application: str | None
    request_key: str | None
    attempt: int | None
    presses: int | None
    detail: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Presses:
    """Clicks of one user that have won nothing, as a pod counts them; the last one was `seconds_ago`.

    `step` is refused or repeated. `reason` says why they were refused: a `RefusalReason`, or what `CANNOT_SERVE` and
    `MORE` mean. Clicks of several users that had no room have neither `user_id` nor `connection_id`, and those on
    unknown questions an empty `question_id`.
    """

    question_id: str
    ask_number: int | None
    organization_id: str
    connection_id: str | None
    user_id: str | None
    step: Step
    reason: str | None
    presses: int
    seconds_ago: float


# The pod did not serve the click's connection, was closing, or could not reach the database in time.
CANNOT_SERVE = "cannot_serve"
# More clicks of the same hour, which have no entries of their own.
MORE = "more"
