"""How a pod records its operations: around the store, which the bridge uses as any other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Unpack
from uuid import UUID

from ...errors import (
    AnswerTaken,
    DatabaseUnreachable,
    NotConnected,
    PendingctlError,
    RequestRefused,
    ScopeMismatch,
    Undelivered,
)
from ...model import Claim, Click, Refusal, Scope, Stored
from ...payload import JsonObject
from ...postgres.connections import Connection, Pool, WatchfulSource
from ...store import PendingStore, PutOptions
from ..history.files import HistoryFile, end_record, start_record
from ..history.history import Operation, Outcome, Reason, Reported
from ..plan.operations import PlannedOperation

_NOTHING = Reported()


@dataclass(slots=True)
class Note:
    """One operation under way. `aim` is awaited once, with the connection, right before the statement is sent."""

    planned: PlannedOperation
    aim: Callable[[Connection], Awaitable[None]] | None = None
    number: int | None = None
    started_ns: int = 0
    ended_ns: int | None = None
    outcome: Outcome = Outcome.UNKNOWN
    reported: Reported = _NOTHING
    backend_pid: int | None = None
    detail: str = ""
    stored: Stored | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)


# The bridge claims in a task of its own, which inherits the context of the click that caused it.
current_note: ContextVar[Note | None] = ContextVar("current_note", default=None)


class Recorder:
    """Writes a pod's operations to its history file: each before it is sent and again when it has ended."""

    def __init__(self, pod: str, file: HistoryFile) -> None:
        self._pod = pod
        self._file = file
        self._numbers = count()

    def begin(self, note: Note) -> None:
        """Write that the operation begins now."""
        note.number = next(self._numbers)
        note.started_ns = time.monotonic_ns()
        self._file.append(start_record(note.number, note.planned, note.started_ns))

    def end(self, note: Note, outcome: Outcome, reported: Reported = _NOTHING, detail: str = "") -> None:
        """Note how the operation ended; `write` writes it, when the reply is known as well."""
        note.ended_ns = time.monotonic_ns()
        note.outcome, note.reported, note.detail = outcome, reported, detail
        note.ended.set()

    def write(self, note: Note, reply: str | None = None) -> None:
        """Write how the operation ended."""
        assert note.number is not None
        operation = Operation(
            self._pod,
            note.number,
            note.planned,
            note.started_ns,
            note.ended_ns,
            note.outcome,
            note.reported,
            reply,
            note.backend_pid,
            note.detail,
        )
        self._file.append(end_record(operation))


class RecordingStore:
    """A store as the bridge sees it: it claims through another store and records the outcome for the click.

    It is no PendingStore on purpose: a method that it did not hand on would be the correct one, not the raced one.
    """

    def __init__(self, inner: PendingStore, recorder: Recorder) -> None:
        self.leases = inner.leases
        self.trail = inner.trail
        self.delete_untouched = inner.delete_untouched
        self._inner = inner
        self._recorder = recorder

    async def put(self, id: str, scope: Scope, payload: JsonObject, **options: Unpack[PutOptions]) -> Stored:
        """Put through the other store, and note what that did for whoever asked the bridge."""
        stored = await self._inner.put(id, scope, payload, **options)
        note = current_note.get()
        assert note is not None
        note.stored = stored
        return stored

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
    ) -> Claim | Refusal:
        """Claim through the other store, its errors included."""
        note = current_note.get()
        assert note is not None
        # The bridge tries again on another connection: by the same key and token that is the same claim, and what an
        # earlier try may have done stays unknown until one of them reports it.
        in_doubt = note.ended.is_set() and note.outcome is Outcome.UNKNOWN
        if note.number is None:
            self._recorder.begin(note)
        else:
            note.ended.clear()
            note.outcome = Outcome.UNKNOWN
        try:
            result = await self._inner.claim(click, lease=lease, lease_token=lease_token)
        except PendingctlError as error:
            outcome = Outcome.UNKNOWN if in_doubt else outcome_of_error(error)[0]
            self._recorder.end(note, outcome, detail=str(error))
            raise
        except BaseException as error:
            self._recorder.end(note, Outcome.UNKNOWN, detail=type(error).__name__)
            raise
        # Of a claim that the bridge has tried again the detail is why.
        self._recorder.end(note, *outcome_of(result), detail=note.detail)
        return result


class RecordingSource:
    """A pool that notes which backend serves an operation, and lets a fault aim at it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        # Waiting in the pool's own queue costs a task and a timer; here it costs a future.
        self._free = asyncio.Semaphore(pool.max_size)
        self._thresholds: dict[Connection, int | None] = {}

    @property
    def trouble(self) -> PendingctlError | None:
        """Why the pool has no connection, where it knows."""
        return self._pool.trouble if isinstance(self._pool, WatchfulSource) else None

    def suspect(self, since: float) -> None:
        """A connection has been silent since then (of `time.monotonic`)."""
        if isinstance(self._pool, WatchfulSource):
            self._pool.suspect(since)

    async def check(self) -> None:
        """Replace the connections that an earlier fault broke: an aimed operation would not be sent on them."""
        await self._pool.check()

    async def getconn(self) -> Connection:
        """Lend a connection of the pool."""
        note = current_note.get()
        if note is not None and note.aim is not None:
            await self.check()
        await self._free.acquire()
        try:
            connection = await self._pool.getconn()
        except BaseException:
            self._free.release()
            raise
        if note is not None:
            note.backend_pid = connection.info.backend_pid
            if note.aim is not None:
                aim, note.aim = note.aim, None
                # Preparing a statement is a round trip of its own, at which the fault would strike.
                self._thresholds[connection], connection.prepare_threshold = connection.prepare_threshold, None
                try:
                    await aim(connection)
                except BaseException:
                    await self.putconn(connection)
                    raise
        return connection

    async def putconn(self, conn: Connection, /) -> None:
        """Take it back."""
        if conn in self._thresholds:
            conn.prepare_threshold = self._thresholds.pop(conn)
        try:
            await self._pool.putconn(conn)
        finally:
            self._free.release()


def outcome_of(result: Claim | Refusal) -> tuple[Outcome, Reported]:
    """Return how a claim ended and what was reported."""
    if isinstance(result, Claim):
        outcome = Outcome.REPEATED if result.repeated else Outcome.OK
        reported = Reported(
            answer=result.value, at=result.claimed_at, payload=result.payload, ask_number=result.ask_number
        )
        return outcome, reported
    reason = Reason(result.reason.value)
    return Outcome.REFUSED, Reported(reason, result.answered_by, result.answer, result.claimed_at)


def outcome_of_error(error: PendingctlError) -> tuple[Outcome, Reason | None]:
    """Return the outcome of an operation that raised: on a connection that was lost it may have committed."""
    if isinstance(error, ScopeMismatch):
        return Outcome.REFUSED, Reason.OTHER_SCOPE
    if isinstance(error, RequestRefused):
        return Outcome.REFUSED, Reason.REQUEST_REFUSED
    if isinstance(error, Undelivered):
        return Outcome.REFUSED, Reason.UNDELIVERED
    if isinstance(error, AnswerTaken):
        return Outcome.REFUSED, Reason.LEASE_LOST
    if isinstance(error, DatabaseUnreachable) and not isinstance(error, NotConnected):
        return Outcome.UNKNOWN, None
    return Outcome.FAILED, None
