"""A pod as the tests have it: a bridge on a real store, and a platform that writes down what it shows."""

from __future__ import annotations

import asyncio
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
        self.handles: list[MessageHandle] = []
        self.edits: list[tuple[str, MessageHandle, Card]] = []
        self.reminders: list[tuple[str, MessageHandle, Reminder]] = []
        self.handle: MessageHandle = None
        self.before_card: Interference = nothing
        self.after_card: Interference = nothing
        self.before_edit: Interference = nothing
        self.before_reminder: Interference = nothing

    async def post_card(self, connection_id: str, card: Card) -> MessageHandle:
        await self.before_card()
        handle = self.handle or f"{connection_id}-{len(self.cards) + 1}"
        self.cards.append(card)
        self.handles.append(handle)
        await self.after_card()
        return handle

    async def edit_card(self, connection_id: str, handle: MessageHandle, card: Card) -> None:
        await self.before_edit()
        self.edits.append((connection_id, handle, card))

    async def post_reminder(self, connection_id: str, handle: MessageHandle, reminder: Reminder) -> None:
        await self.before_reminder()
        self.reminders.append((connection_id, handle, reminder))

    @property
    def shown(self) -> list[str]:
        """What the edited cards say, one edit after the other."""
        return [f"{card.text}\n{card.said.text() if card.said else ''}".strip() for _, _, card in self.edits]


class FindingPlatform(RecordingPlatform):
    """Finds a card again whose post ended without a reply."""

    def __init__(self) -> None:
        super().__init__()
        self.before_find: Interference = nothing
        self.searches: list[str] = []

    async def find_card(self, connection_id: str, card: Card) -> MessageHandle | None:  # noqa: ARG002
        self.searches.append(card.key)
        await self.before_find()
        found = (handle for handle, shown in zip(self.handles, self.cards, strict=True) if shown.key == card.key)
        return next(found, None)


class KeyedPlatform(RecordingPlatform):
    """Shows a card that comes again under its key no second time."""

    posts_by_key = True

    def __init__(self) -> None:
        super().__init__()
        self.keys: list[str] = []
        self._shown: dict[str, MessageHandle] = {}

    async def post_card(self, connection_id: str, card: Card) -> MessageHandle:
        self.keys.append(card.key)
        if card.key not in self._shown:
            self._shown[card.key] = f"{connection_id}-{len(self.cards) + 1}"
            return await super().post_card(connection_id, card)
        await self.before_card()
        return self._shown[card.key]


async def nothing() -> None:
    """Interfere with nothing."""


async def hang() -> None:
    """Never come to an end."""
    await asyncio.Event().wait()


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
