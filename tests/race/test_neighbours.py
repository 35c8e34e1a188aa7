"""What a race holds beside its counted questions, as its history shows it."""

from __future__ import annotations

from pathlib import Path

from pendingctl.race.history.files import read_history
from pendingctl.race.history.history import DECIDED, Reason
from pendingctl.race.plan.operations import OperationKind
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.run import simulate_race


async def test_a_race_has_other_applications_a_poisoned_row_cards_and_askers(dsn: str, tmp_path: Path) -> None:
    await simulate_race(dsn, RaceSettings(pods=3, questions=5, clicks=6, seed=1), history=tmp_path / "history")

    _, history, _ = read_history(tmp_path / "history")
    others = {each.id for each in history.questions if each.is_of_another_application}
    on_others = [each for each in history.operations if each.planned.question_id in others]
    decided = [each for each in on_others if each.outcome in DECIDED]
    assert {(each.reported.reason, each.reply) for each in decided} == {(Reason.OTHER_APPLICATION, "cannot_serve")}
    assert {each.planned.question_id for each in decided} == others
    assert {row.claimed_at is None for row in history.rows if row.id in others} == {True, False}
    (poisoned,) = [each.id for each in history.questions if each.is_poisoned]
    assert {row.id for row in history.rows if row.is_stuck} == {poisoned}
    assert [bool(row.error) for row in history.rows if row.id == poisoned] == [True]
    assert {each.card for each in history.card_posts} == {each.card for each in history.card_edits}
    words = " ".join(each.text for each in history.card_edits)
    assert all(said in words for said in ("Answered by", "Withdrawn", "This question has changed"))
    asked = {each.planned.question_id for each in history.operations if each.kind is OperationKind.ASK}
    assert len(asked) == 4
    assert asked <= {row.id for row in history.rows}
