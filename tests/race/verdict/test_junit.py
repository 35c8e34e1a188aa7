"""The report for CI systems."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendingctl.race.history.history import History
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.verdict.checker import CheckResult, Judgement, Verdict, Violation
from pendingctl.race.verdict.junit import SUITE, junit_report
from pendingctl.race.verdict.report import RaceResult, summarize

SETTINGS = RaceSettings(2, 4, 2, 9, implementation="no-user")
PASSED = CheckResult("scope", Verdict.PASS, ())
SKIPPED = CheckResult("sweep_was_bounded", Verdict.SKIPPED, ())


def failed(*details: str, question_id: str | None = "q0") -> CheckResult:
    violations = tuple(Violation("single_winner", question_id, detail) for detail in details)
    return CheckResult("single_winner", Verdict.FAIL, violations)


def result(*checks: CheckResult, reasons: tuple[str, ...] = ()) -> RaceResult:
    return summarize(SETTINGS, Judgement(checks, reasons, 1), History((), (), (), ()), 1.5)


def suite_of(raced: RaceResult) -> ElementTree.Element:
    """The one test suite of a report."""
    suites = ElementTree.fromstring(junit_report(raced))
    assert suites.tag == "testsuites"
    (suite,) = suites
    assert suite.tag == "testsuite"
    return suite


def cases_of(raced: RaceResult) -> dict[str | None, ElementTree.Element]:
    cases = suite_of(raced).findall("testcase")
    named = {case.get("name"): case for case in cases}
    assert len(named) == len(cases)
    return named


def only_failure(raced: RaceResult) -> ElementTree.Element:
    (failure,) = suite_of(raced).iter("failure")
    return failure


def test_there_is_a_test_case_for_each_check_and_one_for_whether_they_prove_anything() -> None:
    cases = cases_of(result(failed("two", "three"), PASSED, SKIPPED))

    assert list(cases) == ["single_winner", "scope", "sweep_was_bounded", "not_vacuous"]
    assert [[child.tag for child in case] for case in cases.values()] == [["failure"], [], ["skipped"], []]
    assert {case.get("classname") for case in cases.values()} == {SUITE}


def test_the_suite_counts_its_cases() -> None:
    suite = suite_of(result(failed("two", "three"), PASSED, SKIPPED, reasons=("one after the other",)))

    counted = {name: suite.get(name) for name in ("name", "tests", "failures", "skipped", "errors", "time")}
    assert counted == {"name": SUITE, "tests": "4", "failures": "2", "skipped": "1", "errors": "0", "time": "1.5"}


def test_a_failure_names_the_first_violation_and_holds_all() -> None:
    failure = only_failure(result(failed("two", "three")))

    assert failure.get("message") == "q0: two"
    assert failure.text == "q0: two\nq0: three"


def test_a_violation_of_the_run_names_no_question() -> None:
    assert only_failure(result(failed("left behind", question_id=None))).get("message") == "left behind"


def test_a_race_that_proves_nothing_fails_though_all_checks_pass() -> None:
    raced = result(PASSED, reasons=("no question was contended", "the fault kill never landed"))

    assert list(cases_of(raced)) == ["scope", "not_vacuous"]
    assert only_failure(raced).get("message") == "no question was contended"
    assert only_failure(raced).text == "no question was contended\nthe fault kill never landed"


def test_a_race_that_passes_has_no_failure() -> None:
    suite = suite_of(result(PASSED, SKIPPED))

    assert list(suite.iter("failure")) == []
    assert suite.get("failures") == "0"


def test_what_was_raced_stands_in_the_properties() -> None:
    (properties,) = suite_of(result(failed("two"))).findall("properties")

    assert {each.get("name"): each.get("value") for each in properties} == {
        "verdict": "fail",
        "seed": "9",
        "implementation": "no-user",
        "questions": "0",
        "clicks": "0",
        "again": "pendingctl simulate-race --pods 2 --questions 4 --clicks 2 --seed 9 --implementation no-user",
    }


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("\x00\x1b[31mred\x07", "\\x00\\x1b[31mred\\x07"),
        ("<b>&\"'</b> ]]>", "<b>&\"'</b> ]]>"),
        ("später ⏳", "später ⏳"),
        ("\ud800 \uffff", "\\ud800 \\uffff"),
    ],
    ids=["control characters", "markup", "other scripts", "what XML cannot hold"],
)
def test_no_text_of_the_race_breaks_the_xml(detail: str, shown: str) -> None:
    failure = only_failure(result(failed(detail)))

    assert failure.get("message") == f"q0: {shown}"
    assert failure.text == f"q0: {shown}"


@given(st.text(st.characters()))
def test_any_text_gives_xml_that_can_be_read(text: str) -> None:
    raced = result(failed(text, question_id=text), reasons=(text,))

    assert len(list(suite_of(raced).iter("failure"))) == 2


def test_the_report_declares_its_encoding() -> None:
    document = junit_report(result(failed("später")))

    assert document.startswith(b"<?xml version='1.0' encoding='utf-8'?>\n")
    assert "später".encode() in document


def test_a_test_case_has_no_other_time_than_the_suite() -> None:
    raced = replace(result(PASSED), duration_seconds=0.25)

    assert suite_of(raced).get("time") == "0.25"
    assert {case.get("time") for case in cases_of(raced).values()} == {"0"}
