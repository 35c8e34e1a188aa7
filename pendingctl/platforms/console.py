"""A chat platform for a terminal: cards are printed."""

from __future__ import annotations

from itertools import count

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from ..printable import printable, printable_lines
from .protocol import Card, MessageHandle, Reminder


class ConsolePlatform:
    """Prints cards, edited ones and reminders; what they say is neither read as markup nor obeyed."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._numbers = count(1)

    async def post_card(self, connection_id: str, card: Card) -> MessageHandle:
        """Print the question with its buttons; the handle is the message's number."""
        number = next(self._numbers)
        place = f"{connection_id} {card.conversation_id}".strip()
        self._print(f"message {number} on {place}", _text(card))
        return number

    async def edit_card(self, connection_id: str, handle: MessageHandle, card: Card) -> None:
        """Print what the message shows from now on, under its number."""
        self._print(f"message {handle} on {connection_id}, edited", _text(card))

    async def post_reminder(self, connection_id: str, handle: MessageHandle, reminder: Reminder) -> None:
        """Print the reminder under the number of the card's message."""
        self._print(f"reminder of message {handle} on {connection_id}", Text(printable_lines(reminder.said.text())))

    def _print(self, title: str, text: Text) -> None:
        self._console.print(Panel(text, title=Text(printable(title)), title_align="left", expand=False, padding=(0, 1)))


def _text(card: Card) -> Text:
    said = card.said.text() if card.said else ""
    text = Text(printable_lines(f"{card.text}\n{said}".strip()))
    if card.options:
        text.append("\n\n")
        text.append("  ".join(f"[ {printable(option)} ]" for option in card.options), style="bold")
    return text
