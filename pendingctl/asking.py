"""Asking a question and waiting for its answer: for a script, or a coroutine that can wait."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TypeVar
from uuid import UUID, uuid4

from .errors import AnswerTaken, DatabaseFailed, DatabaseUnreachable, PendingctlError, Refused
from .leased import LeasedAnswer
from .model import ANSWERS, ENDED, Answer, NoAnswer, PutOutcome, Question, Withdrawal
from .postgres.outages import Outage
from .schedule import Schedule
from .store import PendingStore
from .store.puts import AWAITED_FOR

T = TypeVar("T")

# Short at first, for the person who sits in front of it.
FIRST_POLL_SECONDS = 0.1
LONGEST_POLL_SECONDS = 1.0
# Several times within the 15 s that the store keeps pods away.
RENEW_SECONDS = 4.0
# For the deadline, which the database's clock decides, to be seen here.
PATIENCE_SECONDS = 2.0
# How long the caller may work on the answer before the pods deliver it as well.
HAND_OVER = timedelta(seconds=30)

_log = logging.getLogger(__name__)


@asynccontextmanager
async def ask(
    store: PendingStore,
    question: Question,
    *,
    timeout: timedelta,  # noqa: ASYNC109 (how long a person has, not a coroutine)
    request_key: str | None = None,
) -> AsyncIterator[Answer | NoAnswer]:
    """Store a question and wait for its answer, which is the block's: it counts as delivered when the block ends.

        async with ask(store, question, timeout=timedelta(minutes=10)) as answer:
            ...

    A question with a conversation is shown by some pod that serves its connection. Of one without, nobody posts a card:
    the caller shows it in another way, and its answer comes from the command `claim`, for example. The question's
    deadline is its own or `timeout`, whichever comes first; then its default is the answer, if it has one and its card
    was posted. Without an answer the block gets EXPIRED (nobody answered in time), WITHDRAWN, or GONE (deleted, or
    another question was asked under the id).

    An answer is handed to one place: if the block raises, or the caller is cancelled or dies, the pods deliver it, half
    a minute later at most. Only a caller that dies at the end of its block shares it with them. The database may go
    away, and come back, while the caller waits.

    Raises Refused when the question has ended before, or while somebody else waits for its answer, AnswerTaken when the
    caller was away for so long that the pods deliver the answer, InvalidInput for an escalation that is not ahead of
    `timeout`, ScopeMismatch, NotFound and the database's errors as `PendingStore.put` does, and DatabaseUnreachable
    when the database is away at the end of the time, or of the block for half a minute.
    """
    awaited_by = uuid4()
    schedule: Schedule = {
        **question.schedule(),
        "expires_in": timeout if question.expires_in is None else min(timeout, question.expires_in),
    }
    try:
        # Broken off it could be committed after the withdrawal, which would find nothing.
        stored = await _to_the_end(
            store.put(
                question.id,
                question.scope,
                question.payload(),
                show=bool(question.conversation_id),
                request_key=request_key,
                if_answered="keep",
                awaited_by=awaited_by,
                stream=question.stream,
                **schedule,
            )
        )
    except asyncio.CancelledError:
        await _to_the_end(_leave(store, question, awaited_by))
        raise
    if stored.outcome in ENDED:
        ended = {PutOutcome.WITHDRAWN: "was withdrawn", PutOutcome.EXPIRED: "has expired"}
        raise Refused(
            f"question {question.id!r} {ended.get(stored.outcome, 'was answered')} before; ask under another id"
        )
    try:
        leased_at, found = await _end_of(store, question, stored.ask_number, awaited_by, timeout)
    except BaseException:
        await _to_the_end(_leave(store, question, awaited_by))
        raise
    if isinstance(found, NoAnswer):
        yield found
        return
    outcome = found.answer.outcome
    try:
        yield found.answer if outcome in ANSWERS else NoAnswer(outcome)
    except BaseException:
        await _to_the_end(_give_back(store, found))
        raise
    if not await _to_the_end(_mark_delivered(store, found, leased_at + HAND_OVER.total_seconds())):
        raise AnswerTaken(f"the answer to question {question.id!r} is delivered by the pods as well: {_AWAY}")


_AWAY = "this asker was away for longer than its lease"


async def _end_of(
    store: PendingStore,
    question: Question,
    ask_number: int,
    awaited_by: UUID,
    timeout: timedelta,  # noqa: ASYNC109
) -> tuple[float, LeasedAnswer | NoAnswer]:
    """Wait until the question has ended, and lease its ending.

    Returns with it when the lease began at the earliest (time.monotonic).
    """
    state = await _wait(store, question, ask_number, awaited_by, timeout)
    if state is NoAnswer.NOT_YET:
        # The database's clock has been set back, and its deadline is still to come.
        withdrawal = await store.withdraw(question.id, question.scope, awaited_by=awaited_by)
        state = _AFTER_WITHDRAWAL[withdrawal]
    now = time.monotonic()
    if state is NoAnswer.GONE:
        return now, state
    leased = await store.leases.lease_awaited(question.id, ask_number, awaited_by, lease=HAND_OVER)
    if isinstance(leased, LeasedAnswer):
        return now, leased
    if state is not None:
        return now, state
    if leased is None:
        raise AnswerTaken(f"the answer to question {question.id!r} goes to the pods: {_AWAY}")
    raise DatabaseFailed(f"the answer to question {question.id!r} cannot be read: {leased.reason}")


# A click that came before the withdrawal has answered.
_AFTER_WITHDRAWAL = {
    Withdrawal.WITHDRAWN: NoAnswer.EXPIRED,
    Withdrawal.ALREADY_WITHDRAWN: NoAnswer.WITHDRAWN,
    Withdrawal.ALREADY_EXPIRED: NoAnswer.EXPIRED,
    Withdrawal.ALREADY_ANSWERED: None,
    Withdrawal.UNKNOWN: NoAnswer.GONE,
}


async def _wait(
    store: PendingStore,
    question: Question,
    ask_number: int,
    awaited_by: UUID,
    timeout: timedelta,  # noqa: ASYNC109
) -> NoAnswer | None:
    """Return why there will be no answer, None when there is one; NOT_YET when it is open well after the time-out.

    GONE is also said when somebody else has begun to wait, since this asker was away.
    """
    now = time.monotonic()
    deadline, renew_at = now + timeout.total_seconds(), now + RENEW_SECONDS
    pause, outage = FIRST_POLL_SECONDS, Outage(_log)
    while (left := deadline - time.monotonic()) > -PATIENCE_SECONDS:
        try:
            state = await store.read_answer(question.id, question.scope, ask_number)
            if state is not NoAnswer.NOT_YET:
                return state
            if time.monotonic() > renew_at:
                if not await store.leases.keep_waiting(question.id, ask_number, awaited_by, awaited_for=AWAITED_FOR):
                    state = await store.read_answer(question.id, question.scope, ask_number)
                    return NoAnswer.GONE if state is NoAnswer.NOT_YET else state
                renew_at = time.monotonic() + RENEW_SECONDS
            outage.over()
        except DatabaseUnreachable as error:
            outage.report("the answer to question %r cannot be read for now: %s", question.id, error)
        await asyncio.sleep(min(pause, left + FIRST_POLL_SECONDS) if left > 0 else FIRST_POLL_SECONDS)
        pause = min(pause * 1.5, LONGEST_POLL_SECONDS)
    return NoAnswer.NOT_YET


async def _leave(store: PendingStore, question: Question, awaited_by: UUID) -> None:
    """Withdraw the question of an asker that gives up; an answer that is there already is the pods' at once."""
    try:
        await store.withdraw(question.id, question.scope, awaited_by=awaited_by)
        await store.leases.stop_waiting(question.id, awaited_by)
    except PendingctlError as error:
        _log.warning("question %r stays open although nobody waits for its answer: %s", question.id, error)


