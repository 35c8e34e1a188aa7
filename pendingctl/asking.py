"""Asking a question and waiting for its answer: for a script, or a coroutine that can wait."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta

from .errors import DatabaseUnreachable, Refused
from .model import Answer, NoAnswer, PutOutcome, Question
from .postgres.outages import Outage
from .store import PendingStore

# Short at first, for the person who sits in front of it.
FIRST_POLL_SECONDS = 0.1
LONGEST_POLL_SECONDS = 1.0
# Time for the asker to read what was clicked in the last moment, before pods take the answer over.
GRACE = timedelta(seconds=10)

_log = logging.getLogger(__name__)


async def ask(store: PendingStore, question: Question, *, timeout: timedelta) -> Answer | None:  # noqa: ASYNC109
    """Store a question, wait for its answer and return it, or None when it was withdrawn or nobody answered in time.

    Somebody else shows the question to the person: the bridge of a pod that posts its card, or the command `claim`.
    What is returned counts as delivered, and goes to no sink. A question that is not answered in time is withdrawn, as
    it is when the caller is cancelled. Should the caller die while it waits, the answer is delivered by the pods. A
    database that goes away while the caller waits may come back.

    Raises Refused when the question was answered before, ScopeMismatch, NotFound and the database's errors as
    `PendingStore.put` does, and DatabaseUnreachable when the database is away at the end.
    """
    scope = question.scope
    stored = await store.put(question.id, scope, question.payload(), if_answered="keep", awaited_for=timeout + GRACE)
    if stored.outcome is PutOutcome.ALREADY_ANSWERED:
        raise Refused(f"question {question.id!r} was answered before; ask under another id")
    until = time.monotonic() + timeout.total_seconds()
    pause, outage = FIRST_POLL_SECONDS, Outage(_log)
    try:
        while (left := until - time.monotonic()) > 0:
            try:
                found = await store.read_answer(question.id, scope, stored.ask_number)
            except DatabaseUnreachable as error:
                outage.report("the answer to question %s cannot be read for now: %s", question.id, error)
            else:
                if found is not NoAnswer.NOT_YET:
                    return found if isinstance(found, Answer) else None
                outage.over()
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 1.5, LONGEST_POLL_SECONDS)
    except asyncio.CancelledError:
        await store.withdraw(question.id, scope)
        raise
    await store.withdraw(question.id, scope)
    # A click that came before the withdrawal has answered.
    last = await store.read_answer(question.id, scope, stored.ask_number)
    return last if isinstance(last, Answer) else None
