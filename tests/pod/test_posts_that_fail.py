"""What a pod makes of a platform that refuses cards, breaks off, hangs, or wants to be left alone."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from pendingctl import AskOutcome, Card, NotPosted, PendingStore, ReplyKind, Scope
from pendingctl.errors import DatabaseUnreachable
from pendingctl.pod import posts
from pendingctl.postgres.connections import Pool
from pendingctl.store.leases import Leases
from tests.cards_to_post import (
    begun_by_a_pod_that_died,
    due_at,
    let_time_pass,
    never_posted,
    noted_card,
    pause,
    posted_by_a_pod_that_died,
    put,
    until_failed,
)
from tests.deliveries import until
from tests.faults.moments import came_true
from tests.pods import (
    QUESTION,
    FindingPlatform,
    KeyedPlatform,
    Pod,
    RecordingPlatform,
    failing,
    hang,
    nothing,
)

UNKNOWN = ConnectionResetError("the reply was lost")
MOMENT = 0.3


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What pendingctl has logged as an error."""
    ours = [record for record in caplog.records if record.name.startswith("pendingctl.")]
    return [record.getMessage() for record in ours if record.levelno == logging.ERROR]


@pytest.mark.law(13)
async def test_a_card_of_which_nobody_knows_is_posted_once_more_and_then_given_up_for_a_person(
    store: PendingStore, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    pod = Pod(store)
    pod.platform.after_card = failing(UNKNOWN)
    async with pod.bridge:
        assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POST_UNKNOWN
        assert pause(connection) == pytest.approx(posts.UNKNOWN_DELAY.total_seconds(), abs=1)
        assert errors(caplog) == []
        let_time_pass(connection)
        assert await came_true(lambda: due_at(connection) == float("inf"))
        let_time_pass(connection)
        await asyncio.sleep(1.2)
        # Both cards may be there, and their buttons work.
        assert len(pod.platform.cards) == 2
        assert await never_posted(store) == ["q"]
        assert await pod.click(ask_number=pod.platform.cards[0].ask_number) is ReplyKind.ANSWERED
    assert errors(caplog) == [
        "the card of question 'q' may have been posted or not, and is given up: "
        "ConnectionResetError: the reply was lost"
    ]


async def test_a_platform_that_is_cancelled_from_within_cancels_nobody_who_asks(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = Pod(store)
    pod.platform.before_card = failing(asyncio.CancelledError())

    assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POST_UNKNOWN

    row = connection.execute("select post_error from pending_interactions").fetchone()
    assert row == ("it may be there: RuntimeError: the platform was cancelled from within",)


@pytest.mark.law(13)
async def test_the_card_of_pods_that_died_over_it_twice_waits_for_a_person_who_learns_of_it(
    store: PendingStore, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await begun_by_a_pod_that_died(store)
    let_time_pass(connection)
    (leased,) = await store.leases.lease_posts(
        [("acme", "slack")], lease=timedelta(seconds=30), limit=1, most_attempts=20, most_doubts=2
    )
    assert leased.is_in_doubt
    let_time_pass(connection)

    pod = Pod(store)
    async with pod.bridge:
        assert await came_true(lambda: due_at(connection) == float("inf"))
        await asyncio.sleep(MOMENT)
    assert pod.platform.cards == []
    assert await never_posted(store) == ["q"]
    assert [message for message in errors(caplog) if "'q'" in message and "given up" in message]


@pytest.mark.law(13)
@pytest.mark.parametrize("by", ["the event", "a put"])
async def test_a_card_that_was_given_up_is_posted_anew_when_its_question_is_asked_again(
    store: PendingStore, connection: psycopg.Connection, by: str
) -> None:
    pod = Pod(store)
    pod.platform.before_card = failing(NotPosted("no such channel", is_permanent=True))
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e")
        assert await never_posted(store) == ["q"]
        pod.platform.before_card = nothing
        if by == "the event":
            assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POSTED
        else:
            await put(store)
        assert await came_true(lambda: noted_card(connection) == "slack-1")
    assert await never_posted(store) == []
    assert len(pod.platform.cards) == 1


@pytest.mark.law(13)
@pytest.mark.parametrize("by", ["the event", "a put"])
async def test_a_card_that_was_given_up_in_doubt_is_looked_for_when_its_question_is_asked_again(
    store: PendingStore, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture, by: str
) -> None:
    platform = FindingPlatform()
    pod = Pod(store, platform=platform)
    platform.after_card, platform.before_find = failing(UNKNOWN), failing(NotPosted("ratelimited", is_permanent=True))
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e")
        let_time_pass(connection)
        assert await came_true(lambda: due_at(connection) == float("inf"))
        given_up = "the card of question 'q' may have been posted or not, and is given up: ratelimited"
        assert await came_true(lambda: errors(caplog) == [given_up])
        platform.after_card = platform.before_find = nothing
        if by == "the event":
            assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POSTED
        else:
            await put(store)
        assert await came_true(lambda: noted_card(connection) == "slack-1")
    assert len(platform.cards) == 1


async def test_a_card_that_surely_was_not_posted_is_tried_again_with_growing_pauses_and_not_for_ever(
    store: PendingStore, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    pod = Pod(store)
    pod.platform.before_card = failing(NotPosted("down for maintenance"))
    await put(store)
    pauses = []
    taking_over = pod.bridge._posts._due
    for number in range(1, posts.MOST_ATTEMPTS):
        # While one is under way another one is not begun.
        await until(lambda: taking_over._task is None or taking_over._task.done())
        pod.bridge._posts.catch_up()
        await until_failed(connection, number)
        pauses.append(pause(connection))
        let_time_pass(connection)
    await until(lambda: taking_over._task is not None and taking_over._task.done())
    pod.bridge._posts.catch_up()
    assert await came_true(lambda: due_at(connection) == float("inf"))
    await pod.bridge.close()

    # Half of them is left to chance.
    assert all(0.49 * 2**number < pauses[number] <= 2**number for number in range(8))
    assert all(149 < each <= 300 for each in pauses[9:])
    assert await never_posted(store) == ["q"]
    assert errors(caplog) == ["the card of question 'q' was not posted, and is given up: down for maintenance"]


@pytest.mark.parametrize(
    ("requested", "waits"), [(timedelta(minutes=7), 420), (timedelta(days=9), 3600), (timedelta(seconds=-5), 1)]
)
async def test_a_platform_says_how_long_it_wants_to_be_left_alone_an_hour_at_most(
    store: PendingStore, connection: psycopg.Connection, requested: timedelta, waits: float
) -> None:
    pod = Pod(store)
    pod.platform.before_card = failing(NotPosted("ratelimited", retry_after=requested))
    assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.NOT_POSTED
    assert pause(connection) == pytest.approx(waits, abs=1)
    await pod.bridge.close()


@pytest.mark.law(13)
async def test_a_failure_that_could_not_be_noted_leaves_the_card_due_when_its_lease_has_run_out(
    pool: Pool, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(Leases):
        async def mark_not_posted(
            self,
            id: str,
            ask_number: int,
            error: str,
            *,
            attempt: int,
            is_sure: bool,
            retry_in: timedelta,
            most_attempts: int,
            most_doubts: int,
            permanent: bool = False,
        ) -> bool | None:
            given = (id, ask_number, error, attempt, is_sure, retry_in, most_attempts, most_doubts, permanent)
            raise DatabaseUnreachable(f"the database cannot be reached: {given}")

    store = PendingStore(pool)
    store.leases = Away(pool)
    pod = Pod(store)
    pod.platform.before_card = failing(NotPosted("down for maintenance"))
    await put(store)
    async with pod.bridge:
        assert await came_true(lambda: "the database cannot be reached" in caplog.text)
        assert pause(connection) == pytest.approx(30, abs=1)
        pod.platform.before_card = nothing
        let_time_pass(connection)
        assert await came_true(lambda: noted_card(connection) == "slack-1")


@pytest.mark.law(13)
async def test_a_failure_is_noted_when_the_database_is_back_and_leaves_no_doubt(
    pool: Pool, connection: psycopg.Connection
) -> None:
    mark_not_posted = Leases.mark_not_posted
    notes = 0

    async def away_at_first(leases: Leases, *given: Any, **named: Any) -> bool | None:
        nonlocal notes
        notes += 1
        if notes == 1:
            raise DatabaseUnreachable("the database cannot be reached")
        return await mark_not_posted(leases, *given, **named)

    store = PendingStore(pool)
    pod = Pod(store)
    pod.platform.before_card = failing(NotPosted("down for maintenance", retry_after=timedelta(hours=1)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Leases, "mark_not_posted", away_at_first)
        async with pod.bridge:
            assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.NOT_POSTED
            await until_failed(connection, 1)

    row = connection.execute("select post_doubts, post_error from pending_interactions").fetchone()
    assert row == (0, "down for maintenance")


async def test_a_card_that_can_never_be_posted_is_given_up_at_once_and_says_why(
    store: PendingStore, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    pod = Pod(store)
    pod.platform.before_card = failing(NotPosted("channel_not_found", is_permanent=True))
    async with pod.bridge:
        assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.NOT_POSTED
    assert due_at(connection) == float("inf")
    assert await never_posted(store) == ["q"]
    assert connection.execute("select post_error from pending_interactions").fetchone() == ("channel_not_found",)
    assert errors(caplog) == ["the card of question 'q' was not posted, and is given up: channel_not_found"]


@pytest.mark.law(13)
async def test_a_card_is_not_posted_again_while_the_platform_cannot_look_for_it(
    store: PendingStore, pool: Pool, connection: psycopg.Connection
) -> None:
    platform = FindingPlatform()
    await posted_by_a_pod_that_died(pool, platform)
    platform.before_find = failing(RuntimeError("missing_scope"))
    async with Pod(store, platform=platform).bridge:
        for number in range(2, 6):
            let_time_pass(connection)
            await until_failed(connection, number)
        platform.before_find = nothing
        let_time_pass(connection)
        assert await came_true(lambda: noted_card(connection) == "slack-1")
    assert len(platform.cards) == 1


@pytest.mark.law(13)
async def test_a_card_that_is_found_nowhere_is_posted(store: PendingStore, connection: psycopg.Connection) -> None:
    platform = FindingPlatform()
    pod = Pod(store, platform=platform)
    platform.before_card = failing(UNKNOWN)
    async with pod.bridge:
        assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POST_UNKNOWN
        platform.before_card = nothing
        let_time_pass(connection)
        assert await came_true(lambda: noted_card(connection) == "slack-1")
    assert (len(platform.searches), len(platform.cards)) == (1, 1)


async def test_a_platform_that_posts_by_key_no_longer_is_left_alone_after_a_post_in_doubt(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    platform = KeyedPlatform()
    pod = Pod(store, platform=platform)
    platform.before_card = failing(UNKNOWN)
    assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POST_UNKNOWN
    assert pause(connection) <= 1
    platform.posts_by_key = False
    assert await pod.bridge.ask(replace(QUESTION, id="later"), event_id="e-2") is AskOutcome.POST_UNKNOWN
    assert pause(connection, "later") == pytest.approx(posts.UNKNOWN_DELAY.total_seconds(), abs=1)
    await pod.bridge.close()


@pytest.mark.law(16)
async def test_a_platform_that_hangs_has_so_many_seconds_and_counts_as_unknown(
    store: PendingStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posts, "POST_SECONDS", 0.2)
    pod = Pod(store)
    pod.platform.before_card = hang
    async with asyncio.timeout(20):
        assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POST_UNKNOWN
    row = connection.execute("select post_doubts, post_error from pending_interactions").fetchone()
    assert row == (1, "it may be there: TimeoutError")
    await pod.bridge.close()


class HangingForATenant(RecordingPlatform):
    """Posts no card of acme."""

    async def post_card(self, connection_id: str, card: Card) -> object:
        if card.user_id == "U1":
            await hang()
        return await super().post_card(connection_id, card)


@pytest.mark.law(16)
async def test_a_platform_that_hangs_for_one_tenant_keeps_no_card_of_another_waiting(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for number in range(20):
        await put(store, f"q{number}")
    pod = Pod(store, platform=HangingForATenant())
    pod.bridge.register("globex", "slack")
    pod.bridge.start()

    def begun() -> int:
        row = connection.execute("select count(*) from pending_interactions where post_attempts > 0").fetchone()
        assert row is not None
        return int(row[0])

    assert await came_true(lambda: begun() >= 7)
    await put(store, "other", Scope("globex", "slack", "U2"))
    assert await came_true(lambda: [card.question_id for card in pod.platform.cards] == ["other"])
    async with asyncio.timeout(20):
        await pod.bridge.close(within=timedelta(seconds=0.1))
