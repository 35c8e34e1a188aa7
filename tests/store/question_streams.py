"""What becomes of a question, appended to its stream: leased, appended, and read back."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta

from pendingctl import Claim, PendingStore
from pendingctl.events.model import Event, StreamName
from pendingctl.events.streams import Streams
from pendingctl.leased import LeasedEvents, PostedCard
from pendingctl.pod.stream_events import ENDED, POSTED, StreamEvents, events_of
from pendingctl.postgres.connections import Connection
from tests.events.streaming import TALK, read_all
from tests.questions import SCOPE, click


async def lease(store: PendingStore, limit: int = 10) -> list[LeasedEvents]:
    return await store.leases.lease_events(lease=timedelta(seconds=6), longest=timedelta(minutes=5), limit=limit)


async def catch_up(store: PendingStore, streams: Streams) -> None:
    """Append all that is due, as a pod does."""
    await StreamEvents(store.leases, streams).append_all()


async def on_the_stream(streams: Streams, stream: StreamName = TALK) -> list[tuple[str, int, str | None]]:
    """The events of questions: type, ask number and outcome."""
    events = [item for item in await read_all(streams, stream) if isinstance(item, Event)]
    read = [(event.type, json.loads(event.data)) for event in events if event.type in (POSTED, ENDED)]
    return [(type, data["ask_number"], data.get("outcome")) for type, data in read]


async def post(store: PendingStore, ask_number: int) -> None:
    await store.leases.mark_posted([PostedCard(question_id="q", ask_number=ask_number, card='"1"')])


def appending(streams: Streams, leased: LeasedEvents) -> Callable[[Connection], Awaitable[None]]:
    stream, events = events_of(leased)

    async def append(connection: Connection) -> None:
        await streams.append(stream, events, connection=connection)

    return append


async def answer(store: PendingStore) -> None:
    assert isinstance(await store.claim(click()), Claim)


async def withdraw(store: PendingStore) -> None:
    await store.withdraw("q", SCOPE)
