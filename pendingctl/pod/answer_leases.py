"""What a delivery asks of a store."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from ..inspected import State
from ..leased import LeasedAnswer, Unreadable
from ..model import Due, Outcome
from ..pods import Heartbeat
from ..sinks import Marks


class AnswerLeases(Marks, Protocol):
    """What a delivery asks of `store.leases`."""

    async def due(self) -> Due:
        """Return whether answers wait."""
        ...

    async def lease(
        self,
        *,
        lease: timedelta,
        limit: int,
        most_attempts: int,
        after: str = "",
        busy: Collection[str] = (),
        endings: bool = False,
    ) -> list[LeasedAnswer | Unreadable]:
        """Take over answers that wait, or other endings."""
        ...

    async def hear(self, outcomes: Collection[Outcome]) -> None:
        """Note of which endings the worker wants to hear."""
        ...

    async def beat(self, outcomes: Collection[Outcome], heartbeat: Heartbeat) -> None:
        """Note the same, and that the pod lives."""
        ...

    async def leave(self, instance: UUID) -> None:
        """Remove the note that the pod lives."""
        ...

    async def expire(self, *, limit: int) -> int:
        """End questions whose deadline has passed."""
        ...

    async def mark_failed(
        self,
        leased: LeasedAnswer | Unreadable,
        error: str,
        *,
        retry_in: timedelta,
        most_attempts: int,
        permanent: bool = False,
    ) -> State | None:
        """Give a lease back after a failure."""
        ...

    async def release(self, leased: LeasedAnswer) -> bool:
        """Give a lease back whose hand-over never began."""
        ...

    async def give_back(self, leased: Collection[LeasedAnswer], *, begun: Collection[UUID] = ()) -> set[str]:
        """Give back what was not brought to an end; return the ids of rows that are locked."""
        ...


class AnswerStore(Protocol):
    """A store as a delivery sees it."""

    @property
    def leases(self) -> AnswerLeases:
        """Its leases."""
        ...
