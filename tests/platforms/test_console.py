"""Cards on a terminal: readable at 80 columns, without colour, and never read as markup."""

from __future__ import annotations

import io

from rich.console import Console

from pendingctl import Card
from pendingctl.platforms.console import ConsolePlatform


async def test_cards_and_their_edits_are_printed_as_they_are() -> None:
    printed = io.StringIO()
    platform = ConsolePlatform(Console(file=printed, width=80, color_system=None))
    card = Card("q", 1, "C1", "[red]Deploy[/] " + "now " * 30, ("[bold]yes", "no\x1b[2J"))

    handle = await platform.post_card("slack", card)
    await platform.post_text("slack", "C2", "just [text]")
    await platform.edit_card("slack", handle, "Answered: [yes]")

    text = printed.getvalue()
    for expected in (
        "message 1 on slack C1",
        "[red]Deploy[/]",
        "[ [bold]yes ]  [ no\\x1b[2J ]",
        "just [text]",
        "[yes]",
    ):
        assert expected in text
    assert "message 1 on slack, edited" in text
    assert max(map(len, text.splitlines())) <= 80
