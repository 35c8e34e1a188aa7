"""What a pod of a race takes from limits: from keys that all take from, from its own, and from one that is used up.

Before and after each take it reads the database's clock, by a statement of its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

from ...errors import DatabaseFailed, PendingctlError
from ...postgres.connections import Borrowed, Pool, open_pool
from ...postgres.time_limits import Purpose
from ..history.files import HistoryFile
from ..rows import APPLICATION
from .controls import Limiter, limiter_for
from .files import look_record, open_pod_file, take_record
from .history import Look, Moment, Take, TakeOutcome
from .plan import HOT, limit_of, own_key, plan_costs, spent_key
from .rows import read_limit, read_moment

CONNECTIONS = 3
HOT_TAKERS_OF_AN_ORGANIZATION = 2
# At a hot key some come back too early.
EARLY = 0.9
# A take that has to be allowed is tried so often, each time after the wait that its denial names.
TRIES = 5
LOOKS = 4
# The clock is read again, every so often and for so long, while a server is away.
RETRY_SECONDS = 0.1
ANSWER_SECONDS = 30.0


class Taker:
    """Takes for one pod, and writes what it was answered."""

    def __init__(
        self,
        pod: str,
        number: int,
        organizations: tuple[str, str],
        seed: int,
        implementation: str,
        source: Pool,
        file: HistoryFile,
    ) -> None:
        self._pod = pod
        self._number = number
        self._organizations = organizations
        self._seed = seed
        self._implementation = implementation
        self._source = source
        self._file = file
        self._remembering = self._new_limiter()
        self._numbers = count()

    async def take_round(self, round_number: int) -> None:
        """Take all that is this pod's in a round. Raises DatabaseFailed where the clock cannot be read for long."""
        async with asyncio.TaskGroup() as takers:
            for organization in self._organizations:
                for place in range(HOT_TAKERS_OF_AN_ORGANIZATION):
                    costs = plan_costs(self._seed, self._number, round_number, f"{organization}/{place}")
                    takers.create_task(self._fight(organization, costs))
            takers.create_task(
                self._take_what_is_free(plan_costs(self._seed, self._number, round_number, own_key(self._number)))
            )
            takers.create_task(self._use_up(spent_key(round_number)))

    async def take_beside_a_fault(self) -> None:
        """Take once from each key from which all pods take. Raises as `take_round` does."""
        await asyncio.gather(*(self._take(organization, HOT, 1) for organization in self._organizations))

    async def _fight(self, organization: str, costs: list[int]) -> None:
        """Take from a key as fast as all others do."""
        for cost in costs:
            _, retry_seconds = await self._take(organization, HOT, cost)
            await asyncio.sleep(retry_seconds * EARLY)

    async def _take_what_is_free(self, costs: list[int]) -> None:
        """Take from the pod's own key, each time as a pod that remembers nothing; what is denied is tried again."""
        key = own_key(self._number)
        for cost in costs:
            for _ in range(TRIES):
                outcome, retry_seconds = await self._take(self._organizations[0], key, cost, is_new=True)
                if outcome is not TakeOutcome.DENIED:
                    break
                await asyncio.sleep(retry_seconds)
            else:
                return

    async def _use_up(self, key: str) -> None:
        """Take a key's whole burst, and look at its row before and after each denial."""
        organization = self._organizations[0]
        for _ in range(limit_of(key).burst + 1):
            if (await self._take(organization, key, 1))[0] is TakeOutcome.DENIED:
                break
        await self._look(organization, key)
        for _ in range(LOOKS):
            await self._take(organization, key, 1, is_new=True)
            await self._look(organization, key)

    async def _take(self, organization: str, key: str, cost: int, *, is_new: bool = False) -> tuple[TakeOutcome, float]:
        """Return how a take has ended, and how many seconds to wait for the same."""
        limiter = self._new_limiter() if is_new else self._remembering
        take = Take(self._pod, next(self._numbers), organization, key, cost, is_new, await self._moment())
        self._file.append(take_record(take))
        retry_seconds = 0.0
        try:
            decision = await limiter.take(organization, key, limit_of(key), cost)
        except PendingctlError as error:
            take = replace(take, detail=str(error))
        else:
            take = replace(take, outcome=TakeOutcome.ALLOWED if decision.allowed else TakeOutcome.DENIED)
            retry_seconds = decision.retry_after.total_seconds()
        self._file.append(take_record(replace(take, ended=await self._moment())))
        return take.outcome, retry_seconds

    async def _look(self, organization: str, key: str) -> None:
        began = await self._moment()
        try:
            async with Borrowed(self._source, purpose=Purpose.LOOP) as connection:
                row = await read_limit(connection, organization, key)
        except DatabaseFailed:
            return
        self._file.append(look_record(Look(self._pod, organization, key, began, await self._moment(), row)))

    async def _moment(self) -> Moment:
        until = time.monotonic() + ANSWER_SECONDS
        while True:
            try:
                async with Borrowed(self._source, purpose=Purpose.LOOP) as connection:
                    return await read_moment(connection)
            except DatabaseFailed:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(RETRY_SECONDS)

    def _new_limiter(self) -> Limiter:
        return limiter_for(self._implementation, self._source)


@asynccontextmanager
async def open_taker(
    dsn: str,
    *,
    pod: str,
    number: int,
    organizations: tuple[str, str],
    seed: int,
    implementation: str,
    directory: Path,
) -> AsyncIterator[Taker]:
    """Yield what takes for a pod, on connections of its own, which it makes when it needs them, and writes there."""
    file = open_pod_file(directory, pod)
    async with open_pool(dsn, application=APPLICATION, min_size=0, max_size=CONNECTIONS) as source:
        yield Taker(pod, number, organizations, seed, implementation, source, file)
    file.close()
