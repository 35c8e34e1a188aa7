"""Wake-ups of other pods, heard on a connection of their own. A hint only: whoever relies on them alone misses some."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from uuid import uuid4

from psycopg import sql

from ..errors import PendingctlError
from ..postgres.connections import Borrowed, Connection, ConnectionSource
from ..postgres.driver_errors import translated_errors
from ..postgres.outages import Outage
from ..postgres.sessions import within
from ..postgres.time_limits import Purpose
from .own_connections import connect_to_wait
from .waking import CHANNEL

_KEY = re.compile("[0-9a-f]{16}")
_ECHO = "echo "
_ECHO_STATEMENT = "select pg_notify(%(channel)s, %(payload)s)"
ECHO_SECONDS = 2.0
# After a failure; doubled up to the longest while they go on.
FIRST_PAUSE = 0.25
LONGEST_PAUSE = 5.0
# Where wake-ups did not come through; a pooler in between stays there.
PAUSE_UNHEARD = 30.0
# How often a proof is asked for anew where changes were found that nobody had announced.
PROOF_SECONDS = 10.0

_log = logging.getLogger(__name__)


class _Unheard(Exception):
    """What was sent over another connection has not come back."""


class Listening:
    """LISTEN over a connection of its own, which counts once an echo sent over another one has come back.

    (Over its own it would also come back through a pooler that hands sessions on, from whose others nothing is heard.)
    `dsn` returns where to connect. `hear` is called with the keys of each wake-up, and `change` whenever `is_proven`
    has changed.
    """

    def __init__(
        self,
        source: ConnectionSource,
        dsn: Callable[[], Awaitable[str]],
        hear: Callable[[Sequence[str]], None],
        change: Callable[[], None],
    ) -> None:
        self._source = source
        self._dsn = dsn
        self._hear = hear
        self._change = change
        self.is_proven = False
        self.heard = 0
        """How many wake-ups were heard."""
        self._suspected = asyncio.Event()
        self._proven_at = 0.0
        self._echoed = asyncio.Event()
        self._echo = ""
        self._outage = Outage(_log)
        self._unheard = Outage(_log)

    def suspect(self) -> None:
        """Something has changed without a wake-up: have it proven again that they are heard, once in a while."""
        if time.monotonic() - self._proven_at >= PROOF_SECONDS:
            self._suspected.set()

    async def run(self) -> None:
        """Listen until this is cancelled, whatever fails."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self._listen()
            except _Unheard:
                self._unheard.report(
                    "wake-ups of streams do not come through, as through a pooler that hands sessions on; streams are "
                    "polled instead, which is slower (listen_dsn may lead past the pooler)"
                )
                pause = PAUSE_UNHEARD
            except PendingctlError as error:
                pause = FIRST_PAUSE if self.is_proven else min(pause * 2, LONGEST_PAUSE)
                self._outage.report("wake-ups of streams are not heard for now: %s", error)
            except Exception:  # noqa: BLE001 (it must outlive whatever it meets)
                pause = LONGEST_PAUSE
                _log.exception("wake-ups of streams are not heard for now")
            finally:
                self._set_proven(False)
            await asyncio.sleep(pause)

    def _set_proven(self, is_proven: bool) -> None:
        if is_proven != self.is_proven:
            self.is_proven = is_proven
            self._change()

    async def _listen(self) -> None:
        connection = await connect_to_wait(await self._dsn(), "pendingctl listener")
        tasks: list[asyncio.Task[None]] = []
        try:
            with translated_errors(), within(connection, Purpose.LOOP.seconds):
                await connection.set_autocommit(True)
                await connection.execute(sql.SQL("listen {}").format(sql.Identifier(CHANNEL)))
            tasks = [asyncio.create_task(self._receive(connection)), asyncio.create_task(self._prove())]
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            try:
                await asyncio.gather(*tasks, return_exceptions=True)
            finally:
                await connection.close()

    async def _receive(self, connection: Connection) -> None:
        with translated_errors():
            async with aclosing(connection.notifies()) as notifications:
                async for notification in notifications:
                    payload = notification.payload
                    if payload.startswith(_ECHO):
                        if payload == self._echo:
                            self._echoed.set()
                        continue
                    self.heard += 1
                    self._hear(_KEY.findall(payload))

    async def _prove(self) -> None:
        while True:
            self._echo = f"{_ECHO}{uuid4().hex}"
            self._echoed.clear()
            async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
                await borrowed.execute(_ECHO_STATEMENT, {"channel": CHANNEL, "payload": self._echo})
            try:
                async with asyncio.timeout(ECHO_SECONDS):
                    await self._echoed.wait()
            except TimeoutError as error:
                raise _Unheard from error
            self._outage.over()
            self._unheard.over()
            self._proven_at = time.monotonic()
            self._suspected.clear()
            self._set_proven(True)
            await self._suspected.wait()
