"""The questions that this pod asks: each is stored, and its card posted after that."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Protocol, Unpack

from ..leased import Duty, LeasedPost
from ..model import ENDED, MAX_ASK_NUMBER, PutOutcome, Question, Scope, Stored
from ..payload import JsonObject
from ..platforms import ENGLISH, ChatPlatform, ChecksCards, Wording
from ..store import PutOptions
from .background import Background
from .card_content import card_of
from .memory import ExpiringCache
from .posts import LEASE, Posts

EVENT_SECONDS = 5 * 60.0
MAX_REMEMBERED = 10_000


class AskOutcome(StrEnum):
    """What became of a question that `InteractionBridge.ask` was to ask.

    Not posted: its card is not there yet. Post unknown: it may be there. Some pod tries again in both cases. Repeated
    event: it was asked before, and whoever did that posts its card.
    """

    POSTED = "posted"
    NOT_POSTED = "not_posted"
    POST_UNKNOWN = "post_unknown"
    ALREADY_ANSWERED = "already_answered"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    REPEATED_EVENT = "repeated_event"
    CANNOT_SERVE = "cannot_serve"


class QuestionStore(Protocol):
    """A store as whoever asks sees it."""

    async def put(self, id: str, scope: Scope, payload: JsonObject, **options: Unpack[PutOptions]) -> Stored:
        """Store a question."""
        ...


class Questions:
    """Asks questions of connections that this pod serves. What goes on when the pod closes is in the `background`."""

    def __init__(
        self,
        store: QuestionStore,
        platform: ChatPlatform,
        posts: Posts,
        background: Background,
        *,
        wording: Wording = ENGLISH,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows = store
        self._platform = platform
        self._posts = posts
        self._background = background
        self._wording = wording
        # By organization, connection, question and event.
        self._events = ExpiringCache[tuple[str, str, str, str], bool](
            count=MAX_REMEMBERED, seconds=EVENT_SECONDS, clock=clock
        )

    def forget(self, connection: tuple[str, str] | None = None) -> None:
        """Forget the events of this (organization, connection) pair, or all."""
        self._events.forget(lambda key: connection is None or key[:2] == connection)

    async def ask_once(self, question: Question, event_id: str) -> AskOutcome:
        """Ask a question for an event, see `InteractionBridge.ask`."""
        self._check_card(question)
        event = (question.scope.organization_id, question.scope.connection_id, question.id, event_id)
        if self._events.get(event) is not None:
            return AskOutcome.REPEATED_EVENT
        # Remembered before the first wait, so that a repetition at the same moment does not post as well.
        self._events.put(event, True)
        outcome = None
        try:
            outcome = await self._background.start(self._ask(question, event_id), f"card of {question.id!r}")
        finally:
            # That another pod posts the card just now is only known for this moment, and not by this pod.
            if outcome in (None, AskOutcome.NOT_POSTED, AskOutcome.POST_UNKNOWN, AskOutcome.REPEATED_EVENT):
                self._events.forget(lambda key: key == event)
        return outcome

    async def store(self, question: Question, *, request_key: str | None, request_digest: str | None) -> Stored:
        """Ask a question for a request, see `InteractionBridge.store`."""
        self._check_card(question)
        storing = self._store(question, request_key, request_digest)
        stored = await self._background.start(storing, f"put of {question.id!r}")
        if stored.is_to_be_posted:
            self._background.leave(self._post(question, stored), f"card of {question.id!r}")
        return stored

    async def _ask(self, question: Question, event_id: str) -> AskOutcome:
        stored = await self._store(question, event_id, None)
        if stored.outcome in ENDED:
            return AskOutcome(stored.outcome)
        return await self._post(question, stored) if stored.is_to_be_posted else AskOutcome.REPEATED_EVENT

    def _check_card(self, question: Question) -> None:
        if isinstance(self._platform, ChecksCards):
            scope = question.scope
            card = card_of(
                # The longest number that a card can carry.
                *(question.id, MAX_ASK_NUMBER, question.payload(), scope.expected_user_id),
                wording=self._wording,
                organization_id=scope.organization_id,
            )
            self._platform.check_card(scope.connection_id, card)

    async def _store(self, question: Question, request_key: str | None, request_digest: str | None) -> Stored:
        return await self._rows.put(
            question.id,
            question.scope,
            question.payload(),
            show=True,
            request_key=request_key,
            request_digest=request_digest,
            if_answered="keep",
            posting=LEASE,
            stream=question.stream,
            **question.schedule(),
        )

    async def _post(self, question: Question, stored: Stored) -> AskOutcome:
        scope = question.scope
        post = LeasedPost(
            question_id=question.id,
            ask_number=stored.ask_number,
            organization_id=scope.organization_id,
            connection_id=scope.connection_id,
            user_id=scope.expected_user_id,
            payload=question.payload(),
            duty=Duty.CARD,
            card=None,
            attempt=1,
            is_in_doubt=stored.outcome is PutOutcome.REFRESHED,
            escalated_to=None,
            expires_at=None,
        )
        return AskOutcome(await self._posts.post_card(post))
