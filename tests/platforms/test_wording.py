"""Sentences in parts: what is left out, what a platform renders, and which words may replace the English ones."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest

from pendingctl import Sentence, Wording
from pendingctl.errors import InvalidInput
from pendingctl.platforms import ENGLISH

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANSWERED = "Answered[ by {by}][: {value}][ ({at})]"


@pytest.mark.parametrize(
    ("sentence", "text"),
    [
        (Sentence(words=ANSWERED), "Answered"),
        (Sentence(words=ANSWERED, by="U1"), "Answered by U1"),
        (Sentence(words=ANSWERED, value=""), "Answered: "),
        (Sentence(words=ANSWERED, at=NOON), "Answered (2026-01-01 12:00 UTC)"),
        (Sentence(words=ANSWERED, by="U1", value="yes", at=NOON), "Answered by U1: yes (2026-01-01 12:00 UTC)"),
        (Sentence(words="[{by} said {value}, ]at {at}", by="U1", at=NOON), "at 2026-01-01 12:00 UTC"),
        (Sentence(words="Not one of[: {options}]."), "Not one of."),
        (Sentence(words="Not one of[: {options}].", options=("yes", "no")), "Not one of: yes, no."),
        (Sentence(words="Answered by {by}."), "Answered by ."),
    ],
)
def test_what_is_missing_is_left_out_with_its_brackets(sentence: Sentence, text: str) -> None:
    assert sentence.text() == text


def test_a_time_is_said_in_utc_to_the_minute() -> None:
    at = datetime(2026, 1, 1, 1, 30, 59, tzinfo=timezone(timedelta(hours=2)))

    assert Sentence(words="{at}", at=at).text() == "2025-12-31 23:30 UTC"


def test_values_are_never_read_as_words() -> None:
    assert Sentence(words="{value}, {by}", value="{by}[{at}]", by="[U1]").text() == "{by}[{at}], [U1]"


def test_a_platform_renders_each_part_by_its_kind() -> None:
    sentence = Sentence(
        words="<{to}>[ & {by}]: {value}, {question} ({options}) {at}",
        by="U1",
        to="U2",
        value="<no>",
        at=NOON,
        question="<Deploy?>",
        options=("<yes>", "<no>"),
    )

    text = sentence.text(
        person=lambda id: f"<@{id}>",
        plain=lambda words: words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        time=lambda at: f"<!date^{at.timestamp():.0f}>",
    )

    assert text == (
        "&lt;<@U2>&gt; &amp; <@U1>: &lt;no&gt;, &lt;Deploy?&gt; (&lt;yes&gt;, &lt;no&gt;) <!date^1767268800>"
    )


def test_reminders_address_a_person_and_name_the_question() -> None:
    reminder = Sentence(words=ENGLISH.reminder, to="U1", at=NOON, question="Deploy?")
    escalation = Sentence(words=ENGLISH.escalation, to="U2", by="U1", at=NOON, question="Deploy?")

    assert reminder.text() == "U1, this question waits for your answer until 2026-01-01 12:00 UTC: Deploy?"
    assert escalation.text() == "U2, U1 has not answered; please answer instead by 2026-01-01 12:00 UTC: Deploy?"
    assert Sentence(words=ENGLISH.reminder, to="U1").text() == "U1, this question waits for your answer"


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ("", "it is empty"),
        (" ", "it is empty"),
        ("Beantwortet[ von {by}", "a square bracket is unbalanced, or within another"),
        ("Beantwortet von {by}]", "a square bracket is unbalanced, or within another"),
        ("Beantwortet[ von {by}[: {value}]]", "a square bracket is unbalanced, or within another"),
        ("Beantwortet[ von {by]", "a brace belongs to no field"),
        ("Beantwortet[ von {by }]", "a brace belongs to no field"),
        ("Beantwortet[ von {}]", "a brace belongs to no field"),
        ("Beantwortet[ von {{by}}]", "a brace belongs to no field"),
        ("Beantwortet[ von {wem}]", "there is no field 'wem'"),
        ("Beantwortet[: {options}]", "it has no field 'options', only these: by, operator, value, at"),
        ("Beantwortet von {by}", "'by' may be missing, so put it into square brackets"),
        ("Beantwortet[ von ihr]", "square brackets without a field"),
    ],
)
def test_words_that_would_fail_later_are_refused(template: str, complaint: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Wording(card_answered=template)

    assert str(refused.value).startswith(f"the wording of card_answered cannot be used: {complaint}")


@pytest.mark.parametrize("name", [field.name for field in fields(Wording)])
def test_every_sentence_is_checked(name: str) -> None:
    with pytest.raises(InvalidInput, match=f"the wording of {name} cannot be used"):
        Wording(**{name: "["})


def test_a_translation_may_order_the_parts_anew_and_leave_some_out() -> None:
    german = Wording(card_answered="[{value} ]geantwortet[, {at}]")

    assert Sentence(words=german.card_answered, by="U1", value="ja").text() == "ja geantwortet"
