"""Cards on a terminal: readable at 80 columns, without colour, and never read as markup."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from pendingctl import Card, Reminder, Sentence, Shows, Wording
from pendingctl.platforms.console import ConsolePlatform

CARD = Card("q", 1, "C1", "[red]Deploy[/] " + "now " * 30, ("[bold]yes", "no\x1b[2J"))
BUTTONS = "[ [bold]yes ]  [ no\\x1b[2J ]"


@pytest.fixture
def printed() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def platform(printed: io.StringIO) -> ConsolePlatform:
    return ConsolePlatform(Console(file=printed, width=80, color_system=None))


async def test_cards_and_their_edits_are_printed_as_they_are(platform: ConsolePlatform, printed: io.StringIO) -> None:
    handle = await platform.post_card("slack", CARD)
    said = Sentence(words=Wording().card_answered, value="[yes]\x1b[2J")
    await platform.edit_card("slack", handle, replace(CARD, options=(), shows=Shows.ANSWERED, said=said))

    text = printed.getvalue()
    for expected in (
        "message 1 on slack C1",
        "[red]Deploy[/]",
        BUTTONS,
        "message 1 on slack, edited",
        "Answered: [yes]\\x1b[2J",
    ):
        assert expected in text
    assert text.count(BUTTONS) == 1
    assert max(map(len, text.splitlines())) <= 80


async def test_an_edited_card_that_can_still_be_answered_has_its_buttons(
    platform: ConsolePlatform, printed: io.StringIO
) -> None:
    said = Sentence(words=Wording().card_stale)
    await platform.edit_card("slack", 7, replace(CARD, shows=Shows.STALE, said=said))

    assert "Nobody has answered yet" in printed.getvalue()
    assert BUTTONS in printed.getvalue()


async def test_a_reminder_names_the_message_that_it_belongs_to(platform: ConsolePlatform, printed: io.StringIO) -> None:
    said = Sentence(words=Wording().reminder, to="U1", question="[red]Deploy?")
    reminder = Reminder(
        question_id="q", ask_number=1, conversation_id="C1", said=said, user_id="U1", is_escalation=False
    )

    await platform.post_reminder("slack", 7, reminder)

    assert "reminder of message 7 on slack" in printed.getvalue()
    assert "U1, this question waits for your answer: [red]Deploy?" in printed.getvalue()
