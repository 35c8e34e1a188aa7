"""What tests ask of the result of a race of few clicks."""

from __future__ import annotations

from pendingctl.race.verdict.report import RaceResult

NOT_CONTENDED = "no question was contended"


def assert_nothing_is_wrong(result: RaceResult) -> None:
    """Nothing was broken, and nothing failed; whether two of few clicks meet is luck, above all on a busy machine."""
    assert result.violations == (), result.violations
    reasons = [reason for reason in result.reasons if not reason.startswith(NOT_CONTENDED)]
    assert reasons == [], reasons
