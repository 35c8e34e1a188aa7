"""Why a user's button does not react: the user's presses in, one sentence out."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pendingctl.diagnosis.findings import Verdict
from pendingctl.diagnosis.presses import judge_presses, open_questions, presses
from pendingctl.inspected import PendingSummary, UserHistory
from pendingctl.trail import Step, TrailEntry
from tests.diagnosis.histories import ago, asked, pressed, record, row

OK, WARN, UNKNOWN = Verdict.OK, Verdict.WARN, Verdict.UNKNOWN


def of_user(*entries: TrailEntry, questions: tuple[PendingSummary, ...] = (), **changed: Any) -> UserHistory:
    return UserHistory("U2", timedelta(hours=1), entries, questions, record(**changed), is_cut=False)


@pytest.mark.parametrize(
    ("entries", "questions", "verdict", "sentence"),
    [
        (
            (pressed("not_yours", "U2", 90, presses=2), pressed("not_yours", "U2")),
            (row(),),
            WARN,
            "U2 pressed 3 times on q42, which asks U1; the last time 1 min ago",
        ),
        ((pressed("not_yours", "U2"),), (), WARN, "U2 pressed once on q42, which asked somebody else"),
        (
            (pressed("already_answered", "U2"),),
            (row(claimed_at=ago(70), answered_by="U1"),),
            WARN,
            "which U1 had answered already",
        ),
        ((pressed("superseded", "U2"),), (row(),), WARN, "on a card that a newer one has displaced"),
        (
            (pressed("other_application", "U2", application="shop"),),
            (row(),),
            WARN,
            "the press reached pods of application 'shop', which is not the question's",
        ),
        ((pressed("unknown_or_expired", "U2"),), (), WARN, "which is not there: it was swept or deleted"),
        (
            (pressed("unknown_or_expired", "U2", connection_id="teams"),),
            (row(),),
            WARN,
            "over acme/teams, which is not the question's",
        ),
        ((pressed("invalid_answer", "U2"),), (row(),), WARN, "and was refused: invalid answer"),
        ((pressed(None, "U2", step=Step.ANSWERED),), (), OK, "U2 pressed on q42 1 min ago, and that is the answer"),
        ((pressed(None, "U2", step=Step.REPEATED),), (), OK, "U2 pressed on q42 again, 1 min ago"),
        (
            (pressed(None, "U2", 90, step=Step.ANSWERED), pressed(None, "U2", step=Step.REPEATED, presses=5)),
            (),
            WARN,
            "U2 answered q42, and the press was delivered again 5 times",
        ),
        (
            (),
            (),
            WARN,
            "no press of U2 has arrived for 1 h: the platform did not deliver it, or the pod could not reach",
        ),
    ],
)
def test_what_became_of_the_last_presses_is_said(
    entries: tuple[TrailEntry, ...], questions: tuple[PendingSummary, ...], verdict: Verdict, sentence: str
) -> None:
    finding = judge_presses(of_user(*entries, questions=questions))

    assert finding.verdict is verdict
    assert sentence in finding.sentence
    assert "pendingctl why q42" in finding.remedies or not entries


def test_silence_means_nothing_where_nothing_is_written() -> None:
    off = judge_presses(of_user(is_kept=False))
    empty = judge_presses(of_user(since=None, until=None))

    assert (off.verdict, empty.verdict) == (UNKNOWN, UNKNOWN)
    assert "switched off" in off.sentence
    assert "the trail is empty" in empty.sentence


def test_silence_is_not_said_of_a_time_before_the_trail_begins() -> None:
    assert (
        "no press of U2 has arrived for 20 s, since the trail begins" in judge_presses(of_user(since=ago(20))).sentence
    )


def test_a_silent_user_learns_which_questions_wait() -> None:
    waiting, other, answered = row(expected_user_id="U2"), row(id="q1"), row(id="q2", claimed_at=ago(1))
    history = of_user(asked(user_id="U2"), questions=(waiting, other, answered))

    assert presses(history) == []
    assert open_questions(history) == [waiting]
    assert "pendingctl why q42" in judge_presses(history).remedies
