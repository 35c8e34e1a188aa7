"""A schedule that cannot be kept is refused when it is asked, by words that say what to do."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pendingctl import Question, Scope
from pendingctl.errors import InvalidInput
from pendingctl.payload import question_payload
from pendingctl.schedule import LONGEST, REMIND_AT_MOST, Schedule, schedule_parameters

HOUR = timedelta(hours=1)
PAYLOAD = question_payload("Deploy?", ["yes", "no"], {"conversation_id": "C1"})
NOWHERE = question_payload("Deploy?", ["yes", "no"])
NOTHING = {
    "expires_in": None,
    "default": None,
    "remind_every": None,
    "reminders_left": None,
    "escalate_after": None,
    "escalate_to": None,
}


@pytest.mark.parametrize(
    ("schedule", "complaint"),
    [
        ({"expires_in": timedelta()}, "expires in .* must be more than 0"),
        ({"expires_in": -HOUR}, "must be more than 0"),
        ({"expires_in": LONGEST + HOUR}, "at most 10 years"),
        ({"remind_every": timedelta()}, "reminds every .* must be more than 0"),
        ({"remind_every": timedelta.max}, "at most 10 years"),
        ({"escalate_after": timedelta(), "escalate_to": "U2"}, "escalated after .* must be more than 0"),
        ({"escalate_after": timedelta.max, "escalate_to": "U2"}, "at most 10 years"),
        ({"default": "no"}, "needs a deadline"),
        ({"default": "perhaps", "expires_in": HOUR}, "none of the options: yes, no"),
        ({"default": "", "expires_in": HOUR}, "none of the options"),
        ({"default": "\0", "expires_in": HOUR}, "NUL"),
        ({"remind_at_most": 3}, "needs an interval"),
        ({"remind_at_most": 0, "remind_every": HOUR}, "at most 0 times"),
        ({"remind_at_most": -1, "remind_every": HOUR}, "at most -1 times"),
        ({"remind_at_most": 1_001, "remind_every": HOUR}, "must be 1 to 1,000"),
        ({"escalate_after": 24 * HOUR, "escalate_to": "U2"}, "may have been swept; give it a deadline"),
        ({"escalate_after": HOUR}, "both a time and a user"),
        ({"escalate_to": "U2"}, "both a time and a user"),
        ({"escalate_after": HOUR, "escalate_to": ""}, "the user to escalate to is empty"),
        ({"escalate_after": HOUR, "escalate_to": "\0"}, "NUL"),
        ({"escalate_after": HOUR, "escalate_to": "U1"}, "whom it asks anyway"),
        ({"escalate_after": HOUR, "escalate_to": "U2", "expires_in": HOUR}, "escalate sooner"),
        ({"escalate_after": 2 * HOUR, "escalate_to": "U2", "expires_in": HOUR}, "escalate sooner"),
    ],
)
def test_what_cannot_be_kept_is_refused(schedule: Schedule, complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        schedule_parameters(schedule, PAYLOAD, "U1", show=True)
    with pytest.raises(InvalidInput, match=complaint):
        Question("q", Scope("acme", "slack", "U1"), "Deploy?", ("yes", "no"), "C1", **schedule)


@pytest.mark.parametrize("schedule", [{"remind_every": HOUR}, {"escalate_after": HOUR, "escalate_to": "U2"}])
def test_nobody_is_called_for_a_card_that_no_pod_shows(schedule: Schedule) -> None:
    with pytest.raises(InvalidInput, match="neither remind nor be escalated"):
        schedule_parameters(schedule, PAYLOAD, "U1", show=False)
    with pytest.raises(InvalidInput, match="neither remind nor be escalated"):
        Question("q", Scope("acme", "slack", "U1"), "Deploy?", **schedule)


def test_a_question_without_a_conversation_is_not_shown() -> None:
    with pytest.raises(InvalidInput, match="no conversation in which its card could be shown"):
        schedule_parameters({}, NOWHERE, "U1", show=True)
    assert schedule_parameters({}, NOWHERE, "U1", show=False) == NOTHING


@pytest.mark.parametrize("show", [False, True])
def test_without_a_schedule_nothing_happens(show: bool) -> None:
    assert schedule_parameters({}, PAYLOAD, "U1", show=show) == NOTHING
    assert schedule_parameters(Question("q", Scope("a", "s", "U"), "?").schedule(), PAYLOAD, "U", show=show) == NOTHING


def test_a_question_reminds_ten_times_unless_it_says_otherwise() -> None:
    reminding = schedule_parameters({"remind_every": HOUR}, PAYLOAD, "U1", show=True)
    three_times = schedule_parameters({"remind_every": HOUR, "remind_at_most": 3}, PAYLOAD, "U1", show=True)

    assert (reminding["reminders_left"], REMIND_AT_MOST) == (10, 10)
    assert three_times["reminders_left"] == 3


def test_a_schedule_that_can_be_kept_is_taken_whole() -> None:
    schedule: Schedule = {
        "expires_in": LONGEST,
        "default": "no",
        "remind_every": timedelta(microseconds=1),
        "remind_at_most": 1_000,
        "escalate_after": LONGEST - HOUR,
        "escalate_to": "U2",
    }

    taken = schedule_parameters(schedule, PAYLOAD, "U1", show=True)

    assert taken == {
        **{name: value for name, value in schedule.items() if name != "remind_at_most"},
        "reminders_left": 1_000,
    }


def test_any_text_is_a_default_where_any_text_is_an_answer() -> None:
    free = question_payload("Which version?", [])

    assert schedule_parameters({"default": "1.0", "expires_in": HOUR}, free, "U1", show=False)["default"] == "1.0"
