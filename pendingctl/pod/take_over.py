"""Takes over what is due on the platform, some at a time, so that no tenant keeps the others waiting."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Generic, Protocol, TypeVar

from ..errors import PendingctlError
from ..logged import about
from ..turns import Turns
from .background import LAST_SECONDS, Background
from .loop import POLL_SECONDS

AT_ONCE = 10
# One tenant's platform that hangs leaves the rest to the others.
MOST_OF_A_TENANT = 7

_log = logging.getLogger(__name__)


class OfATenant(Protocol):
    """What is leased of some tenant's question."""

    @property
    def organization_id(self) -> str:
        """The tenant."""
        ...

    @property
    def question_id(self) -> str:
        """The question."""
        ...


T = TypeVar("T", bound=OfATenant)

# Leases at most so many, of these (organization, connection) pairs.
Lease = Callable[[Collection[tuple[str, str]], int], Awaitable[Sequence[T]]]


class TakeOver(Generic[T]):
    """Leases what is due of the connections that `served` returns, and has each worked on, until nothing is due.

    `what` names it in logs.
    """

    def __init__(
        self,
        what: str,
        lease: Lease[T],
        work: Callable[[T], Awaitable[None]],
        served: Callable[[], Collection[tuple[str, str]]],
    ) -> None:
        self._what = what
        self._lease = lease
        self._work = work
        self._served = served
        self._leasing = Background()
        self._working = Background()
        # Leased and not begun, by question.
        self._waiting: dict[str, T] = {}
        self._tenant_turns = Turns[str](MOST_OF_A_TENANT)
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._working)

    def begin(self) -> None:
        """Begin, unless it is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name=f"{self._what} that are due")

    async def close(self, until: float) -> list[T]:
        """Take over no more, and break off what is not done `until` then (time.monotonic).

        Returns what was leased and is not begun.
        """
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=LAST_SECONDS)
        await self._leasing.drain(time.monotonic() + LAST_SECONDS)
        await self._working.drain(until)
        waiting, self._waiting = list(self._waiting.values()), {}
        return waiting

    async def _run(self) -> None:
        try:
            while True:
                # No tenant gets more than its share, so that one whose platform hangs leaves room for the others.
                room = min(AT_ONCE - len(self._working), self._tenant_turns.room())
                if room <= 0:
                    await self._working.one_done()
                    continue
                busy = set(self._tenant_turns.full())
                served = [each for each in self._served() if each[0] not in busy]
                # Not broken off with this task: what is leased would be nobody's until its lease has run out.
                leased = await asyncio.shield(self._leasing.start(self._take(served, room), f"lease of {self._what}"))
                # Each takes its turn, or waits for one.
                await asyncio.sleep(0)
                if len(leased) < room:
                    if not busy:
                        return
                    # All that was under way may have ended while nothing was leased: then the tenants have turns again.
                    await self._working.one_done(within=POLL_SECONDS)
        except PendingctlError as error:
            _log.warning("%s cannot be taken over for now: %s", self._what, error)
        except Exception:  # noqa: BLE001 (the next look must not find this one under way for ever)
            _log.exception("%s cannot be taken over for now", self._what)

    async def _take(self, served: Collection[tuple[str, str]], room: int) -> Sequence[T]:
        leased = await self._lease(served, room)
        for each in leased:
            self._waiting[each.question_id] = each
            with about(organization=each.organization_id, question=each.question_id):
                self._working.leave(self._in_turn(each), f"{self._what} of question {each.question_id!r}")
        return leased

    async def _in_turn(self, leased: T) -> None:
        async with self._tenant_turns.turn(leased.organization_id):
            self._waiting.pop(leased.question_id, None)
            await self._work(leased)
