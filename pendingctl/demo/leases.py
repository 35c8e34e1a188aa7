"""What killed pods have left: no other one posts that card or delivers that answer until their lease ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime

from ..inspected import Lease, Leased
from ..store.filters import Sort
from ..store.inspection import Inspection

_LOOK_SECONDS = 0.5


class LeftLeases:
    """Looks which leases pods have left that were killed; `first` is the one that ends first.

    `is_serving` says of a pod whether it serves now.
    """

    def __init__(self, is_serving: Callable[[str], bool]) -> None:
        self._is_serving = is_serving
        self._left: dict[tuple[str, Leased, datetime], Lease] = {}

    @property
    def first(self) -> Lease | None:
        return next(iter(self._left.values()), None)

    async def look(self, inspection: Inspection) -> None:
        """Look for ever, at the newest questions. Raises DatabaseFailed where the database is away."""
        while True:
            newest = await inspection.find(sort=Sort.NEWEST)
            leases = await inspection.leases([row.id for row in newest])
            running = {(each.question_id, each.what, each.until): each for each in leases if each.seconds_left > 0}
            # A pod that serves again has nothing of what it had before.
            self._left = {
                key: each
                for key, each in running.items()
                if key in self._left or (each.pod is not None and not self._is_serving(each.pod))
            }
            await asyncio.sleep(_LOOK_SECONDS)
