"""A race's checks as a JUnit report, which CI systems show (github.com/testmoapp/junitxml describes the format)."""

from __future__ import annotations

from typing import Protocol
from xml.etree import ElementTree

from ...printable import printable
from .checker import CheckResult, Verdict

SUITE = "pendingctl simulate-race"


class Judged(Protocol):
    """A race's result, of whatever kind."""

    @property
    def checks(self) -> tuple[CheckResult, ...]:
        """What each check found."""
        ...

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it proves nothing."""
        ...

    @property
    def duration_seconds(self) -> float:
        """How long it took."""
        ...


def junit_report(result: Judged) -> bytes:
    """Return one test case per check, and one more that fails when the race proves nothing."""
    cases = [
        _case(check.name, check.verdict, [_said(each.question_id, each.detail) for each in check.violations])
        for check in result.checks
    ]
    cases.append(_case("not_vacuous", Verdict.FAIL if result.reasons else Verdict.PASS, list(result.reasons)))
    suite = ElementTree.Element(
        "testsuite",
        name=SUITE,
        tests=str(len(cases)),
        failures=str(sum(case.find("failure") is not None for case in cases)),
        skipped=str(sum(case.find("skipped") is not None for case in cases)),
        errors="0",
        time=str(result.duration_seconds),
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name in ("verdict", "seed", "implementation", "questions", "clicks", "again"):
        if hasattr(result, name):
            ElementTree.SubElement(properties, "property", name=name, value=str(getattr(result, name)))
    suite.extend(cases)
    suites = ElementTree.Element("testsuites")
    suites.append(suite)
    ElementTree.indent(suites)
    document: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return document + b"\n"


def _case(name: str, verdict: Verdict, said: list[str]) -> ElementTree.Element:
    case = ElementTree.Element("testcase", name=name, classname=SUITE, time="0")
    if verdict is Verdict.FAIL:
        failure = ElementTree.SubElement(case, "failure", message=printable(said[0]) if said else "")
        failure.text = "\n".join(map(printable, said))
    elif verdict is Verdict.SKIPPED:
        ElementTree.SubElement(case, "skipped", message="the plan held nothing for this check")
    return case


def _said(question_id: str | None, detail: str) -> str:
    return detail if question_id is None else f"{question_id}: {detail}"
