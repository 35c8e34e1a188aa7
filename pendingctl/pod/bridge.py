"""Question → card → click → claim → reply: what one pod does between a chat platform and the store."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, suppress
from datetime import timedelta
from types import TracebackType
from typing import Protocol, Self
from uuid import UUID, uuid4

from ..errors import DatabaseUnreachable, PendingctlError
from ..leased import LeasedAnswer
from ..logged import about
from ..model import (
    Claim,
    Click,
    Due,
    Outcome,
    Question,
    Refusal,
    Stored,
    answer_of,
)
from ..platforms import ENGLISH, ChatPlatform, MessageHandle, Pauses, Wording
from ..schedule import MAX_AGE
from ..sinks import AnswerHandler, AnswerSink
from ..trail import CANNOT_SERVE
from ..turns import Turns
from .answer_leases import AnswerLeases
from .background import LAST_SECONDS, Background
from .card_content import card_of
from .cards import CardLeases, Cards
from .delivery import LEASE, MOST_ATTEMPTS, Delivery
from .loop import Loop
from .posts import Handles, PostLeases, Posts
from .questions import MAX_REMEMBERED, AskOutcome, Questions, QuestionStore
from .refused_clicks import PressTrail, RefusedClicks
from .replies import Reply, cannot_serve, reply_to_refusal, reply_to_win
from .stream_events import EventLeases, QuestionStreams, StreamEvents

# Slack shows an error unless an interaction is acknowledged within 3 seconds
# (api.slack.com, "Handling user interaction"); the rest is for the way there and back.
REPLY_WITHIN = timedelta(seconds=2.5)

RETRY_SECONDS = 0.05
# The reply to a click goes first: work that begins at once stands in its way.
EDIT_AFTER_SECONDS = 0.01
# Of ten connections, the usual size of a pool, one tenant's clicks take this many at most.
CLAIMS_OF_A_TENANT = 4

HANDLE_SECONDS = 24 * 3600.0
CLOSE_WITHIN = timedelta(seconds=30)

_log = logging.getLogger(__name__)


class BridgeLeases(AnswerLeases, CardLeases, PostLeases, EventLeases, Protocol):
    """What a bridge asks of `store.leases`."""

    async def due(self, connections: Collection[tuple[str, str]] = ()) -> Due:
        """Return what waits: endings, deadlines, and cards and posts of these connections."""
        ...


class BridgeStore(QuestionStore, Protocol):
    """A store as a bridge sees it: `PendingStore`, or what stands before one."""

    @property
    def leases(self) -> BridgeLeases:
        """Its leases."""
        ...

    @property
    def trail(self) -> PressTrail:
        """Its trail."""
        ...

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
    ) -> Claim | Refusal:
        """Make the click the winner, or return why it is not."""
        ...


class InteractionBridge:
    """One pod's part: it asks questions on a platform, and answers the clicks that the platform delivers to it.

    Serves the connections that are registered. Answers are delivered to the `sink`, a callable or an `AnswerSink`, at
    least once: those that clicks of this pod have won at once, and those of pods that died when their `lease` has run
    out (see `delivery.Delivery`). Use it with `async with`, or `start` and `close`. `max_age` is the age at which a
    question is stale, and its card says so. `wording` are the words of replies and cards, English by default.
    `streams` is where this pod appends what becomes of questions that name a stream; without it, other pods do.
    """

    def __init__(
        self,
        store: BridgeStore,
        platform: ChatPlatform,
        sink: AnswerSink | AnswerHandler,
        *,
        lease: timedelta = LEASE,
        most_attempts: int = MOST_ATTEMPTS,
        max_age: timedelta = MAX_AGE,
        clock: Callable[[], float] = time.monotonic,
        reply_within: timedelta = REPLY_WITHIN,
        wording: Wording = ENGLISH,
        streams: QuestionStreams | None = None,
    ) -> None:
        self._store = store
        self._platform = platform
        self._lease = lease
        self._reply_within = reply_within
        self._wording = wording
        self._cannot_serve = cannot_serve(wording)
        self._served = frozenset[tuple[str, str]]()
        self._is_closing = False
        self._cards = Cards(store.leases, platform, self._reachable, max_age=max_age, wording=wording)
        self._refused_clicks = RefusedClicks(store.trail, clock=clock)
        self._delivery = Delivery(store, sink, lease=lease, most_attempts=most_attempts)
        self._stream_events = None if streams is None else StreamEvents(store.leases, streams)
        self._loop = Loop(self._look)
        self._claims = Background()
        # What it posts and edits besides what it takes over.
        self._background = Background()
        self._question_turns = Turns[tuple[str, str]](1)
        self._tenant_turns = Turns[str](CLAIMS_OF_A_TENANT)
        self._handles = Handles(count=MAX_REMEMBERED, seconds=HANDLE_SECONDS, clock=clock)
        self._posts = Posts(
            *(store.leases, platform, self._reachable, self._handles, self._cards.posted), wording=wording
        )
        self._questions = Questions(store, platform, self._posts, self._background, wording=wording, clock=clock)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def start(self) -> None:
        """Begin to deliver the answers, and to post and edit the cards, that others have left behind."""
        self._loop.start()

    def register(self, organization_id: str, connection_id: str) -> None:
        """Serve this connection of this organization from now on."""
        self._served |= {(organization_id, connection_id)}

    def unregister(self, organization_id: str, connection_id: str) -> None:
        """Serve it no longer, and forget what is remembered of it. Claims under way are still answered."""
        connection = (organization_id, connection_id)
        self._served -= {connection}
        self._questions.forget(connection)
        self._handles.forget(lambda key: key[:2] == connection)

    async def close(self, *, within: timedelta = CLOSE_WITHIN) -> None:
        """Accept nothing any more, wait for the work in the background, and forget everything.

        What is not done `within` that time is given up, and goes to the other pods: an answer at once, the worker may
        get it twice; a card that was sent, and may be there or not, when its lease has run out. Where the database does
        not answer, or work holds on to its await, that takes a second or two more.
        """
        until = time.monotonic() + within.total_seconds()
        self._is_closing = True
        await self._loop.close()
        # At once, or more is taken over as long as anything else is under way.
        await asyncio.gather(
            self._drain(until),
            self._posts.close(until),
            self._cards.take_over_no_more(until),
            self._delivery.take_over_no_more(),
            self._append_no_more(),
        )
        left = timedelta(seconds=until - time.monotonic())
        # Side by side: where the database is silent each takes its last second.
        await asyncio.gather(
            self._posts.give_back(),
            self._delivery.close(within=left),
            self._cards.close(within=left),
            self._flush_refused_clicks(until),
        )
        self._served = frozenset()
        self._questions.forget()
        self._handles.forget(lambda _: True)

    async def _append_no_more(self) -> None:
        if self._stream_events is not None:
            await self._stream_events.close()

    async def _drain(self, until: float) -> None:
        # A claim that wins has a card to edit.
        await self._claims.drain(until)
        await self._background.drain(until)

    async def _flush_refused_clicks(self, until: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(until - time.monotonic(), LAST_SECONDS)):
                await self._refused_clicks.flush(last=True)

    async def ask(self, question: Question, *, event_id: str) -> AskOutcome:
        """Store a question and post its card, once for an event that the platform may deliver again, to any pod.

        The row is stored before the card is posted. Where this pod cannot post it, or dies over that, some pod that
        serves the connection tries again (see `posts.Posts`).

        A question without a conversation is shown where the platform sees fit.

        Raises ScopeMismatch, RequestRefused, NotFound and the database's errors as `PendingStore.put` does, and
        InvalidInput for a question that the platform cannot show (`ChecksCards`); nothing is stored then.
        """
        with _about(question):
            if not self._accepts(question):
                return AskOutcome.CANNOT_SERVE
            return await self._questions.ask_once(question, event_id)

    async def store(
        self, question: Question, *, request_key: str | None = None, request_digest: str | None = None
    ) -> Stored | None:
        """Do what `ask` does, and return as soon as the row is there; None if this pod cannot serve the connection.

        The card is posted after that. The row alone decides what a repetition is, never this pod's memory: by the
        `request_key` and its `request_digest` (see `PendingStore.put`), without a key by what the card shows.

        Raises as `ask` does, KeyReused for a key that comes with another content or digest, and InvalidInput for a
        digest without a key.
        """
        with _about(question):
            if not self._accepts(question):
                return None
            return await self._questions.store(question, request_key=request_key, request_digest=request_digest)

    def _accepts(self, question: Question) -> bool:
        scope = question.scope
        if not self._is_closing and (scope.organization_id, scope.connection_id) in self._served:
            return True
        _log.warning("question %r is for a connection that this pod does not serve", question.id)
        return False

    def _reachable(self) -> Collection[tuple[str, str]]:
        """Return what this pod serves, but for what the platform leaves alone for now."""
        platform = self._platform
        if not isinstance(platform, Pauses):
            return self._served
        return [connection for connection in self._served if not platform.is_paused(*connection)]

    async def click(self, click: Click, *, card: MessageHandle = None) -> Reply:
        """Answer a click truly, in time for the platform, whatever happens.

        A claim that takes longer goes on in the background, and the person is asked to try again: pressing again
        tells them what became of it. `card` is the card that was pressed, from a platform whose clicks name it: one
        that no pod could note, since the one that posted it died over that, loses its buttons all the same.
        """
        if self._is_closing or (click.organization_id, click.connection_id) not in self._served:
            return self._not_served(click)
        with about(organization=click.organization_id, question=click.question_id, press=click.delivery_key):
            claiming = self._claims.start(self._claim_in_turn(click, card), f"claim of {click.question_id!r}")
        await asyncio.wait([claiming], timeout=self._reply_within.total_seconds())
        return claiming.result() if claiming.done() and not claiming.cancelled() else self._cannot_serve

    async def _claim_in_turn(self, click: Click, card: MessageHandle) -> Reply:
        """Claim when it is this click's turn, if that comes in time: a row that somebody holds delays its own clicks.

        The presses on one question come one after the other, and a tenant's questions do not take all connections.
        """
        until = time.monotonic() + self._reply_within.total_seconds()
        try:
            async with (
                self._question_turns.turn((click.organization_id, click.question_id)),
                self._tenant_turns.turn(click.organization_id),
            ):
                return await self._claim(click, card, until) if time.monotonic() < until else self._not_served(click)
        except Exception:  # noqa: BLE001 (a person gets a reply, whatever a driver, a codec or an application raises)
            _log.exception("question %r could not be claimed", click.question_id)
            return self._not_served(click)

    def _not_served(self, click: Click) -> Reply:
        self._refused_clicks.refused(click, CANNOT_SERVE)
        return self._cannot_serve

    async def _claim(self, click: Click, card: MessageHandle, until: float) -> Reply:
        """Claim, again on another connection if one is lost on the way: by the same key and token it claims once."""
        # The lease may have begun with the first try, whose reply was lost.
        token, began = uuid4(), time.monotonic()
        while True:
            try:
                result = await self._store.claim(click, lease=self._lease, lease_token=token)
                break
            except PendingctlError as error:
                if not isinstance(error, DatabaseUnreachable) or time.monotonic() + RETRY_SECONDS > until:
                    _log.warning("question %r could not be claimed: %s", click.question_id, error)
                    return self._not_served(click)
            await asyncio.sleep(RETRY_SECONDS)
        if isinstance(result, Refusal):
            self._refused_clicks.refused(click, result.reason)
            return reply_to_refusal(result, self._wording)
        # A repeated win is in the row since it was won, and delivered from there.
        if result.repeated:
            self._refused_clicks.repeated(click)
        else:
            if result.lease_token is not None:
                leased = LeasedAnswer(
                    answer=answer_of(click, result), token=result.lease_token, attempt=1, leased_at=result.claimed_at
                )
                self._delivery.submit(leased, began=began)
            self._background.leave(self._edit_card(click, result, card), f"card of {click.question_id!r}")
        return reply_to_win(result.value, self._wording)

    async def _edit_card(self, click: Click, claim: Claim, pressed: MessageHandle) -> None:
        # The row knows the card, also of two that were posted; one that is not noted yet the pod alone knows, or the
        # click. Of two the row is to know both.
        handle: MessageHandle = claim.card
        if pressed is not None and pressed != handle:
            self._cards.posted(claim.id, claim.ask_number, pressed)
        if handle is None:
            key = (click.organization_id, click.connection_id, claim.id, claim.ask_number)
            handle = pressed if pressed is not None else self._handles.get(key)
        if handle is None:
            return
        card = card_of(
            claim.id,
            claim.ask_number,
            claim.payload,
            claim.expected_user_id,
            wording=self._wording,
            outcome=Outcome.ANSWERED,
            answered_by=click.user_id,
            answer=claim.value,
            ended_at=claim.claimed_at,
            organization_id=click.organization_id,
        )
        await asyncio.sleep(EDIT_AFTER_SECONDS)
        await self._cards.edit(click.connection_id, handle, card, claim.claimed_at)

    @property
    def under_way(self) -> int:
        """How many claims, deliveries, posts and edits are under way."""
        return len(self._claims) + len(self._delivery) + self._cards_under_way()

    def _cards_under_way(self) -> int:
        return len(self._background) + len(self._posts) + len(self._cards)

    async def _look(self) -> None:
        if self._refused_clicks.is_due():
            self._background.leave(self._refused_clicks.flush(), "refused clicks")
        if await self._delivery.beat(
            connections=len(self._served), claims=len(self._claims), cards=self._cards_under_way()
        ):
            return
        due = await self._store.leases.due(self._reachable())
        self._delivery.catch_up(due)
        if due.posts:
            self._posts.catch_up()
        if due.cards:
            self._cards.catch_up()
        if due.events and self._stream_events is not None:
            self._stream_events.catch_up()


def _about(question: Question) -> AbstractContextManager[None]:
    return about(organization=question.scope.organization_id, question=question.id)
