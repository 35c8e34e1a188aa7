"""What cards, reminders and replies are in Slack: blocks, and the text of their notification. Pure.

Where people's own words stand, nothing is markup: the question and the options as `plain_text`, and what is said below
them as rich text, whose parts Slack never parses. Every length stays below its limit, by a budget of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from slack_sdk.models.blocks import (
    ActionsBlock,
    ButtonElement,
    ConfirmObject,
    PlainTextObject,
    SectionBlock,
)

from ...errors import InvalidInput
from ...payload import JsonObject
from ..protocol import Card
from ..wording import Sentence, utc_minutes
from .references import conversation_of, person_of
from .text import cut, escaped, in_one_line, length, split, visible

# docs.slack.dev, "Section block", "Actions block", "Button element", "Confirmation dialog object": the limits of a
# section's text, of the elements of an actions block, of a button's text, and of a dialog's texts.
SECTION_TEXT = 3_000
MOST_OPTIONS = 25
BUTTON_TEXT = 75
CONFIRM_TITLE, CONFIRM_TEXT, CONFIRM_BUTTON = 100, 300, 30
# The blocks of a message have a limit together, `msg_blocks_too_long`, of which no page says how much it is: 9,597
# characters of text were taken, 11,341 were not (github.com/slackapi/bolt-js, issue 2867). The options have their share
# in a list, on buttons and in dialogs; what is said below has a few parts of SAID_TEXT each.
QUESTION_TEXT = 4_500
OPTIONS_TEXT = 4_000
SAID_TEXT = 300
# At an edit this text may have 4,000 characters (docs.slack.dev, "chat.update method").
NOTIFICATION_TEXT = 700
# Of a button's text about 30 characters are shown (docs.slack.dev, "Button element"): longer options stand above.
SHOWN_OF_A_BUTTON = 30

ACTION_ID = "pendingctl:"
# The date, with "today" and "yesterday" in words, in the reader's time zone and language (docs.slack.dev, "Formatting
# message text", section "Date formatting").
_DATE = "{date_short_pretty} {time}"
# Slack hands back `&`, `<` and `>` as entities (github.com/slackapi/bolt-python, issue 513), so a button carries none.
_SAFE_IN_JSON = str.maketrans({"&": "\\u0026", "<": "\\u003c", ">": "\\u003e"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirm:
    """The words of a dialog that asks once more before a press counts; between them stands the option."""

    title: str = "Is this your answer?"
    confirm: str = "Yes"
    deny: str = "No"

    def __post_init__(self) -> None:
        for words, most in ((self.title, CONFIRM_TITLE), (self.confirm, CONFIRM_BUTTON), (self.deny, CONFIRM_BUTTON)):
            if not words.strip() or length(words) > most:
                raise InvalidInput(f"the words {words[:120]!r} are empty or over {most} characters; change them")


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted: blocks, and a text for notifications and screen readers, which is not shown beside them."""

    text: str
    blocks: Sequence[JsonObject]


def check_card(card: Card, confirm: Confirm | None = None) -> None:
    """Raise InvalidInput for a card of which Slack would show less than its options, or nothing."""
    conversation_of(card.conversation_id, card.user_id)
    if len(card.options) > MOST_OPTIONS:
        raise InvalidInput(
            f"the question has {len(card.options)} options, and a card in Slack holds {MOST_OPTIONS}; ask with fewer"
        )
    listed = size = sum(map(len, card.options))
    if size <= OPTIONS_TEXT:
        listed = length(_list_of(card.options)) if _are_listed(card.options) else 0
        size = listed + sum(_length_of(button) for button in _buttons(card, confirm))
    remedy = "shorten them, and put what explains them into the question"
    if size > OPTIONS_TEXT:
        raise InvalidInput(
            f"the question's options have {size:,} characters with their buttons, and a card in Slack has room for "
            f"{OPTIONS_TEXT:,}; {remedy}"
        )
    if listed > SECTION_TEXT:
        raise InvalidInput(
            f"the question's options have {listed:,} characters in their list above the buttons, which has room for "
            f"{SECTION_TEXT:,}; {remedy}"
        )


def card_message(card: Card, confirm: Confirm | None = None) -> Message:
    """Return what a card is in Slack: it has buttons if it has options."""
    question = card.text if card.text.strip() else f"Question {card.question_id}"
    blocks: list[JsonObject] = [_section(part) for part in split(cut(question, QUESTION_TEXT), SECTION_TEXT)]
    if _are_listed(card.options):
        blocks.append(_section(_list_of(card.options)))
    if card.said is not None:
        blocks.append(_rich_text(card.said))
    if card.options:
        blocks.append(ActionsBlock(elements=list(_buttons(card, confirm))).to_dict())
    lines = [escaped(cut(question, NOTIFICATION_TEXT))]
    if card.options:
        lines.append(escaped(cut(" / ".join(card.options), NOTIFICATION_TEXT, in_line=True)))
    if card.said is not None:
        lines.append(_marked_up(card.said))
    return Message("\n".join(lines), blocks)


