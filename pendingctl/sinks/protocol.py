"""Where answers are delivered to: the worker that waits for them.

Delivery is at least once: a pod that dies between the hand-over and its mark leaves the answer to another pod. A worker
ignores an answer whose `idempotency_key` it has seen before.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeAlias, runtime_checkable

from ..model import Answer, LeasedAnswer
from ..postgres.connections import Connection

AnswerHandler: TypeAlias = Callable[[Answer], Awaitable[None]]


class DeliveryFailed(Exception):
    """The worker did not take the answer. Any other exception of a sink means the same, without the details.

    `permanent`: trying again is of no use, and the answer is stuck until a person looks at it. `retry_after`: how long
    the worker wants to be left alone at least.
    """

    def __init__(self, message: str, *, permanent: bool = False, retry_after: timedelta | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.retry_after = retry_after


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
    """Hands answers to a worker."""

    async def deliver(self, leased: LeasedAnswer, marks: Marks) -> bool:
        """Hand the answer over and mark it; return False when the lease was lost meanwhile. Raises when it failed."""
        ...


@dataclass(frozen=True, slots=True)
class CallableSink:
    """Awaits a Python callable, then marks the answer."""

    handler: AnswerHandler

    async def deliver(self, leased: LeasedAnswer, marks: Marks) -> bool:
        """Deliver by the callable; whatever it raises is a failure."""
        await self.handler(leased.answer)
        return await marks.mark_delivered(leased)


def sink_of(sink: AnswerSink | AnswerHandler) -> AnswerSink:
    """Return the sink itself, or one that awaits the callable."""
    return sink if isinstance(sink, AnswerSink) else CallableSink(sink)
