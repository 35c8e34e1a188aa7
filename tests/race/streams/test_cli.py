"""simulate-race --streams and check-history as commands."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.commands import run

RACE = ("simulate-race", "--streams", "--pods", "2", "--questions", "3", "--clicks", "4", "--seed", "1")


def test_a_broken_law_is_reported_and_found_again_in_the_history(dsn: str, tmp_path: Path) -> None:
    history, junit = str(tmp_path / "history"), tmp_path / "junit.xml"
    raced = run(*RACE, "--implementation", "retry-without-expected", "--dsn", dsn, "--history", history, "-o", "json")
    checked = run("check-history", history, "-o", "json", "--junit", str(junit))
    shown = run("check-history", history)

    assert (raced.exit_code, checked.exit_code, shown.exit_code) == (1, 1, 1)
    assert json.loads(raced.stdout) == json.loads(checked.stdout)
    assert "retry_appends_once" in {each["law"] for each in json.loads(raced.stdout)["violations"]}
    assert shown.stdout.splitlines()[-1] == "verdict: fail"
    for words in ("numbers_without_gaps", "retry_appends_once", "again: pendingctl simulate-race --streams --pods 2"):
        assert words in shown.stdout
    failed = {
        each.get("name") for each in ElementTree.parse(junit).iter("testcase") if each.find("failure") is not None
    }
    assert "retry_appends_once" in failed


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--duration", "3s"), "--streams takes neither"),
        (("--fault", "sweep"), "no fault 'sweep' of streams"),
        (("--implementation", "no-user"), "no implementation 'no-user' of streams"),
        (("--fault", "turn"), "leave --dsn out"),
        (("--fault", "kill", "--fault", "storm", "--fault", "stall"), "so many faults need 4"),
    ],
)
def test_what_cannot_be_raced_is_refused(dsn: str, options: tuple[str, ...], said: str) -> None:
    result = run(*RACE, *options, "--dsn", dsn)

    assert (result.exit_code, result.stdout) == (2, "")
    assert said in result.stderr
