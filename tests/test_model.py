"""Payloads, ids and texts: what the database cannot hold is refused before it gets there."""

from __future__ import annotations

import json

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendingctl.errors import InvalidInput
from pendingctl.model import Click, Question, Scope
from pendingctl.payload import (
    MAX_NESTING,
    JsonObject,
    JsonValue,
    check_id,
    conversation_of,
    encode_payload,
    question_payload,
    question_text,
)

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
JSON: st.SearchStrategy[JsonValue] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_any_other_json_object_is_kept_as_it_is(payload: JsonObject) -> None:
    assert json.loads(encode_payload(payload)) == payload


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({"a": "x\0y"}, "NUL"),
        ({"a\0": 1}, "NUL"),
        ({"a": [{"b": "\0"}]}, "NUL"),
        ({"a": "\ud800"}, "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        ({"a": float("nan")}, "JSON"),
        ({"a": [float("-inf")]}, "JSON"),
        ({"a": {1, 2}}, "JSON"),
        ([1, 2], "object"),
        ("text", "object"),
        ({"a": 10**5000}, "JSON"),
    ],
)
def test_what_jsonb_cannot_hold_is_refused(payload: JsonObject, reason: str) -> None:
    with pytest.raises(InvalidInput, match=reason):
        encode_payload(payload)


def test_a_payload_nested_without_end_is_refused() -> None:
    payload: dict[str, JsonValue] = {}
    inner = payload
    for _ in range(100_000):
        deeper: dict[str, JsonValue] = {}
        inner["a"] = deeper
        inner = deeper

    with pytest.raises(InvalidInput, match="deep"):
        encode_payload(payload)


@pytest.mark.parametrize("wide", [False, True])
def test_a_payload_is_nested_500_deep_at_most(wide: bool) -> None:
    deepest: JsonValue = {"brackets": ["[{" * 600, *([[]] * 600)]} if wide else {"a": [1]}
    for _ in range(MAX_NESTING - 3):
        deepest = [deepest]
    assert json.loads(encode_payload({"a": deepest}))
    with pytest.raises(InvalidInput, match="over 500 deep"):
        encode_payload({"a": [deepest, 1]} if not wide else {"a": [[deepest]]})


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    assert json.loads(encode_payload({"a": "\\u0000"})) == {"a": "\\u0000"}


def test_the_limit_counts_bytes_of_utf8() -> None:
    assert len(encode_payload({"a": "é" * 10}, max_bytes=28).encode()) == 28
    with pytest.raises(InvalidInput, match="28 bytes; at most 27"):
        encode_payload({"a": "é" * 10}, max_bytes=27)


def test_postgres_agrees_about_what_it_can_hold(connection: psycopg.Connection) -> None:
    deepest: JsonValue = []
    for _ in range(400):
        deepest = [deepest]
    for payload in ({"a": 10**4000}, {"a": "\ufffe\U0010ffff\x7f\x01"}, {"a": deepest}):
        row = connection.execute("select %s::jsonb", (encode_payload(payload),)).fetchone()
        assert row == (payload,)


def test_an_id_may_be_anything_short_that_postgres_can_hold() -> None:
    for id in ("a", "x" * 255, "ünï cödé", "a/b?c#d'\";--"):
        check_id(id, "id")
    for id in ("", "x" * 256, "a\0", "\udc80"):
        with pytest.raises(InvalidInput, match=r"^id "):
            check_id(id, "id")


@pytest.mark.parametrize("value", ["x" * 262_145, "é" * 131_073, "a\0", "\ud800"])
def test_an_answer_is_bounded_as_a_payload_is(value: str) -> None:
    with pytest.raises(InvalidInput, match="value"):
        Click(
            question_id="q",
            organization_id="acme",
            connection_id="slack",
            user_id="U1",
            delivery_key="key",
            value=value,
        )


def test_a_question_and_its_payload_say_the_same() -> None:
    question = Question("q", Scope("acme", "slack", "U1"), "Deploy?", ("yes", "no"), "C1")

    payload = question.payload()

    assert payload == {"question": {"text": "Deploy?", "options": ["yes", "no"], "conversation_id": "C1"}}
    assert (question_text(payload), conversation_of(payload)) == ("Deploy?", "C1")
    assert (question_text({"question": 1}), conversation_of({})) == (None, "")
    assert question_payload("a", [], {"text": "b"})["question"] == {"text": "a", "options": []}
