"""What the bridge asks of a chat platform. An adapter knows one chat API and nothing of the bridge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias

# Whatever the platform gives back to find a posted message again; it means nothing to anybody else.
MessageHandle: TypeAlias = object


@dataclass(frozen=True, slots=True)
class Card:
    """A message with one button an option.

    A button must carry the question's id and ask number, so that its click can give them back.
    """

    question_id: str
    ask_number: int
    conversation_id: str
    text: str
    options: tuple[str, ...]


class NotPosted(Exception):
    """The message surely was not shown: the platform refused it, or it was never sent.

    An adapter raises this only when it is sure. After a time-out or a lost connection the message may be there:
    any other exception says so.
    """


class ChatPlatform(Protocol):
    """One chat platform's API, as far as questions need it."""

    async def post_card(self, connection_id: str, card: Card) -> MessageHandle:
        """Post a card with buttons and return its handle; raise NotPosted when it surely was not shown."""
        ...

    async def post_text(self, connection_id: str, conversation_id: str, text: str) -> MessageHandle:
        """Post plain text without buttons; raise NotPosted when it surely was not shown."""
        ...

    async def edit_card(self, connection_id: str, handle: MessageHandle, text: str) -> None:
        """Replace a card by text, its buttons gone."""
        ...
