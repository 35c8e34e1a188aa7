"""Cards follow their rows: buttons gone, and what is so in their place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from .errors import PendingctlError
from .model import LeasedCard, question_text
from .platforms import ChatPlatform, MessageHandle
from .store import PendingStore

LEASE = timedelta(seconds=30)
EDIT_SECONDS = 15.0
AT_ONCE = 10

_log = logging.getLogger(__name__)


class Cards:
    """Edits the cards of the connections that this pod serves; `served` holds (organization, connection) pairs."""

    def __init__(self, store: PendingStore, platform: ChatPlatform, served: Collection[tuple[str, str]]) -> None:
        self._store = store
        self._platform = platform
        self.served = served

    async def catch_up(self) -> None:
        """Edit cards that are due until none is; one that fails is due again later."""
        try:
            while cards := await self._store.lease_cards(self.served, lease=LEASE, limit=AT_ONCE):
                await asyncio.gather(*(self._edit_and_mark(card) for card in cards))
        except PendingctlError as error:
            _log.warning("cards cannot be edited for now: %s", error)

    async def edit(self, connection_id: str, question_id: str, handle: MessageHandle, text: str) -> bool:
        """Replace a card by text; return whether the platform has confirmed it."""
        try:
            async with asyncio.timeout(EDIT_SECONDS):
                await self._platform.edit_card(connection_id, handle, text)
        except Exception:  # noqa: BLE001 (whatever a platform or an application raises)
            _log.exception("the card of question %s still has its buttons", question_id)
            return False
        return True

    async def mark(self, question_id: str, due_at: datetime) -> None:
        """Note that a card was edited."""
        try:
            await self._store.mark_card(question_id, due_at)
        except PendingctlError as error:
            _log.warning("that the card of question %s was edited could not be noted: %s", question_id, error)

    async def _edit_and_mark(self, card: LeasedCard) -> None:
        if await self.edit(card.connection_id, card.question_id, card.card, _text_of(card)):
            await self.mark(card.question_id, card.due_at)


def answered(by: str | None, value: str | None, at: datetime | None) -> str:
    """Say in one line who answered what and when, as far as it is known."""
    words = "Answered" + (f" by {by}" if by else "") + (f": {value}" if value is not None else "")
    return words + _at(at)


def card_text(question: str | None, said: str) -> str:
    """Return what a card says when its buttons are gone."""
    return f"{question or ''}\n{said}".strip()


def _text_of(card: LeasedCard) -> str:
    if card.withdrawn_at is not None:
        said = f"Withdrawn{_at(card.withdrawn_at)}"
    elif card.claimed_at is not None:
        said = answered(card.answered_by, card.answer, card.claimed_at)
    else:
        said = "Expired: nobody has answered in time."
    return card_text(question_text(card.payload), said)


def _at(at: datetime | None) -> str:
    return f" ({at.astimezone(UTC):%Y-%m-%d %H:%M} UTC)" if at else ""
