"""A chat platform for a terminal: cards are printed."""

from __future__ import annotations

from itertools import count

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from ..printable import printable, printable_lines
from .protocol import Card, MessageHandle


class ConsolePlatform:
    """Prints cards, and a card's new text when it is edited; what they say is neither read as markup nor obeyed."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console()
        self._numbers = count(1)

    async def post_card(self, connection_id: str, card: Card) -> MessageHandle:
        """Print the question with its buttons; the handle is the message's number."""
        text = Text(printable_lines(card.text))
        if card.options:
            text.append("\n\n")
            text.append("  ".join(f"[ {printable(option)} ]" for option in card.options), style="bold")
        return self._show(connection_id, card.conversation_id, text)

    async def post_text(self, connection_id: str, conversation_id: str, text: str) -> MessageHandle:
        """Print plain text."""
        return self._show(connection_id, conversation_id, Text(printable_lines(text)))

    async def edit_card(self, connection_id: str, handle: MessageHandle, text: str) -> None:
        """Print the message's new text under its number."""
        self._print(f"message {handle} on {connection_id}, edited", Text(printable_lines(text)))

    def _show(self, connection_id: str, conversation_id: str, text: Text) -> int:
        number = next(self._numbers)
        place = f"{connection_id} {conversation_id}".strip()
        self._print(f"message {number} on {place}", text)
        return number

    def _print(self, title: str, text: Text) -> None:
        self._console.print(Panel(text, title=Text(printable(title)), title_align="left", expand=False, padding=(0, 1)))
