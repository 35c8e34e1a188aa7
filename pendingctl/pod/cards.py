"""Keeps cards in step with their rows, on the platform."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Protocol, cast

from ..errors import InvalidInput, PendingctlError
from ..leased import EditedCard, LeasedCard, PostedCard, RetiredCard
from ..payload import JsonValue, encode_json
from ..platforms import ENGLISH, Card, CardGone, ChatPlatform, MessageHandle, Wording
from ..printable import printable
from ..schedule import MAX_AGE
from .background import LAST_SECONDS
from .card_content import card_of, retired_card_of
from .card_notes import CardMarks, CardNotes
from .giving_back import give_back
from .take_over import TakeOver

LEASE = timedelta(seconds=30)
EDIT_SECONDS = 15.0

_log = logging.getLogger(__name__)


class CardLeases(CardMarks, Protocol):
    """What the cards ask of `store.leases`."""

    async def lease_cards(
        self,
        connections: Collection[tuple[str, str]],
        *,
        lease: timedelta,
        limit: int,
        max_age: timedelta = MAX_AGE,
    ) -> list[LeasedCard]:
        """Take over cards that show less than their rows."""
        ...

    async def give_back_cards(self, leased: Collection[LeasedCard]) -> None:
        """Give leases back whose cards were not edited."""
        ...

    async def mark_retired(self, id: str, retired: Collection[RetiredCard], *, max_age: timedelta = MAX_AGE) -> bool:
        """Forget cards of former askings that were edited."""
        ...


class Cards:
    """Edits cards on the platform and notes what became of them.

    `served` returns the (organization, connection) pairs whose cards this pod takes over. `max_age` is the age at which
    a question is stale, and its card says so in the words of `wording`.
    """

    def __init__(
        self,
        leases: CardLeases,
        platform: ChatPlatform,
        served: Callable[[], Collection[tuple[str, str]]],
        *,
        max_age: timedelta = MAX_AGE,
        wording: Wording = ENGLISH,
    ) -> None:
        self._leases = leases
        self._platform = platform
        self._max_age = max_age
        self._wording = wording
        self._notes = CardNotes(leases, max_age=max_age)
        self._due = TakeOver("edits of cards", self._lease, self._edit_leased, served)

    def __len__(self) -> int:
        return len(self._due)

    def posted(self, question_id: str, ask_number: int, handle: MessageHandle) -> None:
        """Have it noted that a card was posted. A handle that is no JSON stays in this pod's memory."""
        self._notes.posted(PostedCard(question_id=question_id, ask_number=ask_number, card=_as_json(handle)))

    async def edit(
        self, connection_id: str, handle: MessageHandle, card: Card, ended_at: datetime | None, *, attempts: int = 0
    ) -> None:
        """Have a posted card show what `card` holds, whose question ended at `ended_at`; None if it is open.

        That is noted if the platform confirms it, or says that the card is gone: nothing is left to do then. `attempts`
        are those of its lease, if it was leased.
        """
        is_done, gone = await self._replace(connection_id, handle, card)
        if not is_done:
            return
        self._notes.edited(
            EditedCard(
                question_id=card.question_id,
                ask_number=card.ask_number,
                card=_as_json(handle),
                claimed_at=ended_at,
                attempts=attempts,
                gone=gone,
            )
        )

    def catch_up(self) -> None:
        """Begin to edit the cards that are due, until none is; nothing happens while that is under way."""
        self._due.begin()

    async def take_over_no_more(self, until: float) -> None:
        """Edit no more cards of other pods, and give up soon what is under way, `until` then at last (time.monotonic).

        A card that was not begun is given back; an edit that was broken off may land, and is left to its lease.
        """
        soon = time.monotonic() + LAST_SECONDS
        leased = {each.question_id: each for each in await self._due.close(min(until, soon))}

        async def back(ids: Collection[str]) -> set[str]:
            await self._leases.give_back_cards([leased[id] for id in ids])
            return set()

        await give_back("edits of cards", leased, back)

    async def close(self, *, within: timedelta) -> None:
        """Edit no more, and note what is left, `within` that time."""
        until = time.monotonic() + max(within.total_seconds(), LAST_SECONDS)
        await self.take_over_no_more(until)
        await self._notes.close(within=timedelta(seconds=until - time.monotonic()))

    async def _lease(self, served: Collection[tuple[str, str]], limit: int) -> list[LeasedCard]:
        return await self._leases.lease_cards(served, lease=LEASE, limit=limit, max_age=self._max_age)

    async def _edit_leased(self, row: LeasedCard) -> None:
        failed = {each.ask_number for each in row.retired if not await self._edit_retired(row, each)}
        retired = [each for each in row.retired if each.ask_number not in failed]
        if row.card is not None and (row.claimed_at is not None or row.is_stale):
            card = _card_of(row, self._wording)
            await self.edit(row.connection_id, row.card, card, row.claimed_at, attempts=row.attempts)
        if retired:
            try:
                await self._leases.mark_retired(row.question_id, retired, max_age=self._max_age)
            except PendingctlError as error:
                _log.warning("retired cards of question %s are edited once more: %s", row.question_id, error)

    async def _edit_retired(self, row: LeasedCard, retired: RetiredCard) -> bool:
        card = retired_card_of(
            row.question_id, row.user_id, retired, wording=self._wording, organization_id=row.organization_id
        )
        is_done, _ = await self._replace(row.connection_id, retired.card, card)
        return is_done

    async def _replace(self, connection_id: str, handle: MessageHandle, card: Card) -> tuple[bool, str | None]:
        """Have the platform edit a card; return whether nothing is left to do, and why if the card is gone."""
        try:
            async with asyncio.timeout(EDIT_SECONDS):
                await self._platform.edit_card(connection_id, handle, card)
        except CardGone as error:
            gone = printable(error) or "the platform gave no reason"
            _log.warning("a card of question %r stays as it is, and is not edited again: %s", card.question_id, gone)
            return True, gone
        except Exception:  # noqa: BLE001 (whatever a platform or an application raises)
            _log.exception("a card of question %r could not be edited", card.question_id)
            return False, None
        return True, None


def _card_of(row: LeasedCard, wording: Wording) -> Card:
    return card_of(
        row.question_id,
        row.ask_number,
        row.payload,
        row.user_id,
        wording=wording,
        outcome=row.outcome,
        is_stale=row.is_stale,
        answered_by=row.answered_by,
        answer=row.answer,
        ended_at=row.claimed_at,
        organization_id=row.organization_id,
    )


def _as_json(handle: MessageHandle) -> str | None:
    if handle is None:
        return None
    try:
        return encode_json(cast("JsonValue", handle), "the card's reference")
    except InvalidInput:
        return None
