"""A pod as the tests have it: a bridge on a real store, and a platform that writes down what it shows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeAlias

from pendingctl import (
    Answer,
    Card,
    Click,
    InteractionBridge,
    PendingStore,
    Question,
    Reminder,
    ReplyKind,
    Scope,
    Wording,
)
from pendingctl.platforms import ENGLISH, MessageHandle
from pendingctl.pod.bridge import REPLY_WITHIN

SCOPE = Scope("acme", "slack", "U1")
QUESTION = Question("q", SCOPE, "Deploy?", ("yes", "no"), "C1")

Interference: TypeAlias = Callable[[], Awaitable[None]]


class RecordingPlatform:
    """Writes down what is shown, and does first what a test wants to happen."""

    def __init__(self) -> None:
        self.cards: list[Card] = []
        self.edits: list[tuple[str, MessageHandle, Card]] = []
        self.reminders: list[tuple[str, MessageHandle, Reminder]] = []
        self.handle: MessageHandle = None
        self.before_card: Interference = nothing
        self.before_edit: Interference = nothing

    async def post_card(self, connection_id: str, card: Card) -> MessageHandle:
        await self.before_card()
        self.cards.append(card)
        return self.handle or f"{connection_id}-{len(self.cards)}"

    async def edit_card(self, connection_id: str, handle: MessageHandle, card: Card) -> None:
        await self.before_edit()
        self.edits.append((connection_id, handle, card))

    async def post_reminder(self, connection_id: str, handle: MessageHandle, reminder: Reminder) -> None:
        self.reminders.append((connection_id, handle, reminder))

    @property
    def shown(self) -> list[str]:
        """What the edited cards say, one edit after the other."""
        return [f"{card.text}\n{card.said.text() if card.said else ''}".strip() for _, _, card in self.edits]


async def nothing() -> None:
    """Interfere with nothing."""


def failing(error: BaseException) -> Interference:
    async def fail() -> None:
        raise error

    return fail


class Pod:
    """A bridge with everything around it."""

    def __init__(
        self,
        store: PendingStore,
        *,
        reply_within: timedelta = REPLY_WITHIN,
        platform: RecordingPlatform | None = None,
        wording: Wording = ENGLISH,
    ) -> None:
        self.now = 0.0
        self.platform = platform or RecordingPlatform()
        self.answers: list[Answer] = []
        self.before_answer: Interference = nothing
        self.bridge = InteractionBridge(
            store, self.platform, self.handle, clock=lambda: self.now, reply_within=reply_within, wording=wording
        )
        self.bridge.register("acme", "slack")

    async def handle(self, answer: Answer) -> None:
        await self.before_answer()
        self.answers.append(answer)

    async def click(
        self, key: str = "key", value: str = "yes", user: str = "U1", ask_number: int | None = None
    ) -> ReplyKind:
        return (
            await self.bridge.click(
                Click(
                    question_id="q",
                    organization_id="acme",
                    connection_id="slack",
                    user_id=user,
                    delivery_key=key,
                    value=value,
                    ask_number=ask_number,
                )
            )
        ).kind
