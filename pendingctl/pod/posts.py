"""Posts what is due of questions: cards, reminders and escalations."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from datetime import timedelta
from enum import StrEnum
from typing import Protocol

from ..errors import DatabaseUnreachable, PendingctlError
from ..leased import Duty, LeasedPost
from ..payload import conversation_of, question_text
from ..platforms import (
    ENGLISH,
    ChatPlatform,
    FindsCards,
    MessageHandle,
    NotPosted,
    PostsByKey,
    Reminder,
    Sentence,
    Wording,
)
from ..printable import printable
from .background import Background
from .card_content import card_of
from .giving_back import give_back
from .memory import ExpiringCache
from .retries import LONGEST_DELAY, retry_delay
from .take_over import TakeOver

# How long other pods leave the card to the one that posts it, and how long that takes at most.
LEASE = timedelta(seconds=30)
POST_SECONDS = 20.0
# With the delays between them this gives a platform that is down about an hour to come back.
MOST_ATTEMPTS = 20
FIRST_DELAY = timedelta(seconds=1)
LONGEST_REQUESTED_DELAY = timedelta(hours=1)
# A card that may be there is posted once more, and not at once: the platform has troubles just then.
UNKNOWN_DELAY = LONGEST_DELAY
MOST_DOUBTS = 2
NOTE_AGAIN_SECONDS = 1.0

_log = logging.getLogger(__name__)

# By organization, connection, question and ask number.
Handles = ExpiringCache[tuple[str, str, str, int], MessageHandle]


class PostOutcome(StrEnum):
    """What became of a card that was to be posted."""

    POSTED = "posted"
    NOT_POSTED = "not_posted"
    POST_UNKNOWN = "post_unknown"


class PostLeases(Protocol):
    """What the posts ask of `store.leases`."""

    async def lease_posts(
        self,
        connections: Collection[tuple[str, str]],
        *,
        lease: timedelta,
        limit: int,
        most_attempts: int,
        most_doubts: int,
    ) -> list[LeasedPost]:
        """Take over what is to be posted."""
        ...

    async def mark_not_posted(
        self,
        id: str,
        ask_number: int,
        error: str,
        *,
        attempt: int,
        is_sure: bool,
        retry_in: timedelta,
        most_attempts: int,
        most_doubts: int,
        permanent: bool = False,
    ) -> bool | None:
        """Note that an attempt to post a card has failed."""
        ...

    async def give_back_posts(self, leased: Collection[LeasedPost], *, most_attempts: int) -> set[str]:
        """Give back cards of which nothing was sent; return the ids of rows that are locked."""
        ...


class Posts:
    """One pod's part in showing questions.

    A card that surely was not shown is tried again after 1, 2, 4, … seconds, 5 minutes at most, or when the platform
    says; after 20 attempts it waits for a person. One that may be there is looked for first (`FindsCards`), or posted
    again under its key (`PostsByKey`); on a platform that can do neither it is posted once more, 5 minutes later, and
    then waits for a person. A reminder and an escalation are posted once, or not at all.

    `served` returns the (organization, connection) pairs of this pod, `posted` is called with each card that is there.
    """

    def __init__(
        self,
        leases: PostLeases,
        platform: ChatPlatform,
        served: Callable[[], Collection[tuple[str, str]]],
        handles: Handles,
        posted: Callable[[str, int, MessageHandle], None],
        *,
        wording: Wording = ENGLISH,
    ) -> None:
        self._leases = leases
        self._platform = platform
        self._handles = handles
        self._posted = posted
        self._wording = wording
        self._due = TakeOver("posts", self._lease, self._post, served)
        self._late_notes = Background()
        # Broken off before the platform was asked to post anything.
        self._unsent: list[LeasedPost] = []

    def __len__(self) -> int:
        return len(self._due)

    def catch_up(self) -> None:
        """Begin to post what is due, until nothing is; nothing happens while that is under way."""
        self._due.begin()

    async def close(self, until: float) -> None:
        """Take over no more, and give up what is not posted `until` then (time.monotonic).

        A card of which nothing was sent is given back; one that was sent may be there, and is left to its lease.
        """
        self._unsent += await self._due.close(until)
        await self._late_notes.cancel()

    async def give_back(self) -> None:
        """Give back the cards of which nothing was sent, also those that this pod has asked itself."""
        posts = {each.question_id: each for each in self._unsent if each.duty is Duty.CARD}
        self._unsent.clear()

        async def back(ids: Collection[str]) -> set[str]:
            return await self._leases.give_back_posts([posts[id] for id in ids], most_attempts=MOST_ATTEMPTS)

        await give_back("cards to post", posts, back)

    async def post_card(self, post: LeasedPost) -> PostOutcome:
        """Post a card that this pod has leased, and have it noted what became of it.

        One that this pod has posted before is not posted again.
        """
        # The pod knows of a card that it could not note, since the database was away.
        if (handle := self._handles.get(_key(post))) is not None:
            self._posted(post.question_id, post.ask_number, handle)
            return PostOutcome.POSTED
        card = card_of(
            *(post.question_id, post.ask_number, post.payload, post.user_id),
            wording=self._wording,
            organization_id=post.organization_id,
        )
        platform, task = self._platform, asyncio.current_task()
        assert task is not None
        # A platform that cannot look says nothing of the attempts before.
        is_sure = False
        try:
            async with asyncio.timeout(POST_SECONDS):
                if post.is_in_doubt and isinstance(platform, FindsCards):
                    handle = await platform.find_card(post.connection_id, card)
                if handle is None:
                    is_sure = True
                    handle = await platform.post_card(post.connection_id, card)
        except NotPosted as error:
            await self._note_failure(post, error, is_sure=is_sure)
            return PostOutcome.NOT_POSTED if is_sure else PostOutcome.POST_UNKNOWN
        except asyncio.CancelledError:
            if task.cancelling():
                if not is_sure:
                    self._unsent.append(post)
                raise
            await self._note_failure(post, RuntimeError("the platform was cancelled from within"), is_sure=False)
            return PostOutcome.POST_UNKNOWN
        except Exception as error:  # noqa: BLE001 (whatever a platform or an application raises)
            await self._note_failure(post, error, is_sure=False)
            return PostOutcome.POST_UNKNOWN
        self._handles.put(_key(post), handle)
        self._posted(post.question_id, post.ask_number, handle)
        return PostOutcome.POSTED

    def _can_repeat(self) -> bool:
        """Whether a card that may be there can be posted again without a second one."""
        platform = self._platform
        return isinstance(platform, FindsCards) or (isinstance(platform, PostsByKey) and platform.posts_by_key)

    def _most_doubts(self) -> int:
        # Attempts are bounded in any case.
        return MOST_ATTEMPTS if self._can_repeat() else MOST_DOUBTS

    async def _lease(self, served: Collection[tuple[str, str]], limit: int) -> list[LeasedPost]:
        return await self._leases.lease_posts(
            served, lease=LEASE, limit=limit, most_attempts=MOST_ATTEMPTS, most_doubts=self._most_doubts()
        )

    async def _post(self, post: LeasedPost) -> None:
        if post.duty is Duty.CARD:
            await self.post_card(post)
            return
        handle = self._handles.get(_key(post)) if post.card is None else post.card
        try:
            async with asyncio.timeout(POST_SECONDS):
                await self._platform.post_reminder(post.connection_id, handle, _reminder(post, self._wording))
        except Exception as error:  # noqa: BLE001 (whatever a platform or an application raises)
            _log.warning("the %s of question %r was not posted: %s", post.duty, post.question_id, _reason(error))

    async def _note_failure(self, post: LeasedPost, error: Exception, *, is_sure: bool) -> None:
        try:
            await self._note(post, error, is_sure=is_sure)
        except PendingctlError as trouble:
            what = _what_is_known(is_sure)
            _log.warning(
                "the card of question %r %s: %s; and then: %s", post.question_id, what, _reason(error), trouble
            )
            if isinstance(trouble, DatabaseUnreachable):
                self._late_notes.leave(self._note_later(post, error, is_sure), f"note on card of {post.question_id!r}")

    async def _note_later(self, post: LeasedPost, error: Exception, is_sure: bool) -> None:
        """Note it when the database is back, if that is soon: else the attempt counts as one in doubt."""
        until = time.monotonic() + LEASE.total_seconds()
        while time.monotonic() < until:
            await asyncio.sleep(NOTE_AGAIN_SECONDS)
            with suppress(DatabaseUnreachable):
                await self._note(post, error, is_sure=is_sure)
                return

    async def _note(self, post: LeasedPost, error: Exception, *, is_sure: bool) -> None:
        delay = retry_delay(FIRST_DELAY, post.attempt)
        if isinstance(error, NotPosted):
            delay = max(delay, min(error.retry_after or delay, LONGEST_REQUESTED_DELAY))
        elif not self._can_repeat():
            delay = UNKNOWN_DELAY
        reason, what = _reason(error), _what_is_known(is_sure)
        is_given_up = await self._leases.mark_not_posted(
            post.question_id,
            post.ask_number,
            reason if is_sure else f"it may be there: {reason}",
            attempt=post.attempt,
            is_sure=is_sure,
            retry_in=delay,
            most_attempts=MOST_ATTEMPTS,
            most_doubts=self._most_doubts(),
            permanent=isinstance(error, NotPosted) and error.is_permanent,
        )
        if is_given_up:
            _log.error("the card of question %r %s, and is given up: %s", post.question_id, what, reason)
        elif is_given_up is not None:
            _log.warning("the card of question %r %s, and is tried again: %s", post.question_id, what, reason)


def _what_is_known(is_sure: bool) -> str:
    return "was not posted" if is_sure else "may have been posted or not"


def _reason(error: Exception) -> str:
    """Return what a platform says, in one line."""
    if isinstance(error, NotPosted):
        return printable(str(error)) or "the platform gave no reason"
    return printable(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _key(post: LeasedPost) -> tuple[str, str, str, int]:
    return post.organization_id, post.connection_id, post.question_id, post.ask_number


def _reminder(post: LeasedPost, wording: Wording) -> Reminder:
    """Return what reminds the user whose question it is, or the one that it was escalated to."""
    to = post.escalated_to or post.user_id
    is_escalation = post.duty is Duty.ESCALATION
    said = Sentence(
        words=wording.escalation if is_escalation else wording.reminder,
        to=to,
        by=post.user_id,
        at=post.expires_at,
        question=question_text(post.payload),
    )
    return Reminder(
        question_id=post.question_id,
        ask_number=post.ask_number,
        conversation_id=conversation_of(post.payload),
        said=said,
        user_id=to,
        is_escalation=is_escalation,
        organization_id=post.organization_id,
    )
