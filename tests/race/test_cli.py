"""simulate-race and check-history as commands: what they print, what they write, and their exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import psycopg
import pytest

from pendingctl.race.pods.controls import EXPECTED_CHECKS
from tests.commands import complaint, run
from tests.race.results import NOT_CONTENDED

RACE = ("simulate-race", "--pods", "2", "--questions", "5", "--clicks", "6", "--seed", "1")
# So many clicks of so many pods that some of them meet, also on a busy machine.
SURE = ("simulate-race", "--pods", "4", "--questions", "8", "--clicks", "8", "--seed", "1")
BROKEN = ("--implementation", "select-then-update")


def test_a_race_prints_its_checks_and_its_verdict(dsn: str) -> None:
    result = run(*SURE, "--dsn", dsn, "--fault", "disconnect")

    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "verdict: pass"
    for words in ("single_winner", "linearizable", "nothing_left_behind", "pod-2", "disconnect", "not how the clicks"):
        assert words in result.stdout
    assert result.stderr.startswith("note: racing on ")


def test_the_json_of_a_race(dsn: str) -> None:
    result = run(*SURE, "--dsn", dsn, "--fault", "terminate", "-o", "json")

    race = json.loads(result.stdout)
    assert race["verdict"] == "pass"
    assert {check["name"]: check["verdict"] for check in race["checks"]}["single_winner"] == "pass"
    assert all(check["violations"] == [] for check in race["checks"])
    assert race["faults"] == [{"kind": "terminate", "planned": 2, "landed": 2}]
    assert race["again"].endswith("--seed 1 --fault terminate")


def test_a_broken_law_prints_the_smallest_story_that_shows_it(dsn: str) -> None:
    # The presses on one question take turns in a pod: only two pods at once break the law, and not with each question.
    raced = ("simulate-race", "--pods", "4", "--questions", "30", "--clicks", "8", "--seed", "1")
    result = run(*raced, *BROKEN, "--dsn", dsn)

    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "verdict: fail"
    assert "violation: single_winner pendingctl-race-" in result.stdout
    assert "★" in result.stdout
    assert "again: pendingctl simulate-race --pods 4" in result.stdout
    # Both winners; how much else was done to the question depends on its kind and on how the pods interleave.
    assert result.stdout.count("→ ok") >= 2
    assert result.stdout.count(" → ") >= 3


@pytest.mark.parametrize("options", [(), BROKEN], ids=["pass", "fail"])
def test_a_history_is_checked_again_with_the_same_verdict(dsn: str, tmp_path: Path, options: tuple[str, ...]) -> None:
    raced = run(*RACE, *options, "--dsn", dsn, "--history", str(tmp_path / "history"), "-o", "json")

    checked = run("check-history", str(tmp_path / "history"), "-o", "json")

    assert checked.exit_code == raced.exit_code
    assert json.loads(checked.stdout) == json.loads(raced.stdout)


def test_a_history_that_was_tampered_with_fails(dsn: str, tmp_path: Path) -> None:
    run(*RACE, "--dsn", dsn, "--history", str(tmp_path / "history"))
    rows = tmp_path / "history" / "rows.jsonl"
    rows.write_text(
        re.sub(r'"delivery_key":"(?=pendingctl-race-\w+-q)', '"delivery_key":"another-', rows.read_text(), count=1)
    )

    checked = run("check-history", str(tmp_path / "history"))

    assert checked.exit_code == 1
    assert "violation: winner_is_real" in checked.stdout


@pytest.mark.parametrize("options", [(), BROKEN], ids=["pass", "fail"])
def test_a_junit_report_has_a_test_case_for_each_check(dsn: str, tmp_path: Path, options: tuple[str, ...]) -> None:
    result = run(*RACE, *options, "--dsn", dsn, "--junit", str(tmp_path / "race.xml"), "-o", "json")

    race = json.loads(result.stdout)
    checks = {check["name"]: check["verdict"] for check in race["checks"]}
    cases = {case.get("name"): case for case in ElementTree.parse(tmp_path / "race.xml").iter("testcase")}
    assert cases.keys() == {*checks, "not_vacuous"}
    failed = {name for name, verdict in checks.items() if verdict == "fail"}
    # On a busy machine a broken implementation may have left too little to compare.
    vacuous = {"not_vacuous"} if race["reasons"] else set()
    assert {name for name, case in cases.items() if case.find("failure") is not None} == failed | vacuous


def test_a_race_may_last_for_a_time_instead(dsn: str) -> None:
    result = run("simulate-race", "--pods", "2", "--duration", "2s", "--seed", "1", "--dsn", dsn, "-o", "json")

    race = json.loads(result.stdout)
    assert race["violations"] == []
    assert [reason for reason in race["reasons"] if not reason.startswith(NOT_CONTENDED)] == []
    assert race["questions"] >= 1
    assert 2 <= race["duration_seconds"] < 60
    assert "--duration 2s" in race["again"]


@pytest.mark.once
@pytest.mark.early
def test_a_self_test_passes_the_correct_store_and_catches_every_control(dsn: str) -> None:
    sizes = ("--pods", "3", "--questions", "14", "--clicks", "6", "--seeds", "1")
    missed = set(EXPECTED_CHECKS)

    # A race can go by without the moment that breaks a control; a second seed takes three minutes more, if it must.
    for seed in ("5", "6"):
        result = run("simulate-race", "--self-test", *sizes, "--seed", seed, "--dsn", dsn, "-o", "json")

        tested = json.loads(result.stdout)
        assert tested["correct"] == {"seeds": 1, "passed": 1, "said": []}
        assert {each["implementation"]: each["expected_check"] for each in tested["controls"]} == dict(EXPECTED_CHECKS)
        caught = {each["implementation"] for each in tested["controls"] if each["caught"]}
        assert (result.exit_code, tested["verdict"]) == (
            (0, "pass") if len(caught) == len(EXPECTED_CHECKS) else (1, "fail")
        )
        assert all(each["expected_check"] in each["caught_by"] for each in tested["controls"] if each["caught"])
        missed -= caught
        if not missed:
            return
    assert missed == set()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--fault", "flood"), "no fault 'flood'; there are: kill, pause,"),
        (("--fault", "restart"), "leave --dsn out"),
        (("--fault", "failover"), "leave --dsn out"),
        (("--implementation", "best"), "no implementation 'best'"),
        (("--duration", "3s"), "--questions and --duration exclude each other"),
        (("--self-test", "--fault", "kill"), "--self-test chooses what is raced"),
        (("--questions", "2", "--fault", "kill"), "strike 10 times"),
        (("--history", "/proc/self/status"), "cannot be used for the history"),
        (("--history", "/"), "is not empty"),
    ],
)
def test_what_cannot_be_raced_is_refused_before_anything_is_done(
    dsn: str, connection: psycopg.Connection, options: tuple[str, ...], words: str
) -> None:
    result = run(*RACE, "--dsn", dsn, *options)

    assert result.exit_code == 2
    assert words in result.stderr.splitlines()[-1]
    assert result.stdout == ""
    assert connection.execute("select count(*) from organization").fetchone() == (2,)


def test_a_folder_without_a_history_cannot_be_checked(tmp_path: Path) -> None:
    assert "is not the history of a race" in complaint(run("check-history", str(tmp_path)), 2)


def test_a_junit_file_that_cannot_be_written_is_an_error(dsn: str, tmp_path: Path) -> None:
    result = run(*RACE, "--dsn", dsn, "--junit", str(tmp_path / "missing" / "race.xml"))

    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
