"""Chat platforms: what a pod asks of one, and the adapters."""

from .protocol import (
    Card,
    CardGone,
    ChatPlatform,
    ChecksCards,
    FindsCards,
    MessageHandle,
    NotPosted,
    Pauses,
    PostsByKey,
    Reminder,
    Shows,
)
from .wording import ENGLISH, Sentence, Wording, answered

__all__ = [
    "ENGLISH",
    "Card",
    "CardGone",
    "ChatPlatform",
    "ChecksCards",
    "FindsCards",
    "MessageHandle",
    "NotPosted",
    "Pauses",
    "PostsByKey",
    "Reminder",
    "Sentence",
    "Shows",
    "Wording",
    "answered",
]
