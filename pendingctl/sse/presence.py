"""While a client is there: a block that ends early when it goes away, or when its time is over."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from .access import Receive


class Presence:
    """The block ends early when the client that `receive` listens to is gone, as `is_gone` says, or at `until`.

    It also ends where `receive` fails, and raises what that has raised: of a client that goes then nothing would tell.
    """

    __slots__ = ("_error", "_limit", "_receive", "_until", "_watching", "is_gone")

    def __init__(self, receive: Receive, until: datetime | None) -> None:
        self._receive = receive
        self._until = until
        self._error: Exception | None = None
        self.is_gone = False

    async def __aenter__(self) -> Self:
        left = None if self._until is None else (self._until - datetime.now(UTC)).total_seconds()
        self._limit = asyncio.timeout(left)
        await self._limit.__aenter__()
        self._watching = asyncio.create_task(self._watch(), name="until a client is gone")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        self._watching.cancel()
        try:
            await self._limit.__aexit__(kind, error, traceback)
        except TimeoutError:
            if self._error is not None:
                raise self._error from None
            return True
        return None

    async def _watch(self) -> None:
        try:
            while (await self._receive())["type"] != "http.disconnect":
                pass
            self.is_gone = True
        except Exception as error:  # noqa: BLE001 (it is a server's, or a middleware's)
            self._error = error
        if not self._limit.expired():
            self._limit.reschedule(0.0)
