"""Cards as blocks: whatever a question says, Slack takes it, and the reader sees what is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from slack_sdk.models.blocks import Block

from pendingctl import Card, Sentence, Shows, Wording
from pendingctl.demo.block_rules import MOST_TEXT, complaints, text_length
from pendingctl.errors import InvalidInput
from pendingctl.payload import MAX_ID_BYTES
from pendingctl.platforms.slack import Confirm
from pendingctl.platforms.slack.blocks import Message, card_message, check_card, said_message

from .test_text import LONG_TEXTS, TEXTS

CARD = Card("q", 2**31 - 1, "C1", "Deploy?", ("yes", "no"), user_id="U1", organization_id="acme")
IDS = st.text(min_size=1, max_size=255).filter(lambda id: "\0" not in id and len(id.encode()) <= MAX_ID_BYTES)
TIMES = st.integers(0, 253_402_300_799).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
TEMPLATES = [Wording().card_answered, Wording().reminder, Wording().card_stale, "<!here> [{value}][ {by}]"]
SAID = st.builds(
    Sentence,
    words=st.sampled_from(TEMPLATES),
    by=st.none() | IDS | st.sampled_from(["U1", "T1:U2"]),
    to=st.none() | IDS,
    value=st.none() | LONG_TEXTS,
    question=st.none() | LONG_TEXTS,
    at=st.none() | TIMES,
)
CARDS = st.builds(
    Card,
    question_id=IDS,
    ask_number=st.integers(1, 2**31 - 1),
    conversation_id=st.just("C1"),
    text=LONG_TEXTS,
    options=st.lists(TEXTS | st.text(max_size=5), max_size=25).map(tuple),
    said=st.none() | SAID,
)


def shown(message: Message) -> list[Any]:
    return [dict(block) for block in message.blocks]


def texts(message: Message) -> list[str]:
    """What stands in the sections, one after the other."""
    return [block["text"]["text"] for block in shown(message) if block["type"] == "section"]


def labels(message: Message) -> list[str]:
    return [
        button["text"]["text"] for block in shown(message) if block["type"] == "actions" for button in block["elements"]
    ]


def assert_taken(message: Message) -> None:
    blocks = shown(message)
    assert complaints(blocks) == []
    assert text_length(blocks) <= MOST_TEXT
    assert 0 < len(message.text.encode("utf-16-le")) // 2 <= 4_000


@given(CARDS, st.none() | st.just(Confirm()))
def test_slack_takes_every_card_that_is_not_refused(card: Card, confirm: Confirm | None) -> None:
    try:
        check_card(card, confirm)
    except InvalidInput:
        assume(False)
    message = card_message(card, confirm)

    assert_taken(message)
    assert len(labels(message)) == len(card.options)
    assert not any(set("<>") & set(text) for text in (*texts(message), *labels(message)))


@given(SAID)
def test_slack_takes_every_sentence(said: Sentence) -> None:
    assert_taken(said_message(said))


@given(SAID)
def test_slack_sdk_reads_every_sentence_whole(said: Sentence) -> None:
    (written,) = shown(said_message(said))
    read = Block.parse(written)

    assert read is not None
    assert read.to_dict() == written


def test_the_largest_card_is_taken() -> None:
    said = Sentence(words=Wording().card_answered, by="&" * 255, value="<" * 9_000, at=datetime(2026, 1, 1, tzinfo=UTC))
    options = tuple(f"{number} {'o' * 72}" for number in range(10, 35))
    card = replace(CARD, question_id="<" * 255, text="<&>" * 80_000, options=options, said=said)
    check_card(card)

    assert_taken(card_message(card))
    with pytest.raises(InvalidInput, match=r"options have 6,\d+ characters with their buttons"):
        check_card(card, Confirm())


@pytest.mark.parametrize(
    ("characters", "said"),
    [
        (2_998, "3,001 characters in their list above the buttons, which has room for 3,000;"),
        (3_950, "characters with their buttons, and a card in Slack has room for 4,000;"),
    ],
)
def test_options_that_are_too_long_are_refused_by_the_limit_that_they_are_over(characters: int, said: str) -> None:
    check_card(replace(CARD, options=("o" * 2_997,)))

    with pytest.raises(InvalidInput, match=said):
        check_card(replace(CARD, options=("o" * characters,)))


def test_the_end_of_a_long_question_is_shown() -> None:
    text = "harmless " * 3_000 + "\nand delete the backups"

    first, second = texts(card_message(replace(CARD, text=text)))

    assert first.startswith("harmless harmless")
    assert second.endswith("and delete the backups")
    assert "characters are left out here" in first + second


def test_a_question_behind_blank_lines_is_shown() -> None:
    (shown_text,) = texts(card_message(replace(CARD, text="\n" * 100_000 + "Delete the backups?")))

    assert shown_text.endswith("Delete the backups?")


def test_short_options_are_their_buttons() -> None:
    message = card_message(CARD)

    assert (texts(message), labels(message)) == (["Deploy?"], ["yes", "no"])


@pytest.mark.parametrize(
    ("options", "listed", "buttons"),
    [
        (
            ("roll back to the release of yesterday", "no"),
            "1. roll back to the release of yesterday\n2. no",
            ["1. roll back to the release of yesterday", "2. no"],
        ),
        (("yes", "yes\u200b"), None, ["yes", "yes\\u200b"]),
        (("yes", " yes"), "1. yes\n2. yes", ["1. yes", "2. yes"]),
        (("yes", ""), "1. yes\n2. ", ["1. yes", "2."]),
        (("yes\n2. no", "no"), "1. yes\n      2. no\n2. no", ["1. yes 2. no", "2. no"]),
        (("x" * 100, "x" * 99 + "y"), f"1. {'x' * 100}\n2. {'x' * 99}y", None),
    ],
)
def test_options_that_a_button_cannot_show_are_listed(
    options: tuple[str, ...], listed: str | None, buttons: list[str] | None
) -> None:
    message = card_message(replace(CARD, options=options))

    assert texts(message)[1:] == ([] if listed is None else [listed])
    if buttons is None:
        assert [label[:3] for label in labels(message)] == ["1. ", "2. "]
        assert all(" … " in label for label in labels(message))
    else:
        assert labels(message) == buttons


def test_emoji_and_markup_stay_text() -> None:
    text = "*bold* _it_ ~s~ `code` :skull: > quote <!channel> <@U1> <http://evil|good> & &amp;"
    message = card_message(replace(CARD, text=text))

    (block, _) = shown(message)
    assert block["text"]["type"] == "plain_text"
    assert block["text"]["emoji"] is False
    assert block["text"]["text"] == text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert message.text.startswith(block["text"]["text"])


def test_a_question_without_text_or_options_is_shown_by_its_id() -> None:
    message = card_message(replace(CARD, text=" \n", options=()))

    assert (texts(message), labels(message)) == (["Question q"], [])


def test_words_of_an_application_are_no_markup_either() -> None:
    said = Sentence(words="<!here> *{by}*", by="alice <@U9>")
    message = card_message(replace(CARD, options=(), shows=Shows.ANSWERED, said=said))

    assert message.text.endswith("&lt;!here&gt; *alice &lt;@U9&gt;*")
    parts = shown(message)[1]["elements"][0]["elements"]
    assert "".join(part["text"] for part in parts) == "<!here> *alice <@U9>*"
