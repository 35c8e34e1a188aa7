"""simulate-race --streams and check-history as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.commands import run

RACE = ("simulate-race", "--streams", "--pods", "2", "--questions", "3", "--clicks", "4", "--seed", "1")


def test_a_race_prints_its_checks_and_its_verdict(dsn: str) -> None:
    result = run(*RACE, "--dsn", dsn, "--fault", "cut-listen")

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "verdict: pass"
    for words in ("numbers_without_gaps", "all_arrives", "cut-listen", "again: pendingctl simulate-race --streams"):
        assert words in result.stdout


def test_a_broken_law_is_reported_and_found_again_in_the_history(dsn: str, tmp_path: Path) -> None:
    history = str(tmp_path / "history")
    raced = run(*RACE, "--implementation", "retry-without-expected", "--dsn", dsn, "--history", history, "-o", "json")
    checked = run("check-history", history, "-o", "json")

    assert (raced.exit_code, checked.exit_code) == (1, 1)
    assert json.loads(raced.stdout) == json.loads(checked.stdout)
    assert "retry_appends_once" in {each["law"] for each in json.loads(raced.stdout)["violations"]}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--duration", "3s"), "--streams takes neither"),
        (("--fault", "sweep"), "no fault 'sweep' of streams"),
        (("--implementation", "no-user"), "no implementation 'no-user' of streams"),
        (("--fault", "turn"), "leave --dsn out"),
    ],
)
def test_what_cannot_be_raced_is_refused(dsn: str, options: tuple[str, ...], said: str) -> None:
    result = run(*RACE, *options, "--dsn", dsn)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
