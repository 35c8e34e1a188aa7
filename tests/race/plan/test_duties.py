"""What a plan holds of questions that live in time."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from pendingctl.model import Outcome
from pendingctl.race.plan.duties import ESCALATE_AFTER, POSTED_MS
from pendingctl.race.plan.operations import OperationKind, PlannedQuestion, PostTrouble, Transaction, Wrong
from pendingctl.race.plan.plan import plan_question
from pendingctl.race.plan.schedule import FaultKind
from pendingctl.race.plan.settings import EXTRA_EVERY, RaceSettings
from tests.race.plan.test_plan import NAMES, NUMBERS, RACES, differing, race

CLAIM = OperationKind.CLAIM


def duties(kind: int, settings: RaceSettings) -> PlannedQuestion:
    return plan_question(settings, NAMES, f"d{kind}")


@given(RACES, st.integers(0, 9))
def test_every_tenth_question_that_lives_in_time_is_of_the_same_kind(settings: RaceSettings, kind: int) -> None:
    again = plan_question(settings, NAMES, f"d{EXTRA_EVERY * (10 + kind)}")

    assert duties(kind, settings).is_extra
    assert len(duties(kind, settings).bursts) == len(again.bursts)
    assert [each.transaction for each in duties(kind, settings).bursts[0].operations] == [
        each.transaction for each in again.bursts[0].operations
    ]
    assert {each.name.partition(".")[0] for each in again.operations} == {again.label}
    assert len({each.name for each in again.operations}) == len(again.operations)


@given(RACES, st.sampled_from([0, 1, 7, 8, 9]))
def test_clicks_are_on_their_way_when_a_deadline_passes(settings: RaceSettings, kind: int) -> None:
    question = duties(kind, settings)
    (put,), clicks = (burst.operations for burst in question.bursts)
    assert question.question.expires_in is not None
    around = question.question.expires_in // timedelta(milliseconds=1) - (POSTED_MS if put.posts else 0)
    times = sorted(each.after_ms - around for each in clicks if each.kind is CLAIM)

    assert times[-1] > 100
    assert sum(abs(each) < 30 for each in times) >= 3
    # With an early one the question is mostly answered, and without one it mostly expires.
    assert (times[0] < 0) is (kind == 0) or kind == 7
    assert {each.asking for each in clicks if each.kind is CLAIM} == {1}


@given(RACES)
def test_a_default_applies_before_anybody_clicks(settings: RaceSettings) -> None:
    question = duties(2, settings)
    (post,), clicks = (burst.operations for burst in question.bursts)
    assert question.question.expires_in is not None
    deadline = question.question.expires_in // timedelta(milliseconds=1)

    assert post.posts
    assert question.question.default in question.question.options
    assert min(each.after_ms for each in clicks) >= deadline


@given(RACES)
def test_the_user_to_whom_a_question_is_escalated_clicks_before_that_and_after_it(settings: RaceSettings) -> None:
    question = duties(3, settings)
    escalated = ESCALATE_AFTER // timedelta(milliseconds=1) - POSTED_MS
    by_other = [each for each in question.clicks if each.scope.expected_user_id == question.question.escalate_to]
    by_first = [each for each in question.clicks if each.scope == question.question.scope]

    assert differing(by_other[0].scope, question.question.scope) == {"expected_user_id"}
    assert len(by_other) + len(by_first) == len(question.clicks)
    assert min(each.after_ms for each in by_other) == 0
    assert max(each.after_ms for each in by_other) > escalated + 100
    assert min(each.after_ms for each in by_first) > escalated
    assert question.question.remind_every is not None


@given(RACES)
def test_an_application_puts_questions_whose_cards_are_the_pods_duty(settings: RaceSettings) -> None:
    left_alone, rolled_back, posted_in_vain = (duties(kind, settings) for kind in (4, 5, 6))

    (put, stranger) = left_alone.operations
    assert put.transaction is Transaction.COMMITS
    assert stranger.wrong is Wrong.USER
    assert differing(stranger.scope, left_alone.question.scope) == {"expected_user_id"}
    assert left_alone.question.remind_at_most is not None
    assert [each.transaction for each in rolled_back.bursts[0].operations] == [Transaction.ROLLS_BACK]
    assert {each.kind for each in rolled_back.bursts[1].operations} == {CLAIM}
    (post,) = posted_in_vain.operations
    assert (post.posts, post.trouble in [*PostTrouble]) == (True, True)


def test_with_one_seed_or_another_a_card_is_shown_whose_reply_is_lost_or_not_shown() -> None:
    troubles = {duties(6, race(seed=seed)).operations[0].trouble for seed in range(20)}

    assert troubles == set(PostTrouble)


@given(RACES, NUMBERS)
def test_over_a_question_at_whose_post_a_fault_strikes_nobody_clicks(settings: RaceSettings, number: int) -> None:
    question = plan_question(settings, NAMES, f"k{number}")

    assert question.is_extra
    assert [(each.posts, each.trouble) for each in question.operations] == [(True, None)]


def test_the_worker_hears_of_all_endings_unless_what_is_stale_is_swept() -> None:
    assert race().heard == set(Outcome)
    assert set(Outcome) - race(faults=(FaultKind.SWEEP,)).heard == {Outcome.EXPIRED}
