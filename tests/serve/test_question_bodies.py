"""Bodies that are no question, or not one that everybody reads in the same way."""

from __future__ import annotations

import json

import httpx
import psycopg

from .applications import QUESTION, AssembledPod

JSON = {"Content-Type": "application/json"}
RIGHT = json.dumps({**QUESTION, "id": "q"}).encode()
SURROGATE = RIGHT.replace(b"Deploy?", b"\\ud800")

NO_QUESTIONS = (
    b"",
    b" ",
    b"null",
    b"[]",
    b"[" + RIGHT + b"]",
    b'"text"',
    b"17",
    b"{",
    RIGHT + RIGHT,
    RIGHT[:-1] + b',"text":"Delete?"}',
    RIGHT[:-1] + b',"options":[{"a":1,"a":2}]}',
    RIGHT[:-1] + b',"remind_at_most":NaN}',
    RIGHT[:-1] + b',"remind_at_most":Infinity}',
    RIGHT[:-1] + b',"remind_at_most":1e999}',
    RIGHT[:-1] + b',"remind_at_most":' + b"9" * 5_000 + b"}",
    RIGHT[:-1] + b',"more":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    RIGHT.replace(b'["yes", "no"]', b"[" * 2_000 + b"]" * 2_000),
    b"[" * 500_000,
    b'{"a":' * 100_000,
    RIGHT.replace(b"Deploy?", b"\\ud800"),
    RIGHT.replace(b'"q"', b'"\\udfff"'),
    RIGHT.replace(b'"yes"', b'"\\ud83d"'),
    RIGHT.replace(b'"U1"', b'"\\ud83d"'),
    RIGHT.replace(b'"C2"', b'"C\\ud83d"'),
    RIGHT.replace(b'"id"', b'"\\ud800"'),
    RIGHT.replace(b"Deploy?", b"\xed\xa0\x80"),
    RIGHT.replace(b"Deploy?", b"\xff"),
    RIGHT.replace(b"Deploy?", b"\xc0\xaf"),
    RIGHT.replace(b"Deploy?", b"\\u0000"),
    RIGHT.replace(b"Deploy?", b"\0"),
    RIGHT.replace(b"Deploy?", b"\n"),
    RIGHT.replace(b'"q"', b'"a\\u0000b"'),
    RIGHT.replace(b'"yes"', b'"\\u0000"'),
    b"\xef\xbb\xbf" + RIGHT,
    RIGHT.decode().encode("utf-16"),
    RIGHT.decode().encode("utf-16-le"),
    RIGHT.decode().encode("utf-32"),
    RIGHT.replace(b'"Deploy?"', b'["Deploy?"]'),
    RIGHT.replace(b'"Deploy?"', b"17"),
    RIGHT.replace(b'"Deploy?"', b"null"),
    RIGHT.replace(b'"Deploy?"', b"{}"),
    RIGHT.replace(b'"q"', b"1"),
    RIGHT.replace(b'"q"', b"true"),
    RIGHT.replace(b'["yes", "no"]', b'"yes"'),
    RIGHT.replace(b'["yes", "no"]', b'""'),
    RIGHT.replace(b'["yes", "no"]', b"{}"),
    RIGHT.replace(b'["yes", "no"]', b"0"),
    RIGHT.replace(b'["yes", "no"]', b"false"),
    RIGHT.replace(b'["yes", "no"]', b'["yes", 1]'),
    RIGHT.replace(b'["yes", "no"]', b'["yes", null]'),
    RIGHT.replace(b'["yes", "no"]', b"[]"),
    RIGHT.replace(b'["yes", "no"]', b"null"),
    RIGHT.replace(b', "options": ["yes", "no"]', b""),
    RIGHT.replace(b"Deploy?", b"x" * (1 << 20))[: 1 << 20],
    RIGHT.replace(b"Deploy?", b"x" * (1_000 * 1_000)),
    RIGHT.replace(b'"yes"', b'"' + b"x" * 1_000_000 + b'"'),
    RIGHT.replace(b'"C2"', b'"' + b"x" * 1_000_000 + b'"'),
    RIGHT.replace(b'"U1"', b'"' + b"x" * 1_000_000 + b'"'),
    RIGHT.replace(b'"q"', b'"' + b"x" * 1_000_000 + b'"'),
    RIGHT.replace(b'"C2"', b'"channel"'),
    RIGHT.replace(b'"C2"', b'"C2:now"'),
)


async def _asked(pod: AssembledPod, body: bytes) -> httpx.Response:
    return await pod.internal.post("/questions", content=body, headers=JSON)


async def test_what_is_no_question_is_refused_in_few_words_and_stored_nowhere(
    pod: AssembledPod, connection: psycopg.Connection
) -> None:
    for body in NO_QUESTIONS:
        refused = await _asked(pod, body)

        assert refused.status_code == 400, body[:200]
        assert refused.headers["Content-Type"] == "application/problem+json"
        assert len(refused.json()["detail"]) < 1_000
    assert connection.execute("select count(*) from pending_interactions").fetchone() == (0,)


async def test_what_is_null_is_left_out(pod: AssembledPod) -> None:
    body = json.dumps({**QUESTION, "id": "q", "default": None, "expires_in": None, "application": None}).encode()

    assert (await _asked(pod, body)).status_code == 201
    assert (await pod.internal.get("/questions/q")).json()["expires_at"] is None


async def test_text_of_all_of_unicode_comes_back_as_it_was(pod: AssembledPod) -> None:
    text = "ä€😀 e\u0301 \u202e \x7f \\u0000 <!channel> &amp; \n \"quoted\" 'text'"

    asked = await pod.ask("q", text=text, options=["✅ \u200b", "<@U1>"])

    read = (await pod.internal.get("/questions/q")).json()
    assert asked.status_code == 201
    assert (read["text"], read["options"]) == (text, ["✅ \u200b", "<@U1>"])
