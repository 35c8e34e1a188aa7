"""Cards are posted by one pod at a time, and what becomes of an attempt decides whether there is another one."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Claim, PendingStore, Refusal, RefusalReason, State
from pendingctl.model import Outcome
from pendingctl.payload import question_payload
from pendingctl.postgres.connections import Pool
from tests.deliveries import LEASE
from tests.endings import EVERYTHING, HOUR, endings, pass_the_deadline, state_of
from tests.locks import only_locks
from tests.posts import MOST_ATTEMPTS, SERVED, fails, let_pass, note, posts, row, show
from tests.questions import PAYLOAD, SCOPE, age, click, swept

ANOTHER = question_payload("Roll back?", ["yes", "no"], {"conversation_id": "C1"})
DUTY = "post_due_at is not null, post_attempts, post_doubts, post_error"
POSTING = timedelta(seconds=30)


async def test_a_pod_posts_over_its_own_connections_alone(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)

    assert await posts(store, connections=[("globex", "slack"), ("acme", "teams")]) == []
    assert await posts(store, connections=[]) == []
    assert len(await posts(store)) == 1


@pytest.mark.law(15)
async def test_cards_of_another_application_are_left_to_its_pods(store: PendingStore, pool: Pool) -> None:
    await PendingStore(pool, application="other").put("q", SCOPE, PAYLOAD, show=True)

    assert not (await store.leases.due(SERVED)).posts
    assert await posts(store) == []
    assert len(await posts(PendingStore(pool, application="other"))) == 1


@pytest.mark.law(16)
async def test_organizations_take_turns_to_be_posted(store: PendingStore) -> None:
    await store.put_many(((f"a{number}", SCOPE, PAYLOAD) for number in range(50)), show=True)
    await store.put("g", replace(SCOPE, organization_id="globex"), PAYLOAD, show=True)

    leased = await posts(store, connections=[*SERVED, ("globex", "slack")], limit=5)

    assert Counter(post.organization_id for post in leased) == {"acme": 4, "globex": 1}


@pytest.mark.law(13)
async def test_of_pods_at_the_same_moment_each_card_is_posted_by_one(store: PendingStore) -> None:
    await store.put_many(((f"q{number}", SCOPE, PAYLOAD) for number in range(60)), show=True)

    leased = await asyncio.gather(*(posts(store, limit=20) for _ in range(8)))
    leased += [await posts(store, limit=60)]

    assert sorted(Counter(post.question_id for pod in leased for post in pod).values()) == [1] * 60


@pytest.mark.law(16)
async def test_a_locked_question_keeps_no_other_from_being_posted(store: PendingStore, dsn: str) -> None:
    await store.put_many(((id, SCOPE, PAYLOAD) for id in ("q", "r")), show=True)
    async with await psycopg.AsyncConnection.connect(dsn) as locking:
        await only_locks(locking)
        assert [post.question_id for post in await asyncio.wait_for(posts(store), 30)] == ["r"]

    assert [post.question_id for post in await posts(store)] == ["q"]


@pytest.mark.law(13)
async def test_an_attempt_over_which_its_pod_died_is_in_doubt_and_two_are_the_most(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    assert [(post.attempt, post.is_in_doubt) for post in await posts(store)] == [(1, False)]
    assert await posts(store) == []
    let_pass(connection)
    assert [(post.attempt, post.is_in_doubt) for post in await posts(store)] == [(2, True)]
    let_pass(connection)
    assert await posts(store) == []

    assert row(connection, "post_due_at = 'infinity', post_error") == (
        True,
        "the pods that attempted it died; the card may be there",
    )
    assert not (await store.leases.due(SERVED)).posts


async def test_a_card_that_was_given_up_may_turn_up(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True, remind_every=HOUR)
    (post,) = await posts(store)
    await fails(store, post, permanent=True)
    await note(store, post)

    assert row(connection, f"card, post_due_at = posted_at + interval '1 hour', {DUTY}") == (
        "card",
        True,
        True,
        1,
        0,
        None,
    )


@pytest.mark.parametrize("ending", ["answered", "withdrawn", "expired", "past its deadline"])
@pytest.mark.law(13)
async def test_an_ended_question_is_not_posted(
    store: PendingStore, connection: psycopg.Connection, ending: str
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True, expires_in=HOUR)
    if ending == "answered":
        assert isinstance(await store.claim(click()), Claim)
    elif ending == "withdrawn":
        await store.withdraw("q", SCOPE)
    else:
        pass_the_deadline(connection)
    if ending == "expired":
        await store.leases.expire(limit=1)

    assert await posts(store) == []


@pytest.mark.parametrize(
    "payload", ["7", "[]", '{"question": 1e400}', '{"question": ' + "[" * 5_000 + "]" * 5_000 + "}"]
)
@pytest.mark.law(16)
async def test_an_unreadable_payload_keeps_no_other_card_from_being_posted(
    store: PendingStore, connection: psycopg.Connection, payload: str
) -> None:
    await store.put_many(((id, SCOPE, PAYLOAD) for id in ("q", "r")), show=True)
    connection.execute("update pending_interactions set entry_payload = %s::jsonb where id = 'q'", [payload])

    assert {post.question_id: post.payload for post in await posts(store)}["r"] == PAYLOAD


# What became of an attempt.


@pytest.mark.law(13)
async def test_a_noted_card_is_posted_no_more(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    await fails(store, post, is_sure=False)
    await show(store)

    assert row(connection, f"card, posting_until, {DUTY}") == ("card", None, False, 2, 0, None)
    assert not (await store.leases.due(SERVED)).posts


@pytest.mark.parametrize("ends", [False, True])
@pytest.mark.parametrize("noted", ["12", "122", "121", "1221"], ids=str)
@pytest.mark.law(13)
async def test_of_two_cards_of_one_asking_the_second_loses_its_buttons(
    store: PendingStore, ends: bool, noted: str
) -> None:
    """In whatever order, and however often, they are noted: the reply to a note may be lost."""
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    await note(store, post, '"card 1"')
    if ends:
        await store.claim(click())
    for number in noted[1:]:
        await note(store, post, f'"card {number}"')

    (due,) = await store.leases.lease_cards(SERVED, lease=LEASE, limit=10)
    assert due.card == "card 1"
    assert {(each.card, each.ask_number) for each in due.retired} == {("card 2", post.ask_number)}
    assert due.retired[0].ending == ("answered" if ends else "superseded")
    assert await store.leases.mark_retired("q", due.retired)
    assert (await store.leases.due(SERVED)).cards == ends


async def test_a_card_of_a_former_asking_that_is_noted_late_changes_nothing_of_the_next_one(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (former,) = await posts(store)
    await store.put("q", SCOPE, ANOTHER, show=True)
    (post,) = await posts(store)
    await fails(store, post, is_sure=False, retry_in=HOUR)
    before = row(connection, f"post_due_at, {DUTY}")
    await note(store, former)

    assert row(connection, f"post_due_at, {DUTY}") == before
    (due,) = await store.leases.lease_cards(SERVED, lease=LEASE, limit=10)
    assert (due.card, [each.card for each in due.retired]) == (None, ["card"])


@pytest.mark.law(13)
async def test_an_attempt_that_surely_failed_is_made_again_without_a_doubt(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    for attempt in range(1, MOST_ATTEMPTS):
        (post,) = await posts(store)
        assert (post.attempt, post.is_in_doubt) == (attempt, False)
        assert await fails(store, post) is False
    (post,) = await posts(store)
    assert await fails(store, post) is True

    assert row(connection, f"post_due_at = 'infinity', {DUTY}") == (
        True,
        True,
        MOST_ATTEMPTS,
        0,
        "the platform is down",
    )
    assert await posts(store) == []


async def test_the_next_attempt_is_made_after_its_pause(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    await fails(store, post, retry_in=HOUR)

    assert row(connection, "post_due_at - now() between interval '59 minutes' and interval '1 hour'") == (True,)
    assert await posts(store) == []


@pytest.mark.law(13)
async def test_an_attempt_of_unknown_outcome_is_made_once_more(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    assert await fails(store, post, is_sure=False) is False
    (post,) = await posts(store)
    assert post.is_in_doubt
    assert await fails(store, post, is_sure=False) is True


@pytest.mark.law(13)
async def test_an_attempt_that_surely_failed_after_one_in_doubt_leaves_that_doubt(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    await fails(store, post, is_sure=False)
    (post,) = await posts(store)
    assert await fails(store, post) is False

    (post,) = await posts(store)
    assert (post.attempt, post.is_in_doubt) == (3, True)


async def test_a_permanent_failure_is_the_last(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)

    assert await fails(store, post, permanent=True) is True
    assert await posts(store) == []


async def test_what_became_of_an_attempt_counts_until_the_next_one_begins(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (stale,) = await posts(store)
    let_pass(connection)
    await posts(store)

    assert await fails(store, stale, permanent=True) is None
    assert row(connection, DUTY) == (True, 2, 2, None)


@pytest.mark.parametrize("became", ["posted", "answered", "withdrawn", "expired", "asked again", "deleted"])
async def test_a_failure_is_not_noted_where_it_matters_no_more(
    store: PendingStore, connection: psycopg.Connection, became: str
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True, expires_in=HOUR, remind_every=HOUR)
    (post,) = await posts(store)
    match became:
        case "posted":
            await note(store, post)
        case "answered":
            await store.claim(click())
        case "withdrawn":
            await store.withdraw("q", SCOPE)
        case "expired":
            pass_the_deadline(connection)
            await store.leases.expire(limit=1)
        case "asked again":
            await store.put("q", SCOPE, ANOTHER, show=True, posting=POSTING)
        case _:
            await store.delete("q", SCOPE)

    assert await fails(store, post, permanent=True) is None
    assert connection.execute("select from pending_interactions where post_error is not null").fetchone() is None


@pytest.mark.law(4)
async def test_a_failure_makes_no_card_due_that_the_caller_shows_itself(store: PendingStore) -> None:
    stored = await store.put("q", SCOPE, PAYLOAD, posting=POSTING)
    failed = await store.leases.mark_not_posted(
        "q", stored.ask_number, "down", attempt=1, is_sure=True, retry_in=timedelta(), most_attempts=5, most_doubts=2
    )

    assert failed is None
    assert await posts(store) == []


# The end of a question whose card is still to be posted.


@pytest.mark.parametrize(("hours", "is_swept"), [(25, False), (47, False), (49, True)])
@pytest.mark.law(8)
async def test_a_card_that_is_to_be_posted_delays_the_sweep_by_one_further_age_at_most(
    store: PendingStore, connection: psycopg.Connection, hours: float, is_swept: bool
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    age(connection, hours)

    assert await store.inspection.count_stale() == (1 if is_swept else 0)
    assert await swept(store) == (["q"] if is_swept else [])


@pytest.mark.parametrize("became", ["given up", "posted", "answered"])
@pytest.mark.law(8)
async def test_nothing_else_of_a_card_delays_the_sweep(
    store: PendingStore, connection: psycopg.Connection, became: str
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True, remind_every=HOUR)
    (post,) = await posts(store)
    if became == "given up":
        await fails(store, post, permanent=True)
    elif became == "posted":
        await note(store, post)
    else:
        await store.claim(click())
    age(connection, hours=23.5)
    assert await swept(store) == []
    age(connection, hours=1)

    assert await swept(store) == ["q"]


@pytest.mark.law(14)
async def test_the_worker_hears_why_a_default_was_no_answer(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.leases.hear(EVERYTHING)
    await store.put("q", SCOPE, PAYLOAD, show=True, expires_in=HOUR, default="no")
    (post,) = await posts(store)
    await fails(store, post, is_sure=False)
    pass_the_deadline(connection)
    await store.leases.expire(limit=1)

    (leased,) = await endings(store)
    assert (leased.answer.outcome, leased.answer.value) == (Outcome.EXPIRED, None)
    assert leased.answer.reason == "its card was never posted"
    assert await state_of(store) is State.EXPIRED


async def test_a_card_of_unknown_outcome_that_turns_up_after_all_answers_truly(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    await fails(store, post, is_sure=False)
    (again,) = await posts(store)
    await note(store, again, '"second"')

    assert isinstance(await store.claim(click(ask_number=post.ask_number)), Claim)
    late = await store.claim(click(ask_number=post.ask_number, delivery_key="late"))
    assert isinstance(late, Refusal)
    assert late.reason is RefusalReason.ALREADY_ANSWERED


async def test_a_note_that_comes_after_the_end_lets_the_card_show_it(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    await store.claim(click())
    await note(store, post, '"late"')

    (card,) = await store.leases.lease_cards(SERVED, lease=LEASE, limit=10)
    assert (card.card, card.answer) == ("late", "yes")
    assert not (await store.leases.due(SERVED)).posts
