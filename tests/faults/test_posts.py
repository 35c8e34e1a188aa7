"""Every question is shown: over pods that are killed, a platform that is down, busy or breaks off, and restarts."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import ClassVar

import psycopg
import pytest

from pendingctl import AskOutcome, InteractionBridge, NotPosted, PendingStore, ReplyKind, open_pool
from pendingctl.embedded import throwaway_server
from pendingctl.embedded.throwaway import ThrowawayServer
from pendingctl.leased import PostedCard
from pendingctl.postgres.time_limits import Purpose
from pendingctl.schedule import MAX_AGE
from pendingctl.schema import migrations
from pendingctl.store.leases import Leases
from tests.cards_to_post import due_at, let_time_pass, never_posted, noted_card, pause, put, until_failed
from tests.deliveries import Worker
from tests.faults.chat import Behaviour, Chat, ChatClient, FindingChatClient, running_chat
from tests.faults.moments import PATIENCE, came_true
from tests.patience import be_patient
from tests.pods import QUESTION, Pod, nothing
from tests.questions import click

ROOT = Path(__file__).parents[2]

# A pod in a process of its own, whose clock is so many seconds off.
POD = """
import asyncio, sys, time
right = time.time
time.time = lambda: right() + float(sys.argv[4])

from pendingctl import InteractionBridge, PendingStore, open_pool
from tests.faults import chat
from tests.pods import QUESTION

async def handle(answer):
    pass

async def main():
    async with open_pool(sys.argv[1]) as pool:
        platform = getattr(chat, sys.argv[3])(int(sys.argv[2]))
        async with InteractionBridge(PendingStore(pool), platform, handle) as bridge:
            bridge.register("acme", "slack")
            if sys.argv[5] == "asks":
                await bridge.ask(QUESTION, event_id="e")
            await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    # Of a look that is given up nobody knows what it has leased, for half a minute.
    be_patient(monkeypatch, Purpose.CLAIM, Purpose.PUT, Purpose.MARK, Purpose.LOOP)


@pytest.fixture
async def chat() -> AsyncIterator[Chat]:
    async with running_chat() as running:
        yield running


@asynccontextmanager
async def pod_process(
    dsn: str, chat: Chat, client: type[ChatClient] = ChatClient, *, hours_off: float = 0, asks: bool = False
) -> AsyncIterator[asyncio.subprocess.Process]:
    arguments = [dsn, str(chat.port), client.__name__, str(3600 * hours_off), "asks" if asks else "serves"]
    pod = await asyncio.create_subprocess_exec(sys.executable, "-c", POD, *arguments, cwd=ROOT)
    try:
        yield pod
    finally:
        if pod.returncode is None:
            pod.send_signal(signal.SIGKILL)
        await pod.wait()


@asynccontextmanager
async def serving(store: PendingStore, platform: ChatClient) -> AsyncIterator[InteractionBridge]:
    async with InteractionBridge(store, platform, Worker(), reply_within=PATIENCE) as bridge:
        bridge.register("acme", "slack")
        yield bridge


# Pods that are killed.


@pytest.mark.law(13)
@pytest.mark.parametrize(
    ("behaviour", "client", "cards"),
    [
        (Behaviour.FALLS_SILENT, ChatClient, 1),
        (Behaviour.FALLS_SILENT, FindingChatClient, 1),
        # It is posted once more where nobody can look for it.
        (Behaviour.SHOWS_IT_AND_FALLS_SILENT, ChatClient, 2),
        (Behaviour.SHOWS_IT_AND_FALLS_SILENT, FindingChatClient, 1),
    ],
)
@pytest.mark.parametrize("asks", [True, False], ids=["it asks", "another has put the row"])
async def test_the_question_of_a_pod_that_is_killed_over_its_post_is_shown(
    store: PendingStore,
    dsn: str,
    connection: psycopg.Connection,
    chat: Chat,
    behaviour: Behaviour,
    client: type[ChatClient],
    cards: int,
    asks: bool,
) -> None:
    chat.behaviour = behaviour
    if not asks:
        await put(store)
    async with pod_process(dsn, chat, client, asks=asks) as pod:
        assert await came_true(lambda: chat.posts == 1, 60)
        pod.send_signal(signal.SIGKILL)
        await pod.wait()
    chat.behaviour = Behaviour.SHOWS_IT

    async with serving(store, client(chat.port)) as bridge:
        let_time_pass(connection)
        assert await came_true(lambda: noted_card(connection) is not None)
        assert len(chat.cards) == cards
        assert len(set(chat.cards)) == 1
        number = int(chat.cards[0].split("/")[1])
        assert (await bridge.click(click(ask_number=number))).kind is ReplyKind.ANSWERED
        assert await came_true(lambda: chat.edits == [(cards - 1, "answered")])


# A platform in trouble.


