"""Every law of README.md has tests that prove it: those marked with its number."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
README = (TESTS.parent / "README.md").read_text(encoding="utf-8")
KEPT = README.split("## How the laws are kept")[1].split("\n## ")[0]
LAWS = {int(number): name for number, name in re.findall(r"^(\d+)\. \*\*(.+?)\.?\*\*", KEPT, re.MULTILINE)}


@cache
def marked_laws() -> list[tuple[int, str]]:
    """Each mark `law` of a test function: its number and the test. A test that is expected to fail proves nothing."""
    found = []
    for file in sorted(TESTS.rglob("test_*.py")):
        text = file.read_text(encoding="utf-8")
        # Few have one, and to parse all of them takes seconds.
        for node in ast.walk(ast.parse(text)) if "mark.law" in text else ():
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                marks = dict(_marks(node))
                if "xfail" not in marks and "skip" not in marks:
                    test = f"{file.relative_to(TESTS)}::{node.name}"
                    found += [(number, test) for number in marks.get("law", ())]
    return found


def _marks(test: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[tuple[str, list[int]]]:
    for decorator in test.decorator_list:
        match decorator:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="mark"), attr=name), args=arguments):
                values = [each.value for each in arguments if isinstance(each, ast.Constant)]
                yield name, [value for value in values if isinstance(value, int)]
            case ast.Attribute(value=ast.Attribute(attr="mark"), attr=name):
                yield name, []


def test_the_laws_are_numbered_without_a_gap() -> None:
    assert list(LAWS) == list(range(1, 20))


@pytest.mark.parametrize("number", LAWS, ids=LAWS.get)
def test_every_law_has_a_test(number: int) -> None:
    assert [test for law, test in marked_laws() if law == number], f"no test proves law {number}, {LAWS[number]}"


def test_every_marked_test_names_a_law_of_the_readme() -> None:
    assert [(law, test) for law, test in marked_laws() if law not in LAWS] == []
