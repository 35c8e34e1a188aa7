"""Appends to the streams of questions that their cards were posted and how they have ended."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, timedelta
from typing import Protocol

from ..errors import DatabaseUnreachable, InvalidInput, PendingctlError, StreamClosed
from ..events.model import MAX_EVENT_BYTES, NewEvent, StreamName
from ..leased import LeasedEvents
from ..logged import about
from ..payload import JsonObject, JsonValue, encode_json, read_json, read_time
from ..postgres.connections import Connection
from .background import LAST_SECONDS

POSTED = "question.posted"
ENDED = "question.ended"

AT_ONCE = 10
# Longer than one append may take; it is doubled with each attempt.
LEASE = timedelta(seconds=6)
LONGEST_DELAY = timedelta(minutes=5)

_log = logging.getLogger(__name__)


class EventLeases(Protocol):
    """What this asks of `store.leases`."""

    async def lease_events(self, *, lease: timedelta, longest: timedelta, limit: int) -> list[LeasedEvents]:
        """Take over what is to be appended."""
        ...

    async def append_events(
        self, leased: LeasedEvents, append: Callable[[Connection], Awaitable[object]], *, error: str | None = None
    ) -> bool:
        """Append and mark, both or neither."""
        ...

    async def mark_not_appended(self, leased: LeasedEvents, error: str) -> None:
        """Note why it was not appended this time."""
        ...


class QuestionStreams(Protocol):
    """The streams as this sees them: `events.streams.Streams`."""

    async def append(self, stream: StreamName, events: Sequence[NewEvent], *, connection: Connection | None) -> object:
        """Append events in a transaction."""
        ...

    def wake(self, *streams: StreamName) -> None:
        """Have the readers look."""
        ...


class StreamEvents:
    """One pod's part in appending what has become of questions to their streams, once for each asking.

    An append and its mark are one transaction, so an event is neither missing nor there twice, whoever dies. A stream
    that somebody has locked is tried again after 6, 12, 24, … seconds, 5 minutes at most, for as long as the row lives;
    no click, delivery or other stream waits for it. A stream that is closed gets nothing: the row and the log say so.
    """

    def __init__(self, leases: EventLeases, streams: QuestionStreams) -> None:
        self._leases = leases
        self._streams = streams
        self._task: asyncio.Task[None] | None = None

    def catch_up(self) -> None:
        """Begin to append what is due, until nothing is; nothing happens while that is under way."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self.append_all(), name="events of questions")

    async def close(self) -> None:
        """Append no more; what is under way is rolled back, and left to the other pods."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=LAST_SECONDS)

    async def append_all(self) -> None:
        """Append what is due, until nothing is."""
        try:
            while leased := await self._leases.lease_events(lease=LEASE, longest=LONGEST_DELAY, limit=AT_ONCE):
                # One after the other: the loop's connections are few, and a locked stream holds one for a while.
                for each in leased:
                    with about(organization=each.organization_id, question=each.question_id):
                        await self._append(each)
        except PendingctlError as error:
            _log.warning("events of questions cannot be appended for now: %s", error)
        except Exception:  # noqa: BLE001 (the next look must not find this one under way for ever)
            _log.exception("events of questions cannot be appended for now")

    async def _append(self, leased: LeasedEvents) -> None:
        try:
            stream, events = events_of(leased)
        except InvalidInput as error:
            await self._leave_out(leased, error)
            return

        async def append(connection: Connection) -> None:
            await self._streams.append(stream, events, connection=connection)

        try:
            if await self._leases.append_events(leased, append):
                self._streams.wake(stream)
        except StreamClosed as error:
            await self._leave_out(leased, error)
        except PendingctlError as error:
            if isinstance(error, DatabaseUnreachable):
                raise
            _log.warning("an event of question %r is appended later: %s", leased.question_id, error)
            await self._leases.mark_not_appended(leased, str(error))

    async def _leave_out(self, leased: LeasedEvents, error: PendingctlError) -> None:
        async def nothing(_: Connection) -> None:
            """Append nothing."""

        if await self._leases.append_events(leased, nothing, error=str(error)):
            _log.error("an event of question %r is left out of its stream: %s", leased.question_id, error)


def events_of(leased: LeasedEvents) -> tuple[StreamName, list[NewEvent]]:
    """Return what is to be appended of one asking, and where: that its card was posted, then how it has ended.

    What would be too large for an event has neither text nor answer, and says so by `is_shortened`. Raises InvalidInput
    for a stream whose name is none, as somebody else may have written it into the row.
    """
    read = read_json(leased.asking)
    asking = read if isinstance(read, Mapping) else {}
    stream = asking.get("stream")
    name = StreamName(leased.organization_id, stream if isinstance(stream, str) else "")
    common: dict[str, JsonValue] = {"question_id": leased.question_id, "ask_number": asking.get("ask_number")}
    events: list[NewEvent] = []
    if asking.get("posted_at") is not None:
        posted: dict[str, JsonValue] = {**common, "text": asking.get("text"), "at": _time(asking.get("posted_at"))}
        events.append(NewEvent(POSTED, _as_json(posted, "text")))
    if asking.get("outcome") is not None:
        ended: dict[str, JsonValue] = {
            **common,
            "outcome": asking.get("outcome"),
            "answer": asking.get("answer"),
            "answered_by": asking.get("answered_by"),
            "at": _time(asking.get("ended_at")),
        }
        events.append(NewEvent(ENDED, _as_json(ended, "answer")))
    return name, events


def _as_json(data: JsonObject, large: str) -> str:
    try:
        return encode_json(data, "the event", MAX_EVENT_BYTES)
    except InvalidInput:
        return encode_json({**data, large: None, "is_shortened": True}, "the event", MAX_EVENT_BYTES)


def _time(stored: JsonValue) -> str | None:
    at = read_time(stored)
    return None if at is None else at.astimezone(UTC).isoformat()
