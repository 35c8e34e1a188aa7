"""The story that shows a broken law: which question it is about, what it lists, and which click it marks."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pendingctl.model import Scope
from pendingctl.race.history.history import History, Operation, Outcome, RacedQuestion, Reason, Reported, Row
from pendingctl.race.plan.operations import OperationKind, PlannedOperation, Wrong
from pendingctl.race.verdict.checker import Violation
from pendingctl.race.verdict.story import MOST_LINES, StoryLine, smallest_story

SCOPE = Scope("acme", "slack", "U1")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
MS = 1_000_000
DEFEAT = Reported(Reason.ALREADY_ANSWERED, "U1", "yes", NOON)

PUT, CLAIM, DELETE, SWEEP, *_ = OperationKind


def claim(
    name: str,
    started_ms: float,
    outcome: Outcome = Outcome.OK,
    reported: Reported = Reported(),  # noqa: B008
    *,
    pod: str = "pod-1",
    key: str = "key-a",
    value: str | None = "yes",
    wrong: Wrong | None = None,
    took_ms: float | None = 1.0,
) -> Operation:
    scope = SCOPE if wrong is None else Scope("globex", "slack", "U1")
    planned = PlannedOperation(name, 0, CLAIM, name.partition(".")[0], scope, wrong, key, value, 1)
    ended = None if took_ms is None else round((started_ms + took_ms) * MS)
    return Operation(pod, 0, planned, round(started_ms * MS), ended, outcome, reported)


def other(kind: OperationKind, name: str, started_ms: float, reported: Reported = Reported()) -> Operation:  # noqa: B008
    planned = PlannedOperation(name, 0, kind, name.partition(".")[0], SCOPE)
    return Operation("pod-2", 0, planned, round(started_ms * MS), round((started_ms + 1) * MS), Outcome.OK, reported)


def history(*operations: Operation, rows: tuple[Row, ...] = ()) -> History:
    ids = sorted({each.planned.question_id for each in operations})
    question = tuple(RacedQuestion(id, SCOPE, {}, "C", is_extra=id.startswith("x")) for id in ids)
    return History(question, operations, (), rows)


def row(id: str = "q0", key: str = "key-a", answer: str = "yes") -> Row:
    return Row(id, SCOPE, {}, NOON, 1, answer, key)


def broken(*ids: str | None) -> list[Violation]:
    return [Violation("single_winner", id, "two") for id in ids]


def test_it_is_that_of_the_broken_question_with_the_fewest_operations() -> None:
    happened = history(
        *(claim(f"q0.{each}", each) for each in range(3)),
        *(claim(f"q1.{each}", each, pod="pod-7") for each in range(2)),
        claim("q2.0", 0),
    )

    story = smallest_story(happened, broken("q0", "q1", "q1", None))

    assert [line.pod for line in story] == ["pod-7", "pod-7"]


def test_sweeps_count_as_operations_of_the_questions_that_they_took() -> None:
    swept = other(SWEEP, "x0.9", 5, Reported(at=NOON, ids=("x0",)))
    happened = history(other(PUT, "x0.0", 0, Reported(put="created")), swept, claim("x1.0", 0))

    assert [line.what for line in smallest_story(happened, broken("x0"))] == ["put 0", "sweep 9"]
    assert len(smallest_story(happened, broken("x0", "x1"))) == 1


@pytest.mark.parametrize("violations", [[], broken(None), broken("q7")], ids=["none", "of the run", "of no question"])
def test_there_is_none_where_no_question_is_broken(violations: list[Violation]) -> None:
    assert smallest_story(history(claim("q0.0", 0)), violations) == ()


def test_a_broken_question_to_which_nothing_was_done_has_none() -> None:
    happened = replace(history(), questions=(RacedQuestion("bystander", SCOPE, {}, "C"),))

    assert smallest_story(happened, broken("bystander")) == ()


def test_it_lists_what_was_done_in_order_and_what_came_of_it() -> None:
    happened = history(
        claim("q0.1", 3.5, Outcome.REFUSED, DEFEAT, pod="pod-2", key="key-b", value="no"),
        claim("q0.0", 2, took_ms=4.126),
        claim(
            "q0.2", 4, Outcome.REFUSED, Reported(Reason.NOT_YOURS), wrong=Wrong.ORGANIZATION, key="key-c", value=None
        ),
        claim("q0.3", 5, Outcome.UNKNOWN, key="key-d", took_ms=None),
        other(PUT, "q0.put", 6, Reported(put="refreshed")),
        rows=(row(),),
    )

    assert smallest_story(happened, broken("q0")) == (
        StoryLine(0.0, 4.13, "pod-1", "claim 0 'yes'", "ok", True),
        StoryLine(1.5, 2.5, "pod-2", "claim 1 'no'", "already answered 'yes'", False),
        StoryLine(2.0, 3.0, "pod-1", "claim 2 by the wrong organization", "not yours", False),
        StoryLine(3.0, None, "pod-1", "claim 3 'yes'", "unknown", False),
        StoryLine(4.0, 5.0, "pod-2", "put put", "refreshed", False),
    )


def winners(*operations: Operation, rows: tuple[Row, ...] = ()) -> list[str]:
    """Which of these are marked, by the last part of their names."""
    story = smallest_story(history(*operations, rows=rows), broken("q0"))
    return [line.what.split()[1] for line in story if line.is_winner]


def test_the_stored_winner_is_marked() -> None:
    both = (claim("q0.0", 0), claim("q0.1", 0, key="key-b", value="no"))

    assert winners(*both, rows=(row(key="key-b", answer="no"),)) == ["1"]


def test_a_winner_whose_reply_was_lost_is_marked() -> None:
    assert winners(claim("q0.0", 0, Outcome.UNKNOWN, took_ms=None), rows=(row(),)) == ["0"]


def test_without_a_row_the_clicks_that_were_told_that_they_won_are_marked() -> None:
    lost = claim("q0.1", 0, Outcome.REFUSED, DEFEAT, key="key-b")
    deleted = other(DELETE, "q0.3", 5)
    doubtful = claim("q0.4", 6, Outcome.UNKNOWN, key="key-d", took_ms=None)

    assert winners(claim("q0.0", 0), lost, claim("q0.2", 0, key="key-c"), deleted, doubtful) == ["0", "2"]


def test_no_click_is_marked_on_an_unclaimed_row() -> None:
    unclaimed = replace(row(), claimed_at=None, answer=None, delivery_key=None)

    assert winners(claim("q0.0", 0), rows=(unclaimed,)) == []


def test_a_stranger_that_wins_is_marked() -> None:
    stranger = claim("q0.0", 0, key="key-s", wrong=Wrong.ORGANIZATION)

    assert winners(stranger, claim("q0.1", 2, Outcome.REFUSED, DEFEAT), rows=(row(key="key-s"),)) == ["0"]


def test_a_refused_stranger_with_the_winning_delivery_key_is_not_marked() -> None:
    stranger = claim("q0.1", 0, Outcome.REFUSED, Reported(Reason.UNKNOWN_OR_EXPIRED), wrong=Wrong.ORGANIZATION)

    assert winners(claim("q0.0", 0), stranger, rows=(row(),)) == ["0"]


def test_a_long_story_is_cut() -> None:
    happened = history(*(claim(f"q0.{each}", each) for each in range(MOST_LINES + 5)))

    assert len(smallest_story(happened, broken("q0"))) == MOST_LINES
