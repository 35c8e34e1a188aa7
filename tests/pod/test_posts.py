"""Every question is shown: some pod that serves its connection posts its card, whoever put it and whoever died."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Answer, AskOutcome, PendingStore, ReplyKind, Shows, ask
from pendingctl.leased import PostedCard
from pendingctl.postgres.connections import Pool
from pendingctl.schedule import MAX_AGE
from pendingctl.store.leases import Leases
from tests.cards_to_post import (
    attempts,
    begun_by_a_pod_that_died,
    let_time_pass,
    mute,
    noted_card,
    pause,
    posted_by_a_pod_that_died,
    put,
)
from tests.deliveries import until
from tests.faults.moments import came_true
from tests.pods import (
    QUESTION,
    FindingPlatform,
    KeyedPlatform,
    Pod,
    RecordingPlatform,
    hang,
)
from tests.questions import click

MOMENT = 0.3


# Whoever puts the row.


@pytest.mark.law(13)
async def test_a_row_put_in_an_applications_transaction_is_shown_when_that_is_committed_and_not_before(
    store: PendingStore, pool: Pool
) -> None:
    pod = Pod(store)
    async with pod.bridge:
        async with pool.connection() as application:
            await application.execute("begin")
            await store.put("q", QUESTION.scope, QUESTION.payload(), show=True, connection=application)
            await asyncio.sleep(1.3)
            assert pod.platform.cards == []
            await application.execute("commit")
        assert await came_true(lambda: len(pod.platform.cards) == 1)
        assert await pod.click(ask_number=pod.platform.cards[0].ask_number) is ReplyKind.ANSWERED


@pytest.mark.law(13)
async def test_a_row_whose_transaction_is_rolled_back_is_never_shown(store: PendingStore) -> None:
    pod = Pod(store)
    async with pod.bridge:
        async with store.transaction() as application, application.transaction(force_rollback=True):
            await store.put("q", QUESTION.scope, QUESTION.payload(), show=True, connection=application)
        # What is put after it is posted, and nothing else.
        await put(store, "later")
        assert await came_true(lambda: bool(pod.platform.cards))
    assert [card.question_id for card in pod.platform.cards] == ["later"]


@pytest.mark.law(13)
async def test_rows_that_are_put_together_are_shown(store: PendingStore, connection: psycopg.Connection) -> None:
    ids = [f"q{number}" for number in range(25)]
    pod = Pod(store)
    async with pod.bridge:
        await store.put_many(((id, QUESTION.scope, QUESTION.payload()) for id in ids), show=True)
        assert await came_true(lambda: len(pod.platform.cards) == len(ids))
    assert sorted(card.question_id for card in pod.platform.cards) == sorted(ids)
    assert connection.execute("select count(*) from pending_interactions where posted_at is null").fetchone() == (0,)


@pytest.mark.law(13)
async def test_the_question_of_an_asker_that_waits_is_shown(store: PendingStore) -> None:
    pod = Pod(store)

    async def wait_for_the_answer() -> Answer:
        async with ask(store, QUESTION, timeout=timedelta(seconds=20)) as answer:
            assert isinstance(answer, Answer)
            return answer

    async with pod.bridge:
        asking = asyncio.create_task(wait_for_the_answer())
        assert await came_true(lambda: bool(pod.platform.cards))
        assert await pod.click() is ReplyKind.ANSWERED
        assert (await asking).value == "yes"


@pytest.mark.law(13)
async def test_a_row_that_is_put_without_showing_is_left_to_its_caller(store: PendingStore) -> None:
    pod = Pod(store)
    await store.put("q", QUESTION.scope, QUESTION.payload())
    async with pod.bridge:
        await put(store, "shown")
        assert await came_true(lambda: bool(pod.platform.cards))
    assert [card.question_id for card in pod.platform.cards] == ["shown"]


@pytest.mark.law(13)
async def test_a_card_waits_for_a_pod_that_serves_its_connection(store: PendingStore) -> None:
    stranger, pod = Pod(store), Pod(store)
    for each in (stranger, pod):
        each.bridge.unregister("acme", "slack")
    stranger.bridge.register("globex", "slack")
    stranger.bridge.register("acme", "teams")
    await put(store)
    async with stranger.bridge, pod.bridge:
        for each in (stranger, pod):
            each.bridge._posts.catch_up()
        await asyncio.sleep(1.3)
        assert (stranger.platform.cards, pod.platform.cards) == ([], [])
        pod.bridge.register("acme", "slack")
        assert await came_true(lambda: len(pod.platform.cards) == 1)
    assert stranger.platform.cards == []


@pytest.mark.law(13)
async def test_many_pods_post_each_card_once(store: PendingStore) -> None:
    platform = RecordingPlatform()
    pods = [Pod(store, platform=platform) for _ in range(5)]
    for pod in pods:
        pod.bridge.start()
    ids = [f"q{number}" for number in range(30)]
    for id in ids:
        await put(store, id)
    assert await came_true(lambda: len(platform.cards) >= len(ids))
    for pod in pods:
        await pod.bridge.close()
    assert sorted(card.question_id for card in platform.cards) == sorted(ids)


async def test_an_event_that_the_platform_delivers_to_two_pods_posts_one_card(store: PendingStore) -> None:
    platform = RecordingPlatform()
    pods = [Pod(store, platform=platform) for _ in range(4)]
    outcomes = await asyncio.gather(*(pod.bridge.ask(QUESTION, event_id="e") for pod in pods))
    for pod in pods:
        await pod.bridge.close()

    assert sorted(outcomes) == [AskOutcome.POSTED] + [AskOutcome.REPEATED_EVENT] * 3
    assert len(platform.cards) == 1


# Whoever dies.


@pytest.mark.law(13)
@pytest.mark.parametrize("platform", [RecordingPlatform, FindingPlatform, KeyedPlatform])
async def test_the_card_of_a_pod_that_died_before_it_posted_is_posted_by_another(
    store: PendingStore, connection: psycopg.Connection, platform: Callable[[], RecordingPlatform]
) -> None:
    number = await begun_by_a_pod_that_died(store)
    pod = Pod(store, platform=platform())
    async with pod.bridge:
        await asyncio.sleep(1.2)
        # It may still be at it.
        assert pod.platform.cards == []
        let_time_pass(connection)
        assert await came_true(lambda: len(pod.platform.cards) == 1)
        assert await pod.click(ask_number=number) is ReplyKind.ANSWERED
    assert len(pod.platform.cards) == 1


@pytest.mark.law(13)
async def test_a_card_that_is_found_again_is_not_posted_twice_and_follows_its_row(
    store: PendingStore, pool: Pool, connection: psycopg.Connection
) -> None:
    platform = FindingPlatform()
    await posted_by_a_pod_that_died(pool, platform)
    let_time_pass(connection)

    async with Pod(store, platform=platform).bridge:
        assert await came_true(lambda: noted_card(connection) == "slack-1")
        await store.claim(click())
        assert await came_true(lambda: bool(platform.edits))
    assert platform.searches == [platform.cards[0].key]
    assert len(platform.cards) == 1
    assert [(handle, card.shows) for _, handle, card in platform.edits] == [("slack-1", Shows.ANSWERED)]


@pytest.mark.law(13)
async def test_a_card_that_is_posted_by_its_key_comes_again_under_the_same(
    store: PendingStore, pool: Pool, connection: psycopg.Connection
) -> None:
    platform = KeyedPlatform()
    number = await posted_by_a_pod_that_died(pool, platform)
    let_time_pass(connection)

    async with Pod(store, platform=platform).bridge:
        assert await came_true(lambda: noted_card(connection) == "slack-1")
    assert platform.keys == [f"q/{number}"] * 2
    assert len(platform.cards) == 1


@pytest.mark.law(13)
async def test_of_two_cards_of_one_question_each_answers_truly_and_one_keeps_its_buttons(
    store: PendingStore, pool: Pool, connection: psycopg.Connection
) -> None:
    """The platform can neither find a card nor post by a key, and the first pod died before it noted its card."""
    platform = RecordingPlatform()
    number = await posted_by_a_pod_that_died(pool, platform)
    assert pause(connection) == pytest.approx(30, abs=1)
    let_time_pass(connection)

    pod = Pod(store, platform=platform)
    async with pod.bridge:
        assert await came_true(lambda: noted_card(connection) == "slack-2")
        assert await pod.click(ask_number=number) is ReplyKind.ANSWERED
        assert await pod.click("other", "no", ask_number=number) is ReplyKind.ALREADY_ANSWERED
        await until(lambda: bool(platform.edits))
    assert [card.ask_number for card in platform.cards] == [number] * 2


@pytest.mark.law(13)
async def test_an_earlier_card_loses_its_buttons_once_both_are_known(
    store: PendingStore, pool: Pool, connection: psycopg.Connection
) -> None:
    """The first pod was only slow to note its card."""
    may_note = asyncio.Event()

    class Slow(Leases):
        async def mark_posted(self, posted: Collection[PostedCard], *, max_age: timedelta = MAX_AGE) -> set[str]:
            await may_note.wait()
            return await super().mark_posted(posted, max_age=max_age)

    platform = RecordingPlatform()
    of_the_slow = PendingStore(pool)
    of_the_slow.leases = Slow(pool)
    slow = Pod(of_the_slow, platform=platform)
    assert await slow.bridge.ask(QUESTION, event_id="e") is AskOutcome.POSTED
    let_time_pass(connection)
    pod = Pod(store, platform=platform)
    async with pod.bridge:
        assert await came_true(lambda: len(platform.cards) == 2 and noted_card(connection) is not None)
        # A note that its close broke off would be made twice.
        may_note.set()
        assert await came_true(lambda: len(platform.edits) == 1)
        await slow.bridge.close()
        kept = noted_card(connection)
        await pod.click()
        assert await came_true(lambda: len(platform.edits) == 2)

    (_, retired, changed), (_, edited, answered) = platform.edits
    assert (changed.shows, changed.options) == (Shows.CHANGED, ())
    assert (edited, answered.shows) == (kept, Shows.ANSWERED)
    assert {retired, edited} == {"slack-1", "slack-2"}


@pytest.mark.law(13)
async def test_a_pod_that_knows_the_card_which_it_could_not_note_does_not_post_it_again(
    pool: Pool, connection: psycopg.Connection
) -> None:
    """The database was away for longer than the lease, and the pod lives on."""
    platform = RecordingPlatform()
    pod = Pod(mute(pool), platform=platform)
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e")
        let_time_pass(connection)
        assert await came_true(lambda: attempts(connection) == 2)
        await asyncio.sleep(MOMENT)
    assert len(platform.cards) == 1


# A pod that closes.


@pytest.mark.law(13)
async def test_a_pod_that_closes_waits_for_the_posts_under_way(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    posting, may_post = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        posting.set()
        await may_post.wait()

    pod = Pod(store)
    pod.platform.before_card = wait
    await put(store)
    pod.bridge.start()
    await until(posting.is_set)
    closing = asyncio.create_task(pod.bridge.close())
    await asyncio.sleep(MOMENT)
    may_post.set()
    await closing

    assert noted_card(connection) == "slack-1"


@pytest.mark.law(13)
@pytest.mark.parametrize("by", ["the loop", "an event"])
async def test_a_post_that_a_closing_pod_breaks_off_is_made_by_another(
    store: PendingStore, connection: psycopg.Connection, by: str
) -> None:
    posting = asyncio.Event()

    async def wait() -> None:
        posting.set()
        await hang()

    pod = Pod(store)
    pod.platform.before_card = wait
    asking = None
    if by == "the loop":
        await put(store)
        pod.bridge.start()
    else:
        asking = asyncio.create_task(pod.bridge.ask(QUESTION, event_id="e"))
    await until(posting.is_set)
    async with asyncio.timeout(20):
        await pod.bridge.close(within=timedelta(seconds=0.1))
    if asking is not None:
        with pytest.raises(asyncio.CancelledError):
            await asking
    let_time_pass(connection)

    other = Pod(store)
    async with other.bridge:
        assert await came_true(lambda: noted_card(connection) == "slack-1")
    assert (len(pod.platform.cards), len(other.platform.cards)) == (0, 1)
