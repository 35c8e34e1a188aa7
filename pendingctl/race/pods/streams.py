"""The streams of one pod of a race, with the moment of an append at which a fault can be aimed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from ...events.model import NewEvent, StreamName
from ...events.streams import Streams
from ...pod.stream_events import ENDED
from ...postgres.connections import Connection, ConnectionSource
from .gate import Gate
from .wire import Assignment


class RacingStreams:
    """Appends to the streams of the database.

    Whichever pod is the first to append an ending that is aimed at waits at its gate, in the middle of that: the others
    find its mark in the history's folder `appends`.
    """

    def __init__(self, assignment: Assignment, source: ConnectionSource, gate: Gate) -> None:
        self._streams = Streams(source, pod=assignment.name)
        self._first = Path(assignment.history, "appends")
        self._first.mkdir(exist_ok=True)
        self._gate = gate
        self._aims: dict[str, int] = {}

    def aim(self, question_id: str, order: int) -> None:
        """Let the first append of this question's ending wait at the gate, between that and its mark."""
        self._aims[question_id] = order

    async def append(self, stream: StreamName, events: Sequence[NewEvent], *, connection: Connection | None) -> object:
        """Append events."""
        appended = await self._streams.append(stream, events, connection=connection)
        question_id = json.loads(events[-1].data)["question_id"]
        if events[-1].type == ENDED and (order := self._aims.pop(question_id, None)) is not None:
            try:
                (self._first / question_id).touch(exist_ok=False)
            except FileExistsError:
                return appended
            await self._gate.wait(order)
        return appended

    def wake(self, *streams: StreamName) -> None:
        """Have the readers look."""
        self._streams.wake(*streams)

    async def settled(self) -> None:
        """Wait until all wake-ups are sent."""
        await self._streams.settled()
