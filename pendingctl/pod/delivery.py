"""The loop that each pod runs: it takes over answers that nobody delivers, and cards that show less than their rows."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from contextlib import suppress
from datetime import timedelta
from types import TracebackType
from typing import Self

from ..errors import PendingctlError
from ..model import LeasedAnswer, State
from ..sinks import AnswerHandler, AnswerSink, DeliveryFailed, sink_of
from ..store import PendingStore
from .cards import Cards

LEASE = timedelta(seconds=30)
# With the delays below this gives a worker that is down about an hour to come back.
MOST_ATTEMPTS = 20
FIRST_DELAY = timedelta(seconds=1)
LONGEST_DELAY = timedelta(minutes=5)
AT_ONCE = 20
POLL_SECONDS = 1.0
CLOSE_WITHIN_SECONDS = 30.0
# What is left of the lease when a hand-over is given up: time to mark it before another pod may take it.
_SHARE_OF_THE_LEASE = 0.8
# What waits for its turn on this pod beyond this is left to the lease, and so to all pods.
_MOST_WAITING = 1_000

_log = logging.getLogger(__name__)


class Delivery:
    """One pod's part in delivering answers, to be used with `async with`, or `start` and `close`.

    Answers that this pod has claimed are handed in with `submit`; those of pods that died, and those that failed, are
    found in the database, by one statement a second while there is nothing to do. `lease` is how long one hand-over
    may take before another pod may begin it; an answer is stuck after `most_attempts`. A failed one is tried again
    after a delay that doubles each time, with jitter (Marc Brooker, "Exponential Backoff And Jitter", 2015).

    With `cards` the loop also edits the cards that are due.
    """

    def __init__(
        self,
        store: PendingStore,
        sink: AnswerSink | AnswerHandler,
        *,
        lease: timedelta = LEASE,
        most_attempts: int = MOST_ATTEMPTS,
        first_delay: timedelta = FIRST_DELAY,
        at_once: int = AT_ONCE,
        cards: Cards | None = None,
    ) -> None:
        self._store = store
        self._sink = sink_of(sink)
        self._lease = lease
        self._most_attempts = most_attempts
        self._first_delay = first_delay
        self._at_once = at_once
        self._cards = cards
        self._turns = asyncio.Semaphore(at_once)
        self._delivering: set[asyncio.Task[None]] = set()
        self._editing: asyncio.Task[None] | None = None
        self._loop: asyncio.Task[None] | None = None
        self._in_trouble = False

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def start(self) -> None:
        """Begin to look for answers and cards that are due."""
        if self._loop is None:
            self._loop = asyncio.create_task(self._run(), name="delivery of answers")

    async def close(self) -> None:
        """Take nothing over any more, and wait for what is under way, half a minute at most.

        What is given up then is delivered by another pod when its lease has run out.
        """
        looking = [task for task in (self._loop, self._editing) if task is not None]
        for task in looking:
            task.cancel()
        await asyncio.gather(*looking, return_exceptions=True)
        self._loop = None
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_WITHIN_SECONDS):
                while self._delivering:
                    await asyncio.wait(self._delivering)
        late = list(self._delivering)
        for task in late:
            _log.error("%s was not done within %g s and is left to another pod", task.get_name(), CLOSE_WITHIN_SECONDS)
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)

    def submit(self, leased: LeasedAnswer) -> None:
        """Deliver an answer that this pod has just leased, at once."""
        if len(self._delivering) < _MOST_WAITING:
            self._start(leased)

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
                self._in_trouble = False
            except PendingctlError as error:
                # Once, and not every second of an outage.
                if not self._in_trouble:
                    _log.warning("no answers can be taken over for now: %s", error)
                self._in_trouble = True
            except Exception:  # noqa: BLE001 (the loop must outlive whatever it meets)
                _log.exception("no answers can be taken over for now")
            await asyncio.sleep(POLL_SECONDS)

    async def _look(self) -> None:
        due = await self._store.due(self._cards.served if self._cards is not None else ())
        if due.cards and self._cards is not None and (self._editing is None or self._editing.done()):
            self._editing = asyncio.create_task(self._cards.catch_up(), name="cards")
        while due.answers:
            free = self._at_once - len(self._delivering)
            if free > 0:
                leased = await self._store.lease(lease=self._lease, limit=free, most_attempts=self._most_attempts)
                for each in leased:
                    self._start(each)
                if len(leased) < free:
                    return
            await asyncio.wait(self._delivering, return_when=asyncio.FIRST_COMPLETED)

    def _start(self, leased: LeasedAnswer) -> None:
        until = time.monotonic() + self._lease.total_seconds() * _SHARE_OF_THE_LEASE
        task = asyncio.create_task(
            self._deliver_in_turn(leased, until), name=f"answer of question {leased.answer.question_id}"
        )
        self._delivering.add(task)
        task.add_done_callback(self._delivering.discard)

    async def _deliver_in_turn(self, leased: LeasedAnswer, until: float) -> None:
        async with self._turns:
            left = until - time.monotonic()
            if left > 0:
                await self._deliver(leased, left)

    async def _deliver(self, leased: LeasedAnswer, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                if not await self._sink.deliver(leased, self._store):
                    _log.info("the answer of question %s is delivered by another pod", leased.answer.question_id)
        except TimeoutError:
            await self._failed(leased, DeliveryFailed(f"the worker took longer than {seconds:.1f} s"))
        except Exception as error:  # noqa: BLE001 (whatever a worker or an application raises)
            await self._failed(leased, error)

    async def _failed(self, leased: LeasedAnswer, error: Exception) -> None:
        said = str(error) or type(error).__name__
        permanent = isinstance(error, DeliveryFailed) and error.permanent
        asked_for = error.retry_after if isinstance(error, DeliveryFailed) else None
        try:
            state = await self._store.mark_failed(
                leased,
                said if isinstance(error, DeliveryFailed) else f"{type(error).__name__}: {error}",
                retry_in=max(self._delay(leased.attempt), asked_for or timedelta()),
                most_attempts=self._most_attempts,
                permanent=permanent,
            )
        except PendingctlError as trouble:
            _log.warning("question %s: %s; and then: %s", leased.answer.question_id, said, trouble)
            return
        if state is State.STUCK:
            _log.error("the answer of question %s is stuck: %s", leased.answer.question_id, said)
        elif state is State.UNDELIVERED:
            _log.warning("the answer of question %s is tried again: %s", leased.answer.question_id, said)

    def _delay(self, attempt: int) -> timedelta:
        longest = min(self._first_delay * 2.0 ** min(attempt - 1, 30), LONGEST_DELAY)
        return longest * random.uniform(0.5, 1)
