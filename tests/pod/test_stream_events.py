"""A pod appends to the streams of questions what becomes of them, and wakes their readers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import psycopg
import pytest

from pendingctl import InteractionBridge, PendingStore, ReplyKind
from pendingctl.events.model import Event
from pendingctl.events.streams import Streams
from pendingctl.pod.stream_events import ENDED, POSTED
from pendingctl.postgres.connections import Pool
from tests.events.streaming import TALK, held, said
from tests.faults.moments import came_true
from tests.pods import QUESTION, Pod, RecordingPlatform
from tests.questions import click

ASKED = replace(QUESTION, stream="talk")


async def take(_: object) -> None:
    """Take an answer."""


def pod(store: PendingStore, streams: Streams) -> InteractionBridge:
    bridge = InteractionBridge(store, RecordingPlatform(), take, streams=streams)
    bridge.register("acme", "slack")
    return bridge


@pytest.mark.law(14)
async def test_a_reader_of_the_conversation_sees_the_card_and_the_ending(store: PendingStore, pool: Pool) -> None:
    streams = Streams(pool)
    async with asyncio.timeout(20), pod(store, streams) as bridge:
        await bridge.ask(ASKED, event_id="e")
        async for item in streams.subscribe(TALK):
            assert isinstance(item, Event)
            if item.type == POSTED:
                await bridge.click(click())
            else:
                assert item.type == ENDED
                break
    await streams.drain(0)
    await streams.settled()


@pytest.mark.law(16)
async def test_clicks_and_answers_go_on_while_the_stream_is_locked(
    store: PendingStore, pool: Pool, connection: psycopg.Connection, dsn: str
) -> None:
    streams = Streams(pool)
    await streams.append(TALK, said("hello"))
    with held(dsn):
        async with pod(store, streams) as bridge:
            await bridge.ask(ASKED, event_id="e")
            attempts = "select stream_attempts from pending_interactions"
            assert await came_true(lambda: connection.execute(attempts).fetchall() >= [(1,)])
            assert (await bridge.click(click())).kind is ReplyKind.ANSWERED
            delivered = "select delivered_at is not null from pending_interactions"
            assert await came_true(lambda: connection.execute(delivered).fetchall() == [(True,)])
    await streams.settled()


async def test_a_pod_without_streams_leaves_the_events_to_others(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", QUESTION.scope, QUESTION.payload(), stream="talk")
    await store.claim(click())
    async with Pod(store).bridge:
        await asyncio.sleep(1.5)

    assert connection.execute("select stream_attempts from pending_interactions").fetchall() == [(0,)]
