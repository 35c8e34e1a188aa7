"""Asking a question and waiting for its answer, for whoever can wait: a script, or a coroutine."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from .errors import Refused
from .model import Answer, PutOutcome, Question, Withdrawal
from .store import PendingStore

# Short at first, for the person who sits in front of it.
FIRST_POLL_SECONDS = 0.1
LONGEST_POLL_SECONDS = 1.0
# For whoever waits, to read what was clicked in the last moment before pods take the answer over.
GRACE = timedelta(seconds=10)


async def ask(store: PendingStore, question: Question, *, timeout: timedelta) -> Answer | None:  # noqa: ASYNC109
    """Store a question, wait for its answer and return it, or None when it was withdrawn or nobody answered in time.

    Somebody else shows the question to the person: the bridge of a pod that posts its card, or the command `claim`.
    What is returned counts as delivered, and goes to no sink. A question that is not answered in time is withdrawn, as
    it is when the caller is cancelled. Should the caller die while it waits, the answer is delivered by the pods.

    Raises Refused when the question was answered before, ScopeMismatch, NotFound and the database's errors as
    `PendingStore.put` does.
    """
    scope = question.scope
    stored = await store.put(question.id, scope, question.payload(), if_answered="keep", awaited_for=timeout + GRACE)
    if stored.outcome is PutOutcome.ALREADY_ANSWERED:
        raise Refused(f"question {question.id!r} was answered before; ask under another id")
    try:
        async with asyncio.timeout(timeout.total_seconds()):
            return await _answer(store, question, stored.ask_number)
    except TimeoutError:
        await store.withdraw(question.id, scope.organization_id, scope.connection_id)
        # Who clicked before it was withdrawn has answered.
        last = await store.read_answer(question.id, scope, stored.ask_number)
        return last if isinstance(last, Answer) else None
    except asyncio.CancelledError:
        # Nobody waits any more.
        await store.withdraw(question.id, scope.organization_id, scope.connection_id)
        raise


async def _answer(store: PendingStore, question: Question, ask_number: int) -> Answer | None:
    pause = FIRST_POLL_SECONDS
    while True:
        found = await store.read_answer(question.id, question.scope, ask_number)
        if isinstance(found, Answer):
            return found
        if isinstance(found, Withdrawal):
            return None
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_POLL_SECONDS)
