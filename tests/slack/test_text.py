"""Other people's text in Slack: all of it seen, none of it read as markup, and never too long."""

from __future__ import annotations

import html
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendingctl.platforms.slack import text as module
from pendingctl.platforms.slack.text import cut, escaped, in_one_line, length, split, visible

# What people hide things with, beside whatever Hypothesis finds.
TRICKS = [
    "<!channel>",
    "<@U1>",
    "&lt;",
    "<http://a|b>",
    ":skull:",
    "\u202e",
    "\u200b",
    "\u2066",
    "👨‍👩‍👧",
    "\t",
    "\r\n",
    "\n\n",
]
TEXTS = st.lists(st.text(max_size=20) | st.sampled_from(TRICKS), max_size=40).map("".join)
LONG_TEXTS = st.builds(lambda text, times: text * times, TEXTS, st.integers(1, 60))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Deploy?\n  now", "Deploy?\n  now"),
        ("pay\u202e001$", "pay\\u202e001$"),
        ("yes\u200b", "yes\\u200b"),
        ("y\u2060es\ufeff", "y\\u2060es\\ufeff"),
        ("a\u034fb\u3164\u2800c", "a\\u034fb\\u3164\\u2800c"),
        ("\x1b[2J\x00", "\\x1b[2J\\x00"),
        ("a\u2028b", "a\\u2028b"),
        ("tag\U000e0041", "tag\\U000e0041"),
        ("non\xa0breaking\u3000wide", "non breaking wide"),
        ("one\ttwo", "one    two"),
        ("one\r\ntwo\rthree", "one\ntwo\\rthree"),
        ("👨\u200d👩\u200d👧 ❤️", "👨\u200d👩\u200d👧 ❤️"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("p\u200dassword", "p\\u200dassword"),
        ("yes\ufe0f", "yes\\ufe0f"),
        ("y\ufe00e\u180bs\U000e0100", "y\\ufe00e\\u180bs\\U000e0100"),
        ("да\ufe0f", "да\\ufe0f"),
        ("\ufe0fyes", "\\ufe0fyes"),
        ("❤\ufe0f\ufe0f", "❤\ufe0f\\ufe0f"),
        ("1\ufe0f\u20e3 ‼\ufe0f ℹ\ufe0f 🏳\ufe0f\u200d🌈", "1\ufe0f\u20e3 ‼\ufe0f ℹ\ufe0f 🏳\ufe0f\u200d🌈"),
        ("葛\U000e0100 ᠠ\u180b ≨\ufe00", "葛\U000e0100 ᠠ\u180b ≨\ufe00"),
        ("  \n padded \n", "padded"),
    ],
)
def test_what_nobody_sees_is_shown(text: str, shown: str) -> None:
    assert visible(text) == shown


@given(TEXTS)
def test_nothing_is_left_that_steers_or_hides(text: str) -> None:
    shown = visible(text)

    for before, character in zip(" " + shown, shown, strict=False):
        hides = unicodedata.category(character) in {"Cc", "Cf", "Zl", "Zp"} and character != "\n"
        assert not hides or (character in "\u200c\u200d" and not before.isascii())
    assert "\n" not in in_one_line(text)


@given(TEXTS)
def test_escaped_text_reads_as_it_was(text: str) -> None:
    assert not set("<>") & set(escaped(text))
    assert html.unescape(escaped("<&lt;>")) == "<&lt;>"
    assert length(text) == len(escaped(text).encode("utf-16-le")) // 2


@given(LONG_TEXTS, st.integers(60, 400), st.booleans())
def test_a_cut_text_fits_and_keeps_its_beginning_and_its_end(text: str, most: int, in_line: bool) -> None:
    show = in_one_line if in_line else visible
    shown = cut(text, most, in_line=in_line)

    assert length(shown) <= most
    if len(text) <= 4 * most and length(show(text)) <= most:
        assert shown == show(text)
    else:
        beginning, _, end = shown.partition(" … " if in_line else "\n[… ")
        end = end if in_line else end.rpartition(" …]\n")[2]
        assert show(text[: 2 * most] if len(text) > 4 * most else text).startswith(beginning)
        assert show(text[-2 * most :] if len(text) > 4 * most else text).endswith(end)


def test_of_a_long_text_of_nothing_but_invisible_characters_no_more_is_looked_at_than_can_be_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked_at: list[str] = []

    def show(text: str) -> str:
        looked_at.append(text)
        return visible(text)

    monkeypatch.setattr(module, "visible", show)

    shown = cut("\u202e" * 80_000, 3_000)

    assert sum(map(len, looked_at)) <= 4 * 3_000
    assert shown.startswith("\\u202e\\u202e")
    assert "characters are left out here" in shown


def test_a_cut_text_says_how_much_is_left_out() -> None:
    shown = cut("a" * 5_000 + "b" * 5_000, 200)

    head, said, tail = shown.split("\n")
    assert (set(head), set(tail)) == ({"a"}, {"b"})
    assert said == f"[… {10_000 - len(head) - len(tail):,} characters are left out here …]"


@given(LONG_TEXTS, st.integers(20, 300))
def test_a_split_text_is_all_there(text: str, most: int) -> None:
    parts = split(text, most)

    assert all(0 < length(part) <= most and part.strip() for part in parts)
    assert "".join("".join(parts).split()) == "".join(text.split())


def test_a_text_is_split_between_lines_before_words() -> None:
    assert split("one two\nthree four", 12) == ["one two", "three four"]
    assert split("one two three", 8) == ["one two ", "three"]
    assert split("onetwothree", 8) == ["onetwoth", "ree"]
