"""What a question ends with is kept for its worker, and no longer than that."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from pendingctl import Filters, PendingStore, State
from pendingctl.errors import Undelivered
from pendingctl.leased import PostedCard
from pendingctl.model import Outcome, PutOutcome
from tests.endings import EVERYTHING, HOUR, endings, pass_the_deadline, show_its_card, state_of
from tests.questions import PAYLOAD, SCOPE, age, swept


@pytest.mark.law(14)
async def test_an_ending_that_is_not_delivered_keeps_its_id_from_being_asked_again(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.leases.hear(EVERYTHING)
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    pass_the_deadline(connection)

    assert (await store.put("q", SCOPE, PAYLOAD)).outcome is PutOutcome.EXPIRED
    (leased,) = await endings(store)
    assert (await store.put("q", SCOPE, PAYLOAD)).outcome is PutOutcome.EXPIRED
    assert await store.leases.mark_delivered(leased)
    assert (await store.put("q", SCOPE, PAYLOAD)).outcome is PutOutcome.REOPENED


async def test_nothing_is_kept_of_endings_that_no_worker_wants(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.leases.hear(frozenset({Outcome.ANSWERED}))
    await store.put("withdrawn", SCOPE, PAYLOAD)
    await store.withdraw("withdrawn", SCOPE)
    await store.put("defaulted", SCOPE, PAYLOAD, expires_in=HOUR, default="no")
    show_its_card(connection)
    pass_the_deadline(connection, "defaulted")
    await store.leases.expire(limit=10)

    assert await state_of(store, "defaulted") is State.DEFAULTED
    assert await endings(store) == []


@pytest.mark.parametrize("is_noted", [False, True])
@pytest.mark.law(14)
async def test_the_worker_hears_that_a_default_was_no_answer_since_no_card_was_there(
    store: PendingStore, connection: psycopg.Connection, is_noted: bool
) -> None:
    """A card that is noted after the deadline was none before it."""
    await store.leases.hear(EVERYTHING)
    stored = await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR, default="no")
    pass_the_deadline(connection)
    await store.leases.expire(limit=1)
    if is_noted:
        await store.leases.mark_posted([PostedCard(question_id="q", ask_number=stored.ask_number, card='"late"')])

    (leased,) = await endings(store)
    assert (leased.answer.outcome, leased.answer.value) == (Outcome.EXPIRED, None)
    assert leased.answer.reason == "its card was never posted"


@pytest.mark.law(14)
async def test_the_worker_hears_that_a_default_was_no_answer_since_the_options_have_changed(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """As a pod of an earlier version changes them."""
    await store.leases.hear(EVERYTHING)
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR, default="no")
    show_its_card(connection)
    connection.execute(
        "update pending_interactions set entry_payload = jsonb_set(entry_payload, '{question,options}', '[\"later\"]')"
    )
    pass_the_deadline(connection)
    await store.leases.expire(limit=1)

    (leased,) = await endings(store)
    assert (leased.answer.outcome, leased.answer.value) == (Outcome.EXPIRED, None)
    assert leased.answer.reason == "the default is none of its options"


async def test_an_ending_that_fails_is_tried_again_stuck_and_redelivered(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.leases.hear(EVERYTHING)
    await store.put("q", SCOPE, PAYLOAD)
    await store.withdraw("q", SCOPE)
    (leased,) = await endings(store)
    assert await endings(store) == []

    await store.leases.mark_failed(leased, "down", retry_in=timedelta(), most_attempts=20)
    (leased,) = await endings(store)
    assert leased.attempt == 2
    await store.leases.mark_failed(leased, "no", retry_in=timedelta(), most_attempts=20, permanent=True)
    assert await state_of(store) is State.STUCK
    assert [row.id for row in await store.inspection.find(Filters(state=State.STUCK))] == ["q"]

    assert await store.leases.redeliver(["q"]) == ["q"]
    (leased,) = await endings(store)
    assert (leased.answer.outcome, leased.attempt) == (Outcome.WITHDRAWN, 1)
    assert connection.execute("select delivery_due_at from pending_interactions").fetchone() == (None,)


@pytest.mark.law(14)
async def test_an_undelivered_default_is_deleted_only_on_request(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR, default="no")
    show_its_card(connection)
    pass_the_deadline(connection)
    assert await store.leases.expire(limit=10) == 1

    with pytest.raises(Undelivered):
        await store.delete("q", SCOPE)
    assert await state_of(store) is State.UNDELIVERED
    assert await store.delete("q", SCOPE, include_undelivered=True)


@pytest.mark.law(14)
async def test_what_is_stuck_is_deleted_only_on_request(store: PendingStore) -> None:
    await store.leases.hear(EVERYTHING)
    await store.put("q", SCOPE, PAYLOAD)
    await store.withdraw("q", SCOPE)
    (leased,) = await endings(store)
    await store.leases.mark_failed(leased, "no", retry_in=HOUR, most_attempts=1)

    with pytest.raises(Undelivered):
        await store.delete("q", SCOPE)
    assert await state_of(store) is State.STUCK


@pytest.mark.law(14)
async def test_a_stale_question_expires_where_its_worker_wants_to_hear_of_it(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.leases.hear(EVERYTHING)
    await store.put("q", SCOPE, PAYLOAD)
    await store.put("r", SCOPE, PAYLOAD)
    connection.execute("update pending_interactions set application = 'another' where id = 'r'")
    age(connection, hours=25)

    assert await swept(store, batch_size=1) == ["r"]
    (leased,) = await endings(store)
    assert (leased.answer.question_id, leased.answer.outcome) == ("q", Outcome.EXPIRED)


@pytest.mark.law(14)
async def test_a_question_that_no_pod_has_ended_is_not_swept_before_its_default_is_its_answer(
    store: PendingStore, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    for id in ("q", "r"):
        await store.put(id, SCOPE, PAYLOAD, expires_in=HOUR, default="no")
    connection.execute("update pending_interactions set posted_at = now() where id = 'q'")
    connection.execute("update pending_interactions set expires_at = now() - interval '25 hours'")
    age(connection, hours=26)

    assert await store.inspection.count_stale() == 1
    assert await swept(store) == ["r"]

    connection.execute("update pending_interactions set expires_at = now() - interval '169 hours'")
    assert await swept(store) == ["q"]
    assert "no worker has heard of their ending: 1" in caplog.text


@pytest.mark.law(8)
async def test_what_expires_counts_to_the_limit_of_a_sweep(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.leases.hear(EVERYTHING)
    for number in range(5):
        await store.put(f"q{number}", SCOPE, PAYLOAD)
    age(connection, hours=25)

    assert await swept(store, limit=3, batch_size=2) == []
    assert connection.execute("select count(*) from pending_interactions where claimed_at is null").fetchone() == (2,)


@pytest.mark.law(8)
async def test_an_ending_of_which_no_worker_has_heard_is_swept_after_a_week(
    store: PendingStore, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    await store.leases.hear(EVERYTHING)
    await store.put("q", SCOPE, PAYLOAD)
    await store.withdraw("q", SCOPE)

    age(connection, hours=6 * 24)
    assert await swept(store) == []
    age(connection, hours=25)
    assert await swept(store) == ["q"]
    assert "swept although no worker has heard of their ending: 1" in caplog.text
