"""Streams as a race uses them: the product's own, whose wake-ups and items the race can get at."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator

from ...events.model import Cursor, StreamItem, StreamName
from ...events.streams import Streams
from ...postgres.connections import ConnectionSource
from ..pods import wire

# Longer than the coordinator takes to kill a pod that waits for it.
KILLED_WITHIN_SECONDS = 30.0


class RacingStreams(Streams):
    """The product's streams. Without `is_waking` all wake-ups are dropped."""

    def __init__(
        self, source: ConnectionSource, *, pod: str, is_waking: bool = True, listen_dsn: str | None = None
    ) -> None:
        super().__init__(source, listen_dsn=listen_dsn, pod=pod)
        self.aimed: int | None = None
        """The order that has the next wake-up wait for the end of this process."""
        self._is_waking = is_waking
        self._lending = source

    def wake(self, *streams: StreamName) -> None:
        """Wake the readers, or wait to be killed: a wake-up follows its commit at once."""
        if self.aimed is not None:
            wire.report(wire.AIMED, f"{self.aimed} 0")
            time.sleep(KILLED_WITHIN_SECONDS)
            os._exit(1)
        if self._is_waking:
            super().wake(*streams)

    async def items(self, stream: StreamName, after: Cursor | None) -> AsyncGenerator[tuple[StreamItem, Cursor], None]:
        """Yield what a subscription does, each with the position after it."""
        subscription = self.subscribe(stream, after)
        async for item in subscription:
            yield item, subscription.position
