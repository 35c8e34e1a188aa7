"""How a pod of a race on streams notes what it does, and what readers get."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

from ...errors import InvalidInput, PendingctlError, Refused
from ...events.model import Appended, Cursor, End, Event, Gap, NewEvent, Reset, StreamItem, StreamName
from ..history.files import HistoryFile
from ..history.history import Outcome
from ..pods.recording import outcome_of_error
from .files import item_record, operation_record, session_record
from .history import Append, Ending, EndingKind, Item, ItemKind, Session, Tag, Way


class RolledBack(Exception):
    """A transaction was to be rolled back: what it has appended surely is not there."""


class StreamRecorder:
    """Writes to the pod's history file."""

    def __init__(self, pod: str, file: HistoryFile) -> None:
        self._pod = pod
        self._file = file
        self._numbers = count()

    def begin(self, name: str, stream: str, way: Way, events: int, transaction: str | None = None) -> Append:
        """Write that an append begins now."""
        append = Append(
            self._pod, next(self._numbers), name, stream, way, events, time.monotonic_ns(), transaction=transaction
        )
        self._file.append(operation_record(append))
        return append

    def end(self, append: Append, result: Appended | BaseException) -> None:
        """Write how an append has ended."""
        ended = replace(append, ended_ns=time.monotonic_ns())
        match result:
            case Appended():
                ended = replace(
                    ended,
                    outcome=Outcome.OK,
                    first_seq=result.first_seq,
                    last_seq=result.last_seq,
                    is_repeated=result.is_repeated,
                )
            case _:
                ended = replace(ended, outcome=outcome_of(result), detail=str(result) or type(result).__name__)
        self._file.append(operation_record(ended))

    async def note_ending(self, stream: str, kind: EndingKind, end: Callable[[], Awaitable[int]]) -> Outcome:
        """End a stream, write when that began and how it went, and return that."""
        ending = Ending(self._pod, next(self._numbers), stream, kind, time.monotonic_ns())
        self._file.append(operation_record(ending))
        try:
            last_seq = await end()
        except PendingctlError as error:
            ended = replace(ending, outcome=outcome_of(error), detail=str(error))
        else:
            ended = replace(ending, outcome=Outcome.OK, last_seq=last_seq)
        self._file.append(operation_record(replace(ended, ended_ns=time.monotonic_ns())))
        return ended.outcome

    async def note_items(
        self,
        reader: str,
        stream: str,
        after: str | None,
        items: AsyncGenerator[tuple[StreamItem, Cursor], None],
        before_next: Callable[[], Awaitable[None]],
    ) -> None:
        """Write each item of a subscription as it comes, until it ends, and wait for `before_next` after each."""
        session = Session(self._pod, next(self._numbers), reader, stream, after, time.monotonic_ns())
        self._file.append(session_record(session))
        try:
            async with aclosing(items):
                async for item, position in items:
                    self._file.append(item_record(session.number, _noted(item, position)))
                    await before_next()
        finally:
            self._file.append(session_record(replace(session, ended_ns=time.monotonic_ns())))


def outcome_of(error: BaseException) -> Outcome:
    """Return the outcome of an append or an end that raised."""
    if isinstance(error, InvalidInput | Refused):
        return Outcome.REFUSED
    if isinstance(error, RolledBack):
        return Outcome.FAILED
    return outcome_of_error(error)[0] if isinstance(error, PendingctlError) else Outcome.UNKNOWN


def named(label: str) -> StreamName:
    """Return the stream that a race calls `organization/name`."""
    organization, _, name = label.rpartition("/")
    return StreamName(organization, name)


def tagged(stream: str, append: str, events: int) -> list[NewEvent]:
    """Return the events of an append."""
    return [NewEvent("said", str(Tag(stream, append, place))) for place in range(events)]


def text_of(at: datetime) -> str:
    """Return a time of the database as a history has it."""
    return at.astimezone(UTC).isoformat()


def _noted(item: StreamItem, position: Cursor) -> Item:
    now, cursor = time.monotonic_ns(), str(position)
    match item:
        case Event():
            return Item(now, ItemKind.EVENT, item.seq, item.seq, text_of(item.at), item.data, cursor)
        case Gap():
            return Item(now, ItemKind.GAP, item.first, item.last, cursor=cursor)
        case Reset():
            return Item(now, ItemKind.RESET, item.last_seq, item.last_seq, cursor=cursor)
        case End():
            return Item(now, ItemKind.END, item.last_seq, item.last_seq, cursor=cursor)
