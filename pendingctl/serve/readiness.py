"""Whether this pod is to be sent requests: after its first successful check of the database, until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import timedelta

from ..errors import DatabaseFailed, PendingctlError
from ..payload import JsonObject
from ..postgres.connections import Borrowed, ConnectionSource
from ..postgres.outages import Outage
from ..postgres.time_limits import Purpose
from ..printable import printable
from ..schema.migration_files import Status
from ..schema.migrations import status
from ..words import counted

# Until the first success, so that a pod is ready within a second of its database.
FIRST_LOOK_SECONDS = 0.5
LOOK_SECONDS = 5.0
# That somebody has rolled migrations back is rare, and this look connects anew.
SCHEMA_SECONDS = timedelta(seconds=60)
# A migration may hold the table for as long as it takes, and a server that hangs says nothing.
SCHEMA_WITHIN_SECONDS = 3.0

OK = "ok"
READ_ONLY = "this server or role is read-only: connect to the primary, or reset default_transaction_read_only"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class State:
    """What /readyz shows. `database` and `schema` are `ok`, or what is wrong with them."""

    is_ready: bool
    is_draining: bool
    database: str
    schema: str

    def as_json(self) -> JsonObject:
        """Return the body of the response."""
        return {
            "ready": self.is_ready,
            "draining": self.is_draining,
            "database": self.database,
            "schema": self.schema,
        }


class Readiness:
    """Looks at the database for as long as the pod lives.

    An outage after the first success leaves the pod ready: what a balancer answers when no pod is ready is no true
    reply to a click, and the pods' own reply is. A schema that is older than needed does not.
    """

    def __init__(self, source: ConnectionSource, dsn: str) -> None:
        self._source = source
        self._dsn = dsn
        self._has_succeeded = False
        self._is_draining = False
        self._database = "not looked at yet"
        self._schema = "not looked at yet"
        self._schema_looked_at = float("-inf")
        self._asked: Future[Status] | None = None
        self._outage = Outage(_log)

    def state(self) -> State:
        """Return what is known now."""
        is_ready = self._has_succeeded and self._schema == OK and not self._is_draining
        return State(is_ready, self._is_draining, self._database, self._schema)

    def drain(self) -> None:
        """Be unready from now on: the pod closes."""
        self._is_draining = True

    async def look(self, on_first_success: Callable[[], Awaitable[None]]) -> None:
        """Look again and again; begin the pod's work at the first success, and again where that fails."""
        while True:
            await self._look_once()
            if not self._has_succeeded and self._database == self._schema == OK:
                try:
                    await on_first_success()
                    self._has_succeeded = True
                    _log.info("ready")
                except PendingctlError as error:
                    self._database = _in_one_line(error)
                    self._outage.report("not ready: %s", error)
            await asyncio.sleep(LOOK_SECONDS if self._has_succeeded else FIRST_LOOK_SECONDS)

    async def _look_once(self) -> None:
        try:
            async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
                found = await borrowed.execute("select current_setting('transaction_read_only')")
                if await found.fetchone() != ("off",):
                    # As a standby is, on which nothing could be claimed.
                    raise DatabaseFailed(READ_ONLY)
            self._database = OK
            if not self._has_succeeded or time.monotonic() - self._schema_looked_at > SCHEMA_SECONDS.total_seconds():
                await self._look_at_the_schema()
            if self._schema == OK:
                self._outage.over()
        except DatabaseFailed as error:
            self._database = _in_one_line(error)
            self._outage.report("the database is out of reach: %s", error)

    async def _look_at_the_schema(self) -> None:
        """Note whether the migrations that this version has are applied; what a later one has added is no matter."""
        try:
            async with asyncio.timeout(SCHEMA_WITHIN_SECONDS):
                found = await asyncio.wrap_future(self._ask_for_the_schema())
        except TimeoutError:
            said = f"the database did not say within {SCHEMA_WITHIN_SECONDS:g} s which migrations are applied"
            # What was said before still holds.
            if self._has_succeeded:
                self._outage.report("%s", said)
            else:
                self._schema = said
        except DatabaseFailed:
            raise
        except PendingctlError as error:
            self._schema = _in_one_line(error)
        else:
            pending = counted(len(found.pending), "migration is", "migrations are")
            self._schema = f"{pending} pending; run pendingctl migrate" if found.pending else OK
        self._schema_looked_at = time.monotonic()
        if self._schema != OK:
            self._outage.report("not ready: %s", self._schema)

    def _ask_for_the_schema(self) -> Future[Status]:
        """Ask for the migrations that are applied, unless that is under way, in a thread that no process waits for.

        The end of one waits for an executor's threads, however long a database says nothing to them.
        """
        if self._asked is not None and not self._asked.done():
            return self._asked
        asked: Future[Status] = Future()
        asked.set_running_or_notify_cancel()

        def ask() -> None:
            try:
                asked.set_result(status(self._dsn))
            except Exception as error:  # noqa: BLE001 (raised where it is awaited)
                asked.set_exception(error)

        threading.Thread(target=ask, name="schema", daemon=True).start()
        self._asked = asked
        return asked


def _in_one_line(error: Exception) -> str:
    return printable(str(error))
