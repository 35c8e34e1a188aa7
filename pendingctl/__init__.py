"""A chat bot's pending questions, kept in Postgres.

The public names of the library. They are imported at first use, so that the command line does not pay for the
driver when it only prints its help.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .asking import ask
    from .errors import PendingctlError
    from .inspected import State
    from .leased import LeasedAnswer
    from .limits import Decision, Limit, RateLimiter
    from .model import (
        Answer,
        Claim,
        Click,
        NoAnswer,
        NotExtended,
        Operator,
        Outcome,
        PutOutcome,
        Question,
        Refusal,
        RefusalReason,
        Scope,
        Stored,
        Withdrawal,
    )
    from .platforms import Card, CardGone, ChatPlatform, NotPosted, Reminder, Sentence, Shows, Wording
    from .pod.bridge import InteractionBridge
    from .pod.delivery import Delivery
    from .pod.questions import AskOutcome
    from .pod.replies import Reply, ReplyKind
    from .postgres.connections import open_pool
    from .sinks import AnswerSink, CallableSink, DeliveryFailed
    from .sinks.http import HttpSink
    from .sinks.postgres import PostgresSink
    from .store import PendingStore
    from .store.filters import Filters

_HOMES = {
    "pod.bridge": ("InteractionBridge",),
    "pod.questions": ("AskOutcome",),
    "pod.replies": ("Reply", "ReplyKind"),
    "postgres.connections": ("open_pool",),
    "pod.delivery": ("Delivery",),
    "asking": ("ask",),
    "errors": ("PendingctlError",),
    "store.filters": ("Filters",),
    "inspected": ("State",),
    "leased": ("LeasedAnswer",),
    "limits": ("Decision", "Limit", "RateLimiter"),
    "model": (
        "Answer",
        "Claim",
        "Click",
        "NoAnswer",
        "NotExtended",
        "Operator",
        "Outcome",
        "PutOutcome",
        "Question",
        "Refusal",
        "RefusalReason",
        "Scope",
        "Stored",
        "Withdrawal",
    ),
    "platforms.protocol": ("Card", "CardGone", "ChatPlatform", "NotPosted", "Reminder", "Shows"),
    "platforms.wording": ("Sentence", "Wording"),
    "sinks.protocol": ("AnswerSink", "CallableSink", "DeliveryFailed"),
    "sinks.http": ("HttpSink",),
    "sinks.postgres": ("PostgresSink",),
    "store.store": ("PendingStore",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "AnswerSink",
    "AskOutcome",
    "CallableSink",
    "Card",
    "CardGone",
    "ChatPlatform",
    "Claim",
    "Click",
    "Decision",
    "Delivery",
    "DeliveryFailed",
    "Filters",
    "HttpSink",
    "InteractionBridge",
    "LeasedAnswer",
    "Limit",
    "NoAnswer",
    "NotExtended",
    "NotPosted",
    "Operator",
    "Outcome",
    "PendingStore",
    "PendingctlError",
    "PostgresSink",
    "PutOutcome",
    "Question",
    "RateLimiter",
    "Refusal",
    "RefusalReason",
    "Reminder",
    "Reply",
    "ReplyKind",
    "Scope",
    "Sentence",
    "Shows",
    "State",
    "Stored",
    "Withdrawal",
    "Wording",
    "ask",
    "open_pool",
]


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOME_OF[name]}", __name__), name)