@pytest.mark.law(13)
async def test_a_platform_that_was_down_for_five_minutes_shows_the_question_once(
    store: PendingStore, connection: psycopg.Connection, chat: Chat
) -> None:
    await chat.stop()
    async with serving(store, ChatClient(chat.port)) as bridge:
        assert await bridge.ask(QUESTION, event_id="e") is AskOutcome.NOT_POSTED
        attempt, waited = 1, 0.0
        while waited < 300:
            waited += pause(connection)
            let_time_pass(connection)
            bridge._posts.catch_up()
            attempt += 1
            await until_failed(connection, attempt)
        assert attempt < 15
        await chat.start()
        let_time_pass(connection)
        assert await came_true(lambda: noted_card(connection) == 0)
    assert len(chat.cards) == 1


@pytest.mark.law(13)
async def test_a_platform_that_is_busy_is_left_alone_for_as_long_as_it_says(
    store: PendingStore, connection: psycopg.Connection, chat: Chat
) -> None:
    chat.behaviour = Behaviour.IS_BUSY
    async with serving(store, ChatClient(chat.port)) as bridge:
        asked_at = now(connection)
        assert await bridge.ask(QUESTION, event_id="e") is AskOutcome.NOT_POSTED
        due = due_at(connection)
        assert isinstance(due, datetime)
        assert asked_at <= due - chat.retry_after <= now(connection)
        chat.behaviour = Behaviour.SHOWS_IT
        await asyncio.sleep(1.2)
        assert chat.posts == 1
        let_time_pass(connection)
        assert await came_true(lambda: noted_card(connection) == 0)
    assert len(chat.cards) == 1


@pytest.mark.law(13)
async def test_a_platform_that_hangs_up_on_each_post_gets_two_cards_and_a_person_looks(
    store: PendingStore, connection: psycopg.Connection, chat: Chat
) -> None:
    chat.behaviour = Behaviour.SHOWS_IT_AND_HANGS_UP
    async with serving(store, ChatClient(chat.port)) as bridge:
        assert await bridge.ask(QUESTION, event_id="e") is AskOutcome.POST_UNKNOWN
        for _ in range(2):
            let_time_pass(connection)
            assert await came_true(lambda: due_at(connection) == float("inf"))
        assert len(chat.cards) == 2
        assert await never_posted(store) == ["q"]
        number = int(chat.cards[0].split("/")[1])
        assert (await bridge.click(click(ask_number=number))).kind is ReplyKind.ANSWERED


@pytest.mark.law(13)
async def test_a_platform_that_hangs_up_shows_one_card_where_it_can_be_found(
    store: PendingStore, connection: psycopg.Connection, chat: Chat
) -> None:
    chat.behaviour = Behaviour.SHOWS_IT_AND_HANGS_UP
    async with serving(store, FindingChatClient(chat.port)) as bridge:
        assert await bridge.ask(QUESTION, event_id="e") is AskOutcome.POST_UNKNOWN
        let_time_pass(connection)
        assert await came_true(lambda: noted_card(connection) == 0)
    assert len(chat.cards) == 1


# The database restarts, in immediate mode.


@pytest.fixture
def server() -> Iterator[ThrowawayServer]:
    with throwaway_server() as running:
        migrations.apply(running.dsn)
        with psycopg.connect(running.dsn, autocommit=True) as connection:
            connection.execute("insert into organization (id) values ('acme')")
        yield running


def now(connection: psycopg.Connection) -> datetime:
    row = connection.execute("select clock_timestamp()").fetchone()
    assert row is not None
    told: datetime = row[0]
    return told


async def press(pod: Pod) -> ReplyKind:
    """Press until the pod can serve it: its connections were lost, and new ones take their time."""
    for _ in range(10):
        if (reply := await pod.click()) is not ReplyKind.CANNOT_SERVE:
            break
    return reply


def is_up(server: ThrowawayServer) -> bool:
    try:
        psycopg.connect(server.dsn).close()
    except psycopg.OperationalError:
        return False
    return True


def card_in(server: ThrowawayServer) -> object:
    try:
        with psycopg.connect(server.dsn, autocommit=True) as connection:
            return noted_card(connection)
    except psycopg.OperationalError:
        return None


@pytest.mark.once
@pytest.mark.law(13)
@pytest.mark.parametrize("by", ["the loop", "an event"])
async def test_a_restart_while_a_card_is_posted_costs_nobody_the_card(server: ThrowawayServer, by: str) -> None:
    async with open_pool(server.dsn) as pool:
        store = PendingStore(pool)
        pod = Pod(store)

        async def restart() -> None:
            pod.platform.before_card = nothing
            await asyncio.to_thread(server.restart)

        pod.platform.before_card = restart
        async with pod.bridge:
            if by == "the loop":
                await put(store)
            else:
                assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POSTED
            assert await came_true(lambda: card_in(server) == "slack-1")
            assert await press(pod) is ReplyKind.ANSWERED
            assert await came_true(lambda: bool(pod.platform.edits))
    assert len(pod.platform.cards) == 1