async def _give_back(store: PendingStore, leased: LeasedAnswer) -> None:
    """Leave an answer to the pods at once; where that fails, they have it when the lease has run out."""
    try:
        await store.leases.release(leased)
    except PendingctlError as error:
        _log.warning("the pods wait for the answer to question %s: %s", leased.answer.question_id, error)


async def _mark_delivered(store: PendingStore, leased: LeasedAnswer, until: float) -> bool:
    """Mark the answer, again after a lost connection while the lease lasts (time.monotonic).

    Nobody else can have taken it then: a mark that finds its lease gone was made by one whose reply was lost.
    """
    is_lost = False
    while True:
        try:
            is_marked = await store.leases.mark_delivered(leased)
            return is_marked or (is_lost and time.monotonic() < until)
        except DatabaseUnreachable:
            if time.monotonic() + LONGEST_POLL_SECONDS > until:
                raise
            is_lost = True
        await asyncio.sleep(LONGEST_POLL_SECONDS)


async def _to_the_end(work: Awaitable[T]) -> T:
    """Await it although the caller is cancelled meanwhile: half of it done, nobody would know where the answer is."""
    task = asyncio.ensure_future(work)
    cancelled = False
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError:
            if task.cancelled():
                raise
            cancelled = True
        except Exception:  # noqa: BLE001 (raised by the result below)
            break
    if cancelled:
        if (error := task.exception()) is not None:
            _log.warning("after a cancellation: %s", error)
        raise asyncio.CancelledError
    return task.result()
