"""Where answers are delivered to: the worker that waits for them.

Delivery is at least once: a pod that dies between the hand-over and its mark leaves the answer to another pod. A worker
ignores an answer whose `idempotency_key` it has seen before.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Protocol, TypeAlias, runtime_checkable

from ..leased import LeasedAnswer
from ..model import ANSWERS, Answer, Outcome
from ..postgres.connections import Connection

AnswerHandler: TypeAlias = Callable[[Answer], Awaitable[None]]

# A failed answer is tried again after at most that; Postgres has no time that is timedelta.max from now.
MOST_RETRY_AFTER = timedelta(days=1)


class DeliveryFailed(Exception):
    """The worker did not take the answer. Any other exception of a sink means the same, without the details.

    `permanent`: trying again is of no use, and the answer is stuck until a person looks at it. `retry_after`: how long
    the worker wants to be left alone at least; a day at most is heeded.
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = None if retry_after is None else min(max(retry_after, timedelta()), MOST_RETRY_AFTER)


class Marks(Protocol):
    """What a sink asks of `store.leases`."""

    async def mark_delivered(self, leased: LeasedAnswer, *, connection: Connection | None = None) -> bool:
        """Mark an answer as delivered; return False when the lease was lost, and another pod delivers it."""
        ...

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """A connection in a transaction, for a mark beside a sink's own statement."""
        ...


@runtime_checkable
class AnswerSink(Protocol):
    """Hands answers to a worker.

    It may have `outcomes`, a collection of the endings of which the worker wants to hear; without, those that have an
    answer. Every other ending counts as delivered.
    """

    async def deliver(self, leased: LeasedAnswer, marks: Marks) -> bool:
        """Hand the answer over and mark it; return False when the lease was lost meanwhile. Raises when it failed."""
        ...


@dataclass(frozen=True, slots=True)
class CallableSink:
    """Awaits a Python callable, then marks the answer; `outcomes` are the endings of which it hears."""

    handler: AnswerHandler
    outcomes: frozenset[Outcome] = ANSWERS

    async def deliver(self, leased: LeasedAnswer, marks: Marks) -> bool:
        """Deliver by the callable; whatever it raises is a failure."""
        await self.handler(leased.answer)
        return await marks.mark_delivered(leased)


def fields_of(answer: Answer) -> dict[str, object]:
    """Return the answer's fields by their names. (`dataclasses.asdict` fails over a payload that is nested deeply.)"""
    return {field.name: getattr(answer, field.name) for field in fields(answer)}


def json_of(document: object) -> str:
    """Return the JSON text. Raises DeliveryFailed, permanently, for a payload of another writer that has none.

    What `put` has accepted has one. Its limits are not checked again, since what Postgres has read can be longer when
    it is written: 1e308 has 309 digits.
    """
    try:
        return json.dumps(document, ensure_ascii=False, allow_nan=False)
    except (ValueError, RecursionError) as error:
        raise DeliveryFailed(f"the answer cannot be written as JSON: {error}", permanent=True) from error


def outcomes_of(sink: AnswerSink) -> frozenset[Outcome]:
    """Return the endings of which the sink's worker wants to hear."""
    return frozenset(getattr(sink, "outcomes", ANSWERS))


def sink_of(sink: AnswerSink | AnswerHandler) -> AnswerSink:
    """Return the sink itself, or one that awaits the callable."""
    return sink if isinstance(sink, AnswerSink) else CallableSink(sink)
