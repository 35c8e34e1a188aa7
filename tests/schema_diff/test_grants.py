"""Owners and grants that were read on two versions of Postgres."""

from __future__ import annotations

import pytest

from pendingctl.schema_diff import Difference
from pendingctl.schema_diff.normalization import classify

SEVEN = "delete, insert, references, select, trigger, truncate, update"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("(owner): all; a: all", f"(owner): all; a: {SEVEN}"),
        ("a: insert, select", "a: insert, maintain, select"),
        ("a: insert*, select", "a: insert*, maintain*, select"),
        ("(owner): all", "(owner): all; a: maintain"),
        (None, "a: maintain"),
        ('"a: all; b": all', f'"a: all; b": {SEVEN}'),
    ],
)
def test_a_right_that_older_versions_lack_is_not_comparable(ours: str | None, theirs: str) -> None:
    for expected, actual in ((ours, theirs), (theirs, ours)):
        found = Difference("table", "public.t", "grants", expected, actual, 1)
        assert classify([found], 15, 18)[0] == ()
        assert len(classify([found], 15, 18)[1]) == 1
        assert classify([found], 17, 18)[0] == (found,)
        assert classify([found], 15, 16)[0] == (found,)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("(owner): all; a: all", "(owner): all"),
        ("(owner): all; a: all", "(owner): all; b: all"),
        ("a: all", "a: insert, select"),
        ("a: insert, select", "a: insert*, maintain, select"),
        ("a: all", "a: all*"),
        (None, "a: select"),
    ],
)
def test_any_other_right_is_compared(ours: str | None, theirs: str) -> None:
    for expected, actual in ((ours, theirs), (theirs, ours)):
        found = Difference("table", "public.t", "grants", expected, actual, 1)
        assert classify([found], 15, 18) == ((found,), ())


@pytest.mark.parametrize("attribute", ["grants", "owner"])
def test_public_is_every_roles_until_14_and_not_comparable(attribute: str) -> None:
    found = Difference("schema", "public", attribute, "(owner): all; public: all", "(owner): all; public: usage", 1)

    assert classify([found], 14, 15)[0] == ()
    assert classify([found], 15, 18)[0] == (found,)
