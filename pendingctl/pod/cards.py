"""Cards follow their rows: buttons gone, and what is so in their place."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import cast

from ..errors import DatabaseUnreachable, InvalidInput, PendingctlError
from ..model import MAX_AGE, EditedCard, LeasedCard, PostedCard
from ..payload import JsonValue, encode_json, question_text
from ..platforms import ChatPlatform, MessageHandle
from ..store import PendingStore

LEASE = timedelta(seconds=30)
EDIT_SECONDS = 15.0
AT_ONCE = 10
# Nobody waits for the notes, and nobody clicks sooner; a busy pod writes many of them at once.
NOTE_SECONDS = 0.1
RETRY_SECONDS = 1.0
LAST_TRIES = 3
MOST_FAILURES = 5
MOST_NOTES = 10_000

_log = logging.getLogger(__name__)


class Cards:
    """Edits the cards of the connections that this pod serves; `served` holds (organization, connection) pairs.

    What became of cards is noted soon after, all of it together: a pod that dies before leaves a card that another
    edits once more, or one that counts as never posted. `close` notes what is left.
    """

    def __init__(
        self,
        store: PendingStore,
        platform: ChatPlatform,
        served: Collection[tuple[str, str]],
        *,
        max_age: timedelta = MAX_AGE,
    ) -> None:
        self._store = store
        self._platform = platform
        self.served = served
        self._max_age = max_age
        # By question and ask number: of two notes about the same card the later one holds.
        self._posted: dict[tuple[str, int], PostedCard] = {}
        self._edited: dict[tuple[str, int], EditedCard] = {}
        self._noting: asyncio.Task[None] | None = None
        self._is_away = False
        self._failures = 0
        self._is_closed = False

    async def catch_up(self) -> None:
        """Edit cards that are due until none is; one that fails is due again later."""
        try:
            while cards := await self._store.lease_cards(self.served, lease=LEASE, limit=AT_ONCE):
                await asyncio.gather(*(self._edit_leased(card) for card in cards))
        except PendingctlError as error:
            _log.warning("cards cannot be edited for now: %s", error)

    def posted(self, question_id: str, ask_number: int, handle: MessageHandle) -> None:
        """Have it noted that a card was posted. A handle that is no JSON stays in this pod's memory."""
        self._posted[question_id, ask_number] = PostedCard(question_id, ask_number, _as_json(handle))
        self._note_soon()

    async def edit(
        self,
        connection_id: str,
        question_id: str,
        ask_number: int,
        handle: MessageHandle,
        claimed_at: datetime | None,
        text: str,
    ) -> None:
        """Replace a card by text that says what became of its asking at `claimed_at`.

        That is noted if the platform confirms it.
        """
        try:
            async with asyncio.timeout(EDIT_SECONDS):
                await self._platform.edit_card(connection_id, handle, text)
        except Exception:  # noqa: BLE001 (whatever a platform or an application raises)
            _log.exception("the card of question %s still has its buttons", question_id)
            return
        self._edited[question_id, ask_number] = EditedCard(question_id, ask_number, _as_json(handle), claimed_at)
        self._note_soon()

    async def close(self) -> None:
        """Note what is left; what cannot be noted within a few tries is given up."""
        self._is_closed = True
        if self._noting is not None:
            self._noting.cancel()
            await asyncio.gather(self._noting, return_exceptions=True)
        await self._note_at_last()

    async def _edit_leased(self, card: LeasedCard) -> None:
        await self.edit(
            card.connection_id, card.question_id, card.ask_number, card.card, card.claimed_at, _text_of(card)
        )

    def _note_soon(self) -> None:
        if self._noting is None or self._noting.done():
            self._noting = asyncio.create_task(self._note_in_time(), name="notes about cards")

    async def _note_in_time(self) -> None:
        pause = NOTE_SECONDS
        while self._posted or self._edited:
            await asyncio.sleep(pause)
            if self._is_closed:
                await self._note_at_last()
                return
            pause = NOTE_SECONDS if await self._note() else RETRY_SECONDS

    async def _note_at_last(self) -> None:
        for number in range(LAST_TRIES):
            if number > 0:
                await asyncio.sleep(NOTE_SECONDS)
            await self._note()
            if self._is_away or not (self._posted or self._edited):
                break
        self._give_up("the pod ends")

    async def _note(self) -> bool:
        """Note what there is and return whether that was done; what has to wait is kept.

        That is so while the database is away, for rows that somebody has locked, and after an error a few times.
        """
        if not self._posted and not self._edited:
            return True
        posted, self._posted = self._posted, {}
        edited, self._edited = self._edited, {}
        try:
            # In this order: a card that was never posted cannot have been edited.
            if posted:
                busy = await self._store.mark_posted(posted.values(), max_age=self._max_age)
                posted = {key: note for key, note in posted.items() if note.question_id in busy}
            if edited:
                busy = await self._store.mark_edited(edited.values())
                edited = {key: note for key, note in edited.items() if note.question_id in busy}
            self._is_away, self._failures = False, 0
        except DatabaseUnreachable as error:
            # Once, and not every second of an outage.
            if not self._is_away:
                _log.warning("%d notes about cards have to wait: %s", len(posted) + len(edited), error)
            self._is_away = True
        except Exception as error:  # noqa: BLE001 (one note that cannot be written must not keep back all others)
            self._failures += 1
            if self._failures == MOST_FAILURES:
                _log.warning("%d notes about cards are given up: %s", len(posted) + len(edited), error)
                posted, edited, self._failures = {}, {}, 0
        finally:
            self._posted = {**posted, **self._posted}
            self._edited = {**edited, **self._edited}
        if len(self._posted) + len(self._edited) > MOST_NOTES:
            self._give_up("there are too many")
        return not posted and not edited

    def _give_up(self, why: str) -> None:
        if self._posted or self._edited:
            _log.warning("%d notes about cards are given up: %s", len(self._posted) + len(self._edited), why)
        self._posted, self._edited = {}, {}


def _as_json(handle: MessageHandle) -> str | None:
    if handle is None:
        return None
    try:
        return encode_json(cast("JsonValue", handle), "the card's reference")
    except InvalidInput:
        return None


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
