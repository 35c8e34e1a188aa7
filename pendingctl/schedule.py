"""When a question ends, reminds its person, and is escalated to another one. Pure: no I/O, no clock, no SQL."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from .errors import InvalidInput
from .payload import JsonObject, accepts, check_id, check_text, conversation_of, question_options

# Postgres and Python have times enough for that.
LONGEST = timedelta(days=3653)
# The age at which a question without a deadline is stale, unless the sweep has another.
MAX_AGE = timedelta(hours=24)
# So often a question reminds its person, unless it says otherwise.
REMIND_AT_MOST = 10
MOST_REMINDERS = 1_000


class Schedule(TypedDict, total=False):
    """What happens to an open question in time, by the database's clock; None, or nothing, for what does not happen.

    It ends when `expires_in` has passed since it was asked: with `default` as its answer if it has one and its card was
    posted, else without one. From the time its card is posted its person is reminded `remind_every` so often,
    `remind_at_most` times (1 to 1,000, else 10). When `escalate_after` has passed since it was asked, the user
    `escalate_to` may answer as well, and is called once.
    """

    expires_in: timedelta | None
    default: str | None
    remind_every: timedelta | None
    remind_at_most: int | None
    escalate_after: timedelta | None
    escalate_to: str | None


class ScheduleParameters(TypedDict):
    """A schedule as the statements take it."""

    expires_in: timedelta | None
    default: str | None
    remind_every: timedelta | None
    reminders_left: int | None
    escalate_after: timedelta | None
    escalate_to: str | None


def schedule_parameters(
    schedule: Schedule, payload: JsonObject, expected_user_id: str, *, show: bool, is_placed: bool = False
) -> ScheduleParameters:
    """Return the schedule of a question as the statements take it.

    `show` says that pods post its card, in its conversation; `is_placed` that they know where also without one.

    Raises InvalidInput for times that are not ahead, a default that is no option or has no deadline, reminders and
    escalations that nobody would post, that come too late, or that are for the same user.
    """
    expires_in, default = schedule.get("expires_in"), schedule.get("default")
    remind_every, remind_at_most = schedule.get("remind_every"), schedule.get("remind_at_most")
    escalate_after, escalate_to = schedule.get("escalate_after"), schedule.get("escalate_to")
    _check_time(expires_in, "the question expires in")
    _check_time(remind_every, "the question reminds every")
    _check_time(escalate_after, "the question is escalated after")
    if default is not None:
        _check_default(default, payload, expires_in)
    if remind_at_most is not None and (remind_every is None or not 1 <= remind_at_most <= MOST_REMINDERS):
        raise InvalidInput(
            f"the question reminds at most {remind_at_most} times; that must be 1 to {MOST_REMINDERS:,}, "
            "and needs an interval"
        )
    if (escalate_after is None) != (escalate_to is None):
        raise InvalidInput("an escalation needs both a time and a user")
    if escalate_to is not None and escalate_after is not None:
        check_id(escalate_to, "the user to escalate to")
        if escalate_to == expected_user_id:
            raise InvalidInput(f"the question is escalated to {escalate_to!r}, whom it asks anyway; name another user")
        if expires_in is None and escalate_after >= MAX_AGE:
            raise InvalidInput(
                f"the question is escalated after {escalate_after}, when it may have been swept; give it a deadline"
            )
        if expires_in is not None and escalate_after >= expires_in:
            raise InvalidInput(
                f"the question is escalated after {escalate_after}, when it has expired ({expires_in}); escalate sooner"
            )
    if show and not is_placed and not conversation_of(payload):
        raise InvalidInput("the question has no conversation in which its card could be shown; give it one")
    if not show and (remind_every is not None or escalate_after is not None):
        raise InvalidInput(
            "a question whose card no pod shows can neither remind nor be escalated; have it shown in a conversation"
        )
    return {
        "expires_in": expires_in,
        "default": default,
        "remind_every": remind_every,
        "reminders_left": None if remind_every is None else remind_at_most or REMIND_AT_MOST,
        "escalate_after": escalate_after,
        "escalate_to": escalate_to,
    }


def _check_time(time: timedelta | None, what: str) -> None:
    if time is not None and not timedelta() < time <= LONGEST:
        raise InvalidInput(f"{what} {time}; that must be more than 0 and at most 10 years")


def _check_default(default: str, payload: JsonObject, expires_in: timedelta | None) -> None:
    check_text(default, "the default")
    if expires_in is None:
        raise InvalidInput(f"the default {default!r} needs a deadline at which it applies")
    if not accepts(payload, default):
        options = ", ".join(question_options(payload))
        raise InvalidInput(f"the default {default!r} is none of the options: {options}")
