"""Every question is shown: some pod that serves its connection posts its card, whoever put it and whoever died."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Answer, AskOutcome, Card, NotPosted, PendingStore, ReplyKind, Scope, Shows, ask
from pendingctl.pod import posts
from pendingctl.postgres.connections import Pool
from tests.deliveries import until
from tests.faults.moments import came_true
from tests.pods import (
    QUESTION,
    FindingPlatform,
    KeyedPlatform,
    Pod,
    RecordingPlatform,
    failing,
    nothing,
)
from tests.posts import (
    attempts,
    begun_by_a_pod_that_died,
    due_at,
    failed_attempts,
    let_time_pass,
    mute,
    never_posted,
    noted_card,
    pause,
)
from tests.questions import age, click

UNKNOWN = ConnectionResetError("the reply was lost")
MOMENT = 0.3


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]


async def hang() -> None:
    await asyncio.Event().wait()


async def put(store: PendingStore, id: str = "q", scope: Scope = QUESTION.scope) -> int:
    return (await store.put(id, scope, QUESTION.payload(), show=True)).ask_number


async def posted_by_a_pod_that_died(pool: Pool, platform: RecordingPlatform) -> int:
    """Ask the question by a pod that posts its card and dies before that is noted; return its ask number."""
    pod = Pod(mute(pool), platform=platform)
    assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POSTED
    await pod.bridge.close(within=timedelta())
    return platform.cards[0].ask_number


async def until_failed(connection: psycopg.Connection, attempt: int) -> None:
    """Wait until that is noted of an attempt: nobody holds the lease any more."""
    await until(lambda: failed_attempts(connection) == attempt)


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
        connection.execute("update pending_interactions set card_due_at = now()")
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
    assert pause(connection) == pytest.approx(30, abs=5)
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
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """The first pod was only slow to note its card."""
    platform = RecordingPlatform()
    slow = Pod(store, platform=platform)
    assert await slow.bridge.ask(QUESTION, event_id="e") is AskOutcome.POSTED
    let_time_pass(connection)
    pod = Pod(store, platform=platform)
    async with pod.bridge:
        assert await came_true(lambda: len(platform.cards) == 2 and noted_card(connection) is not None)
        await slow.bridge.close()
        assert await came_true(lambda: len(platform.edits) == 1)
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


# What the platform does.


@pytest.mark.law(13)
async def test_a_card_of_which_nobody_knows_is_posted_once_more_and_then_given_up_for_a_person(
    store: PendingStore, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    pod = Pod(store)
    pod.platform.after_card = failing(UNKNOWN)
    async with pod.bridge:
        assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POST_UNKNOWN
        assert pause(connection) == pytest.approx(posts.UNKNOWN_DELAY.total_seconds(), abs=5)
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
    store: PendingStore, connection: psycopg.Connection, by: str
) -> None:
    platform = FindingPlatform()
    pod = Pod(store, platform=platform)
    platform.after_card, platform.before_find = failing(UNKNOWN), failing(NotPosted("ratelimited", is_permanent=True))
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e")
        let_time_pass(connection)
        assert await came_true(lambda: due_at(connection) == float("inf"))
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
    for number in range(1, posts.MOST_ATTEMPTS):
        pod.bridge._posts.catch_up()
        await until_failed(connection, number)
        pauses.append(pause(connection))
        let_time_pass(connection)
    pod.bridge._posts.catch_up()
    assert await came_true(lambda: due_at(connection) == float("inf"))
    await pod.bridge.close()

    assert all(0.4 * 2**number < pauses[number] <= 2**number for number in range(8))
    assert all(140 < each <= 300 for each in pauses[9:])
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
    assert pause(connection) == pytest.approx(waits, abs=3)
    await pod.bridge.close()


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


@pytest.mark.law(16)
async def test_a_platform_that_hangs_has_so_many_seconds_and_counts_as_unknown(
    store: PendingStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posts, "POST_SECONDS", 0.2)
    pod = Pod(store)
    pod.platform.before_card = hang
    async with asyncio.timeout(4):
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
    async with asyncio.timeout(4):
        await pod.bridge.close(within=timedelta(seconds=0.1))


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
    await posting.wait()
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
    await posting.wait()
    async with asyncio.timeout(4):
        await pod.bridge.close(within=timedelta(seconds=0.1))
    if asking is not None:
        with pytest.raises(asyncio.CancelledError):
            await asking
    let_time_pass(connection)

    other = Pod(store)
    async with other.bridge:
        assert await came_true(lambda: noted_card(connection) == "slack-1")
    assert (len(pod.platform.cards), len(other.platform.cards)) == (0, 1)


# A question that ends before, or while, its card is posted.


async def end(store: PendingStore, connection: psycopg.Connection, how: Shows) -> None:
    if how is Shows.ANSWERED:
        await store.claim(click(), lease=timedelta())
    elif how is Shows.WITHDRAWN:
        await store.withdraw("q", QUESTION.scope)
    else:
        connection.execute("update pending_interactions set expires_at = now()")
        await store.leases.expire(limit=10)


@pytest.mark.parametrize("how", [Shows.ANSWERED, Shows.WITHDRAWN, Shows.EXPIRED])
async def test_a_question_that_has_ended_is_not_shown_any_more(
    store: PendingStore, connection: psycopg.Connection, how: Shows
) -> None:
    await put(store)
    await end(store, connection, how)
    pod = Pod(store)
    async with pod.bridge:
        await put(store, "later")
        assert await came_true(lambda: bool(pod.platform.cards))
    assert [card.question_id for card in pod.platform.cards] == ["later"]


async def test_a_question_whose_deadline_has_passed_is_not_shown_although_nobody_has_ended_it(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await put(store)
    connection.execute("update pending_interactions set expires_at = now()")
    leased = await store.leases.lease_posts(
        [("acme", "slack")], lease=timedelta(seconds=30), limit=10, most_attempts=20, most_doubts=2
    )
    assert leased == []


@pytest.mark.law(13)
@pytest.mark.parametrize("by", ["the loop", "an event"])
@pytest.mark.parametrize("how", [Shows.ANSWERED, Shows.WITHDRAWN, Shows.EXPIRED])
async def test_a_question_that_ends_while_its_card_is_posted_is_shown_as_it_ended(
    store: PendingStore, connection: psycopg.Connection, how: Shows, by: str
) -> None:
    pod = Pod(store)

    async def end_meanwhile() -> None:
        await end(store, connection, how)

    pod.platform.before_card = end_meanwhile
    async with pod.bridge:
        if by == "the loop":
            await put(store)
        else:
            await pod.bridge.ask(QUESTION, event_id="e")
        assert await came_true(lambda: bool(pod.platform.edits))
    ((_, handle, card),) = pod.platform.edits
    assert (handle, card.shows, card.options) == ("slack-1", how, ())
    assert len(pod.platform.cards) == 1


@pytest.mark.law(13)
async def test_a_question_that_changes_while_its_card_is_posted_shows_both_truly(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = Pod(store)

    async def change_meanwhile() -> None:
        pod.platform.before_card = nothing
        await store.put("q", QUESTION.scope, replace(QUESTION, text="Deploy now?").payload(), show=True)

    pod.platform.before_card = change_meanwhile
    async with pod.bridge:
        await put(store)
        assert await came_true(lambda: len(pod.platform.cards) == 2 and len(pod.platform.edits) == 1)
        first, second = sorted(pod.platform.cards, key=lambda card: card.ask_number)
        assert (first.text, second.text) == ("Deploy?", "Deploy now?")
        assert pod.platform.edits[0][2].shows is Shows.CHANGED
        assert await pod.click("first", ask_number=first.ask_number) is ReplyKind.SUPERSEDED
        assert await pod.click("second", ask_number=second.ask_number) is ReplyKind.ANSWERED
    assert noted_card(connection) == pod.platform.handles[pod.platform.cards.index(second)]


@pytest.mark.law(13)
async def test_a_stale_question_whose_card_is_late_is_shown_with_buttons_and_says_that_it_will_be_removed(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await put(store)
    age(connection, 25)
    pod = Pod(store)
    async with pod.bridge:
        assert await came_true(lambda: bool(pod.platform.edits))
        ((_, handle, card),) = pod.platform.edits
        assert (handle, card.shows, card.options) == ("slack-1", Shows.STALE, ("yes", "no"))
        assert await pod.click() is ReplyKind.ANSWERED