def said_message(said: Sentence) -> Message:
    """Return what a reminder, an escalation or the reply to a press is in Slack."""
    return Message(_marked_up(said), [_rich_text(said)])


def _marked_up(said: Sentence) -> str:
    """Return a sentence as text of Slack, with people mentioned and times in the reader's zone."""
    return said.text(person=_mention, plain=lambda words: escaped(_short(words)), time=_date)


def _section(text: str) -> JsonObject:
    # Without `expand` a reader may have to ask for the rest.
    section: JsonObject = SectionBlock(text=_plain(text), expand=True).to_dict()
    return section


def _plain(text: str) -> PlainTextObject:
    # Emoji in colons stay text, as they were written.
    return PlainTextObject(text=escaped(text), emoji=False)


def _are_listed(options: Sequence[str]) -> bool:
    """Whether the options stand in full above their buttons: a label is too short for one, or two would look alike."""
    labels = [in_one_line(option) for option in options]
    return (
        any(not label or length(label) > SHOWN_OF_A_BUTTON for label in labels)
        or any("\n" in visible(option) for option in options)
        or len(set(labels)) < len(labels)
    )


def _list_of(options: Sequence[str]) -> str:
    # Further lines of an option are set in, so that none looks like the next option.
    shown = (visible(option).replace("\n", "\n      ") for option in options)
    return "\n".join(f"{number}. {option}" for number, option in enumerate(shown, start=1))


def _buttons(card: Card, confirm: Confirm | None) -> Iterator[ButtonElement]:
    are_listed = _are_listed(card.options)
    for index, option in enumerate(card.options):
        label = f"{index + 1}. {option.strip()}" if are_listed else option
        yield ButtonElement(
            text=_plain(cut(label, BUTTON_TEXT, in_line=True)),
            action_id=f"{ACTION_ID}{index}",
            value=_value(card.question_id, card.ask_number, index),
            confirm=None if confirm is None else _dialog(confirm, option),
        )


def _length_of(button: ButtonElement) -> int:
    # Of what is escaped already.
    dialog = button.confirm.to_dict() if isinstance(button.confirm, ConfirmObject) else {}
    texts = [button.to_dict()["text"], *(text for text in dialog.values() if isinstance(text, dict))]
    return sum(len(text["text"].encode("utf-16-le")) // 2 for text in texts)


def _value(question_id: str, ask_number: int, index: int) -> str:
    """Return what a button carries: 255 characters of an id are at most 1,530 of the 2,000 that it may have."""
    carried = [question_id, ask_number, index]
    return json.dumps(carried, ensure_ascii=False, separators=(",", ":")).translate(_SAFE_IN_JSON)


def _dialog(confirm: Confirm, option: str) -> ConfirmObject:
    return ConfirmObject(
        title=_plain(confirm.title),
        text=_plain(cut(option, CONFIRM_TEXT, in_line=True) or "…"),
        confirm=_plain(confirm.confirm),
        deny=_plain(confirm.deny),
    )


def _rich_text(said: Sentence) -> JsonObject:
    # Each press has two of them written. By slack_sdk's models, which check nothing here, that is a tenth of what a
    # press costs a pod.
    parts = said.parts(person=_person_part, plain=_text_part, time=_time_part)
    section: JsonObject = {"type": "rich_text_section", "elements": [part for part in parts if part is not None]}
    return {"type": "rich_text", "elements": [section]}


def _text_part(words: str) -> JsonObject | None:
    return {"type": "text", "text": _short(words)} if words else None


def _person_part(user_id: str) -> JsonObject | None:
    person = person_of(user_id)
    return {"type": "user", "user_id": person} if person else _text_part(user_id)


def _time_part(at: datetime) -> JsonObject | None:
    return {"type": "date", "timestamp": int(at.timestamp()), "format": _DATE, "fallback": utc_minutes(at)}


def _mention(user_id: str) -> str:
    person = person_of(user_id)
    return f"<@{person}>" if person else escaped(_short(user_id))


def _date(at: datetime) -> str:
    return f"<!date^{int(at.timestamp())}^{_DATE}|{utc_minutes(at)}>"


def _short(words: str) -> str:
    """Return words without what is invisible, in one line, cut; spaces at their ends separate them from the rest."""
    inner = cut(words, SAID_TEXT, in_line=True)
    before = " " if words[:1].isspace() else ""
    after = " " if words[-1:].isspace() else ""
    return f"{before}{inner}{after}" if inner else words[:1]
