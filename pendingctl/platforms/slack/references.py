"""What names a place in Slack: the conversation of a question, a person, and the reference of a posted card. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ...errors import InvalidInput
from ..protocol import MessageHandle

# docs.slack.dev, "Conversations API": C… and G… are channels, D… direct messages; U… and W… are people.
_CHANNEL = re.compile(r"[CGD][A-Z0-9]{1,30}")
_PERSON = re.compile(r"(?:[TE][A-Z0-9]{1,30}:)?([UW][A-Z0-9]{1,30})")
_TIME = re.compile(r"[0-9]{1,20}\.[0-9]{1,10}")


@dataclass(frozen=True, slots=True)
class Conversation:
    """Where a card is posted: a channel, or a person whose direct messages are to be opened; in a thread, or not."""

    id: str
    is_person: bool
    thread: str | None = None

    @property
    def is_direct(self) -> bool:
        """Whether one person alone reads it, beside the app."""
        return self.is_person or self.id.startswith("D")


@dataclass(frozen=True, slots=True)
class Posted:
    """A message: its channel and its time, which is its name there."""

    channel: str
    ts: str

    def as_json(self) -> dict[str, str]:
        """Return what a row keeps of it."""
        return {"channel": self.channel, "ts": self.ts}


def conversation_of(conversation_id: str, user_id: str) -> Conversation:
    """Return where a question is shown: `C123`, `C123:1712345678.000100` in that thread, `U123` to that person.

    An empty id means the user's direct messages. Raises InvalidInput for any other.
    """
    place, colon, thread = conversation_id.partition(":")
    if colon and not _TIME.fullmatch(thread):
        raise InvalidInput(
            f"the conversation {conversation_id[:80]!r} names no thread of Slack; write CHANNEL:TS, as in "
            "'C0123456789:1712345678.000100'"
        )
    if _CHANNEL.fullmatch(place):
        return Conversation(place, is_person=False, thread=thread or None)
    if person := person_of(place if conversation_id else user_id):
        return Conversation(person, is_person=True, thread=thread or None)
    if not conversation_id:
        raise InvalidInput(
            f"the question names no conversation, and its user {user_id[:80]!r} is nobody in Slack; name a channel by "
            "its id, as in 'C0123456789', or a person's id"
        )
    raise InvalidInput(
        f"the conversation {conversation_id[:80]!r} is none of Slack; name a channel by its id, as in 'C0123456789', "
        "or a person's"
    )


def person_of(user_id: str) -> str | None:
    """Return the id by which Slack mentions a user: `U2` of `U2` and of `T1:U2`; None for what is no id of Slack."""
    match = _PERSON.fullmatch(user_id)
    return match[1] if match else None


def posted_of(handle: MessageHandle) -> Posted | None:
    """Return the message that a row's reference means; None for what this adapter has not written."""
    if not isinstance(handle, Mapping):
        return None
    channel, ts = handle.get("channel"), handle.get("ts")
    if not isinstance(channel, str) or not isinstance(ts, str):
        return None
    return Posted(channel, ts) if _CHANNEL.fullmatch(channel) and _TIME.fullmatch(ts) else None