@pytest.mark.once
@pytest.mark.law(13)
async def test_a_restart_between_a_post_and_its_note_costs_nobody_the_card(server: ThrowawayServer) -> None:
    class Restarting(Leases):
        restarting: ClassVar[list[asyncio.Task[None]]] = []

        async def mark_posted(self, posted: Collection[PostedCard], *, max_age: timedelta = MAX_AGE) -> set[str]:
            if not self.restarting:
                restarting = asyncio.create_task(asyncio.to_thread(server.restart))
                self.restarting.append(restarting)
                # It may be there again before anybody has looked.
                assert await came_true(lambda: not is_up(server) or restarting.done())
            return await super().mark_posted(posted, max_age=max_age)

    async with open_pool(server.dsn) as patient, open_pool(server.dsn, timeout=0.05) as pool:
        store = PendingStore(pool)
        store.leases = Restarting(pool)
        pod = Pod(store)
        async with pod.bridge:
            await put(PendingStore(patient))
            assert await came_true(lambda: card_in(server) == "slack-1")
        await Restarting.restarting[0]
    assert len(pod.platform.cards) == 1


@pytest.mark.once
@pytest.mark.law(13)
async def test_a_restart_over_a_post_that_failed_leaves_the_card_due(server: ThrowawayServer) -> None:
    restarted = asyncio.Event()
    async with open_pool(server.dsn) as pool:
        store = PendingStore(pool)
        pod = Pod(store)

        async def restart_and_fail() -> None:
            pod.platform.before_card = nothing
            await asyncio.to_thread(server.restart)
            restarted.set()
            raise NotPosted("the platform was away as well")

        pod.platform.before_card = restart_and_fail
        async with pod.bridge:
            await put(store)
            # Whether the failure could be noted or not.
            assert await came_true(lambda: restarted.is_set() and pod.bridge.under_way == 0)
            with psycopg.connect(server.dsn, autocommit=True) as connection:
                let_time_pass(connection)
            assert await came_true(lambda: card_in(server) == "slack-1")
    assert len(pod.platform.cards) == 1


@pytest.mark.once
@pytest.mark.law(13)
async def test_a_restart_after_a_note_that_was_not_on_the_disk_yet_posts_no_second_card_while_its_pod_lives() -> None:
    """Notes are committed asynchronously: a crash may forget them."""
    settings = {"wal_writer_delay": "10s", "wal_writer_flush_after": "1GB", "autovacuum": "off"}
    with throwaway_server(settings=settings) as server:
        await asyncio.to_thread(migrations.apply, server.dsn)
        async with open_pool(server.dsn) as pool:
            await PendingStore(pool).create_organization("acme")
        for _ in range(10):
            async with open_pool(server.dsn) as pool:
                store = PendingStore(pool)
                await store.delete("q", QUESTION.scope)
                pod = Pod(store)
                async with pod.bridge:
                    await put(store)
                    assert await came_true(lambda: card_in(server) == "slack-1")
                    await asyncio.to_thread(server.restart)
                    if card_in(server) is not None:
                        # The server's own writer comes by every ten seconds, and came just now.
                        continue
                    with psycopg.connect(server.dsn, autocommit=True) as connection:
                        let_time_pass(connection)
                    assert await came_true(lambda: card_in(server) == "slack-1")
                    await asyncio.sleep(1.2)
                break
        else:
            pytest.fail("no note was lost")
    assert len(pod.platform.cards) == 1


# A pod whose clock is wrong.


@pytest.mark.law(13)
@pytest.mark.parametrize("hours_off", [-5, 5])
async def test_a_pod_whose_clock_is_hours_off_decides_nothing(
    store: PendingStore, dsn: str, connection: psycopg.Connection, chat: Chat, hours_off: float
) -> None:
    hour = timedelta(hours=1)
    scheduled = replace(
        QUESTION, expires_in=3 * hour, default="no", remind_every=hour, escalate_after=2 * hour, escalate_to="U2"
    )
    for id in ("shown", "later"):
        await store.put(id, scheduled.scope, scheduled.payload(), show=True, **scheduled.schedule())
    connection.execute(
        """update pending_interactions
        set post_due_at = now() + interval '1 hour', posted_at = case when id = 'shown' then now() end"""
    )
    async with pod_process(dsn, chat, hours_off=hours_off):
        await put(store, "due")
        assert await came_true(lambda: noted_card(connection, "due") is not None, 60)
        await asyncio.sleep(1.2)
    assert [key.split("/")[0] for key in chat.cards] == ["due"]
    assert (chat.reminders, chat.edits) == ([], [])
    assert connection.execute("select count(claimed_at) from pending_interactions").fetchone() == (0,)
