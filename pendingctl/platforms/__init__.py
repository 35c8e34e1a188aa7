"""Chat platforms: what a pod asks of one, and the adapters."""

from .protocol import Card, ChatPlatform, FindsCards, MessageHandle, NotPosted, PostsByKey, Reminder, Shows
from .wording import ENGLISH, Sentence, Wording, answered

__all__ = [
    "ENGLISH",
    "Card",
    "ChatPlatform",
    "FindsCards",
    "MessageHandle",
    "NotPosted",
    "PostsByKey",
    "Reminder",
    "Sentence",
    "Shows",
    "Wording",
    "answered",
]
