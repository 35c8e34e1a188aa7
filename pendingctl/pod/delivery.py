"""Endings to the worker: this pod's own answers at once, and those that others, or deadlines, leave behind."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from types import TracebackType
from typing import Self
from uuid import UUID, uuid4

from .. import __version__
from ..errors import DatabaseFailed, DatabaseUnreachable, NotConnected, PendingctlError
from ..inspected import State
from ..leased import LeasedAnswer, Unreadable
from ..logged import about
from ..model import Due
from ..pods import BEAT_SECONDS, Heartbeat
from ..postgres.outages import Outage
from ..printable import printable
from ..sinks import AnswerHandler, AnswerSink, DeliveryFailed, outcomes_of, sink_of
from ..turns import Turns
from .answer_leases import AnswerStore
from .background import LAST_SECONDS, Background
from .giving_back import give_back
from .loop import POLL_SECONDS, Loop
from .retries import LONGEST_DELAY, retry_delay

LEASE = timedelta(seconds=30)
# With the delays below this gives a worker that is down about an hour to come back.
MOST_ATTEMPTS = 20
FIRST_DELAY = timedelta(seconds=1)
AT_ONCE = 20
CLOSE_WITHIN = timedelta(seconds=30)
# The rest of the lease is for marking the answer before another pod may take it.
_SHARE_OF_THE_LEASE = 0.8
# A hand-over that would begin with less of its lease is left to another pod.
_LEAST_SHARE_OF_THE_LEASE = 0.2
# One tenant's worker that hangs leaves the rest to the others.
_SHARE_OF_A_TENANT = 0.75
# How many questions one statement ends.
DEADLINES_AT_ONCE = 500
# Answers beyond these are left to the lease, and thereby to all pods.
MOST_WAITING = 1_000

_log = logging.getLogger(__name__)


class Delivery:
    """One pod's part in delivering how questions have ended.

    Answers that this pod has claimed are handed in with `submit`. With `async with`, or `start` and `close`, it also
    ends questions whose deadline has passed, and finds the answers of pods that died, those that failed, and the other
    endings, by one statement a second while there is nothing to do: all that a pod without a chat platform needs. A
    worker hears of the endings that its sink names, by default of those that have an answer.

    `lease` is how long one hand-over may take before another pod may begin it; an ending is stuck after
    `most_attempts`. A failed one is tried again after a delay that doubles each time (see `retries.retry_delay`).
    """

    def __init__(
        self,
        store: AnswerStore,
        sink: AnswerSink | AnswerHandler,
        *,
        lease: timedelta = LEASE,
        most_attempts: int = MOST_ATTEMPTS,
        first_delay: timedelta = FIRST_DELAY,
        at_once: int = AT_ONCE,
    ) -> None:
        self._leases = store.leases
        self._sink = sink_of(sink)
        self._outcomes = outcomes_of(self._sink)
        self._beats_again_at: float | None = None
        self._unnoted = Outage(_log)
        self._unheard = Outage(_log)
        self._instance = uuid4()
        self._is_noted = False
        self._lease = lease
        self._most_attempts = most_attempts
        self._first_delay = first_delay
        self._at_once = at_once
        self._turns = asyncio.Semaphore(at_once)
        self._tenant_turns = Turns[str](max(1, round(at_once * _SHARE_OF_A_TENANT)))
        # Leased by this pod, and of these what the worker may have, by token.
        self._held: dict[UUID, LeasedAnswer] = {}
        self._begun: set[UUID] = set()
        self._leasing = Background()
        self._submitted = Background()
        self._taken_over = Background()
        self._answers = _Round()
        self._endings = _Round(endings=True)
        self._expiring: asyncio.Task[None] | None = None
        self._loop = Loop(self._look)

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def start(self) -> None:
        """Begin to look for answers that are due."""
        self._loop.start()

    async def close(self, *, within: timedelta = CLOSE_WITHIN) -> None:
        """Take nothing over any more, and wait for what is under way.

        What is given up then goes to the other pods at once; the worker may have it, and get it from them again.
        """
        until = time.monotonic() + within.total_seconds()
        await self.take_over_no_more()
        await self._submitted.drain(until)
        await self._taken_over.drain(until)
        await asyncio.gather(self._give_back(), self._leave(until))

    async def take_over_no_more(self) -> None:
        """Look for nothing any more; what this pod has leased is delivered."""
        await self._loop.close()
        looking = [task for task in (self._answers.task, self._endings.task, self._expiring) if task is not None]
        for task in looking:
            task.cancel()
        if looking:
            await asyncio.wait(looking, timeout=LAST_SECONDS)
        await self._leasing.drain(time.monotonic() + LAST_SECONDS)

    async def _give_back(self) -> None:
        held = {each.answer.question_id: each for each in self._held.values()}
        begun = frozenset(self._begun)
        self._held.clear()
        self._begun.clear()

        async def back(ids: Collection[str]) -> set[str]:
            return await self._leases.give_back([held[id] for id in ids], begun=begun)

        await give_back("answers", held, back)

    def __len__(self) -> int:
        """How many answers are being delivered, or wait for their turn."""
        return len(self._submitted) + len(self._taken_over)

    def submit(self, leased: LeasedAnswer, *, began: float | None = None) -> None:
        """Deliver an answer that this pod has just leased, at once.

        `began` is when the statement that leased it was sent (time.monotonic): since it may have waited, nobody knows
        more exactly when the lease began.
        """
        if len(self._submitted) < MOST_WAITING:
            self._start(self._submitted, leased, time.monotonic() if began is None else began)

    def catch_up(self, due: Due) -> None:
        """Begin to do what is due, until nothing is; what is under way goes on."""
        for round, is_due in ((self._answers, due.answers), (self._endings, due.endings)):
            if is_due and (round.task is None or round.task.done()):
                round.task = asyncio.create_task(self._take_over(round), name="endings that other pods have left")
        if due.deadlines and (self._expiring is None or self._expiring.done()):
            self._expiring = asyncio.create_task(self._expire(), name="deadlines that have passed")

    async def beat(self, *, connections: int = 0, claims: int = 0, cards: int = 0) -> bool:
        """Have it noted every 10 s that this pod lives, what it holds, and of which endings its worker wants to hear.

        Returns whether that was done in place of a look: an idle pod asks one statement a second, and two at its start.

        Another pod may have noted less of the endings since then: one of the release before that was started again
        meanwhile, whose worker hears of less. Answers are delivered all the same where a note is not allowed, or not
        possible now.

        Raises DatabaseUnreachable, after which the next call tries again.
        """
        now, again_at = time.monotonic(), self._beats_again_at
        if again_at is not None and now < again_at:
            return False
        heartbeat = Heartbeat(
            instance=self._instance,
            version=__version__,
            connections=connections,
            claims=claims,
            cards=cards,
            answers=len(self),
        )
        # A note that is broken off may have been made.
        self._is_noted = True
        try:
            await self._leases.beat(self._outcomes, heartbeat)
            self._unnoted.over()
        except NotConnected:
            raise
        except DatabaseFailed as error:
            self._unnoted.report("that this pod lives cannot be noted: %s", error)
            # Whatever keeps that note, a right or a lock on its table, keeps no other.
            await self._hear()
        self._beats_again_at = now + BEAT_SECONDS
        return again_at is not None

    async def _hear(self) -> None:
        try:
            await self._leases.hear(self._outcomes)
            self._unheard.over()
        except DatabaseUnreachable:
            raise
        except DatabaseFailed as error:
            self._unheard.report("of which endings the worker wants to hear cannot be noted: %s", error)

    async def _leave(self, until: float) -> None:
        """Remove the note that this pod lives; where that fails it is soon too old to count."""
        self._beats_again_at = None
        if not self._is_noted:
            return
        self._is_noted = False
        try:
            async with asyncio.timeout(max(until - time.monotonic(), LAST_SECONDS)):
                await self._leases.leave(self._instance)
        except (PendingctlError, TimeoutError) as error:
            _log.debug("the note that this pod lives stays for a while: %s", error)

    async def _look(self) -> None:
        if not await self.beat():
            self.catch_up(await self._leases.due())

    async def _expire(self) -> None:
        try:
            while await self._leases.expire(limit=DEADLINES_AT_ONCE):
                self.catch_up(Due(answers=False, endings=True, events=False, cards=False, posts=False, deadlines=False))
        except PendingctlError as error:
            _log.warning("no questions can be ended for now: %s", error)

    async def _take_over(self, round: _Round) -> None:
        try:
            while True:
                # No tenant gets more than its share, so that one whose worker hangs leaves room for the others.
                room = min(self._at_once - len(self._taken_over), self._tenant_turns.room())
                if room <= 0:
                    await self._taken_over.one_done()
                    continue
                began, busy, after = time.monotonic(), self._tenant_turns.full(), round.after
                # Not broken off with this task: what is leased would be nobody's until its lease has run out.
                taking = self._take(began, room, after, busy, endings=round.endings)
                leased = await asyncio.shield(self._leasing.start(taking, "lease of answers"))
                # Each takes its turn, or waits for one.
                await asyncio.sleep(0)
                # The next look begins after the last tenant of this one, and with the first when none is left.
                seen = (each.answer.organization_id for each in leased if isinstance(each, LeasedAnswer))
                round.after = max(seen, default="")
                if not leased and not after:
                    if not busy:
                        return
                    # Those that were busy may have something due, and by now a hand free.
                    await self._taken_over.one_done(within=POLL_SECONDS)
        except PendingctlError as error:
            _log.warning("no answers can be taken over for now: %s", error)
        except Exception:  # noqa: BLE001 (the next look must not find this one under way for ever)
            _log.exception("no answers can be taken over for now")

    async def _take(
        self, began: float, room: int, after: str, busy: Collection[str], *, endings: bool
    ) -> list[LeasedAnswer | Unreadable]:
        leased = await self._leases.lease(
            lease=self._lease, limit=room, most_attempts=self._most_attempts, after=after, busy=busy, endings=endings
        )
        for each in leased:
            self._start(self._taken_over, each, began)
        return leased

    def _start(self, tasks: Background, leased: LeasedAnswer | Unreadable, began: float) -> None:
        if isinstance(leased, Unreadable):
            failing = self._leases.mark_failed(
                leased, leased.reason, retry_in=LONGEST_DELAY, most_attempts=self._most_attempts, permanent=True
            )
            with about(organization=leased.organization_id, question=leased.question_id):
                tasks.leave(failing, f"mark of the unreadable answer of question {leased.question_id!r}")
            return
        answer = leased.answer
        self._held[leased.token] = leased
        with about(organization=answer.organization_id, question=answer.question_id):
            tasks.leave(self._deliver_in_turn(leased, began), f"answer of question {answer.question_id!r}")

    async def _deliver_in_turn(self, leased: LeasedAnswer, began: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await self._deliver_or_release(leased, began)
        finally:
            # What is broken off is given back.
            if not task.cancelling():
                self._held.pop(leased.token, None)
                self._begun.discard(leased.token)

    async def _deliver_or_release(self, leased: LeasedAnswer, began: float) -> None:
        lease = self._lease.total_seconds()
        until = began + lease * _SHARE_OF_THE_LEASE
        async with self._tenant_turns.turn(leased.answer.organization_id), self._turns:
            left = until - time.monotonic()
            if left >= lease * _LEAST_SHARE_OF_THE_LEASE:
                self._begun.add(leased.token)
                await self._deliver(leased, left)
                return
        try:
            await self._leases.release(leased)
        except PendingctlError as error:
            _log.warning("question %r: %s", leased.answer.question_id, error)

    async def _deliver(self, leased: LeasedAnswer, seconds: float) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            async with asyncio.timeout(seconds) as limit:
                is_wanted = leased.answer.outcome in self._outcomes
                deliver = self._sink.deliver(leased, self._leases) if is_wanted else self._leases.mark_delivered(leased)
                if not await deliver:
                    _log.info("the answer of question %r is delivered by another pod", leased.answer.question_id)
        except TimeoutError as error:
            late = DeliveryFailed(f"the worker took longer than {seconds:.1f} s")
            await self._failed(leased, late if limit.expired() else error)
        except asyncio.CancelledError:
            if task.cancelling():
                raise
            await self._failed(leased, DeliveryFailed("the worker was cancelled from within"))
        except Exception as error:  # noqa: BLE001 (whatever a worker or an application raises)
            await self._failed(leased, error)

    async def _failed(self, leased: LeasedAnswer, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        # What a worker or an application says may have several lines, and a log takes each for a message.
        logged = printable(reason)
        permanent = isinstance(error, DeliveryFailed) and error.permanent
        requested = error.retry_after if isinstance(error, DeliveryFailed) else None
        try:
            state = await self._leases.mark_failed(
                leased,
                reason if isinstance(error, DeliveryFailed) else f"{type(error).__name__}: {error}",
                retry_in=max(retry_delay(self._first_delay, leased.attempt), requested or timedelta()),
                most_attempts=self._most_attempts,
                permanent=permanent,
            )
        except PendingctlError as trouble:
            _log.warning("question %r: %s; and then: %s", leased.answer.question_id, logged, trouble)
            return
        if state is State.STUCK:
            _log.error("the answer of question %r is stuck: %s", leased.answer.question_id, logged)
        elif state is State.UNDELIVERED:
            _log.warning("the answer of question %r is tried again: %s", leased.answer.question_id, logged)


@dataclass(slots=True)
class _Round:
    """Of answers, or of other `endings`: where the round of tenants stands, and the task that takes over."""

    endings: bool = False
    after: str = ""
    task: asyncio.Task[None] | None = None
