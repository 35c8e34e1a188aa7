"""What a pod asks of a chat platform. An adapter knows one chat API and nothing of the pod.

What is to be shown comes in parts (who, what, when) beside their words, so that an adapter can mention people, write
times in the reader's zone and escape each part: see `Sentence.text`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Protocol, TypeAlias, runtime_checkable

from ..model import asking_key
from .wording import Sentence

# Whatever the platform gives back to find a posted message again; it means nothing to anybody else.
MessageHandle: TypeAlias = object


class Shows(StrEnum):
    """What a card shows of its question. Pending and stale ones can be answered, and have the options as buttons."""

    PENDING = "pending"
    STALE = "stale"
    ANSWERED = "answered"
    DEFAULTED = "defaulted"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Card:
    """A message that shows a question: its text, what is `said` below it, and one button an option.

    A button must carry the question's id and ask number, so that its click can give them back. `options` are empty
    once the question has none to offer; `user_id` is the user whose question it is. `conversation_id` is the one to
    post to, empty on a card that was replaced by another asking's. A connection's name is the organization's own, and
    `organization_id` says whose it is.
    """

    question_id: str
    ask_number: int
    conversation_id: str
    text: str
    options: tuple[str, ...]
    shows: Shows = Shows.PENDING
    user_id: str = ""
    said: Sentence | None = None
    organization_id: str = ""

    @property
    def key(self) -> str:
        """The same each time that this asking's card is posted, and for no other: `ID/ASK_NUMBER`, percent-encoded."""
        return asking_key(self.question_id, self.ask_number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reminder:
    """A message to `user_id`, that a question waits: for their answer, or by an escalation for another's.

    The card of the question stands in this conversation, and its buttons are the ones to press.
    """

    question_id: str
    ask_number: int
    conversation_id: str
    said: Sentence
    user_id: str
    is_escalation: bool
    organization_id: str = ""


class NotPosted(Exception):
    """The message surely was not shown: the platform refused it, or it was never sent.

    An adapter raises this only when it is sure. After a time-out or a lost connection the message may be there:
    any other exception says so. `retry_after`: how long the platform wants to be left alone at least, as a reply with
    status 429 says. `is_permanent`: no further try can succeed, since the conversation is gone for instance.
    """

    def __init__(self, reason: str = "", *, retry_after: timedelta | None = None, is_permanent: bool = False) -> None:
        super().__init__(reason)
        self.retry_after = retry_after
        self.is_permanent = is_permanent


class CardGone(Exception):
    """The posted card can be edited neither now nor later: it was deleted, say, or its conversation is archived.

    Nobody tries again then; what it shows stays as it is.
    """


class ChatPlatform(Protocol):
    """One chat platform's API, as far as questions need it.

    It may be able to `FindsCards` or `PostsByKey` as well, and have `ChecksCards` and `Pauses`.
    """

    async def post_card(self, connection_id: str, card: Card) -> MessageHandle:
        """Post a card with its buttons and return its handle; raise NotPosted when it surely was not shown."""
        ...

    async def edit_card(self, connection_id: str, handle: MessageHandle, card: Card) -> None:
        """Replace all that a posted card shows by this: it has buttons from then on if this one has options.

        Raises CardGone when no edit can succeed any more; after any other exception it is tried again.
        """
        ...

    async def post_reminder(self, connection_id: str, handle: MessageHandle, reminder: Reminder) -> None:
        """Post a reminder in the thread of the card with this handle, in its conversation where there are no threads.

        Raises NotPosted when it surely was not shown.
        """
        ...


@runtime_checkable
class FindsCards(Protocol):
    """A platform that can look for a card whose post ended without a reply."""

    async def find_card(self, connection_id: str, card: Card) -> MessageHandle | None:
        """Return the handle of a posted card of this question and ask number; None if surely none is there.

        Raises whatever the platform raises when it cannot say: the card may be there then.
        """
        ...


@runtime_checkable
class PostsByKey(Protocol):
    """A platform that posts idempotently.

    While `posts_by_key` is true, a second `post_card` with a card of the same `key` shows no second card, however the
    first one ended, and returns the handle of the card that is there.
    """

    @property
    def posts_by_key(self) -> bool:
        """Whether that holds."""
        ...


@runtime_checkable
class ChecksCards(Protocol):
    """A platform that cannot show every card."""

    def check_card(self, connection_id: str, card: Card) -> None:
        """Raise InvalidInput for a card that cannot be posted as it is: whoever asks hears of it before it is stored.

        The card is that of a question yet to be asked, whose ask number is not known.
        """
        ...


@runtime_checkable
class Pauses(Protocol):
    """A platform that leaves a connection alone for a while, since its token is refused for instance."""

    def is_paused(self, organization_id: str, connection_id: str) -> bool:
        """Whether nothing can be posted or edited there now.

        The pod takes over nothing of it then: rows wait as they are, and no attempt is counted.
        """
        ...
