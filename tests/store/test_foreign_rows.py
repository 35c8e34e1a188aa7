"""Rows that somebody else has written or changed: whatever they hold, they break nothing but themselves."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from psycopg import sql

from pendingctl import Claim, Filters, PendingStore, Refusal, RefusalReason, State
from pendingctl.errors import PendingctlError
from pendingctl.leased import EditedCard, PostedCard, Unreadable
from pendingctl.payload import JsonObject
from tests.deliveries import LEASE, SHORT, claimed, lease, run_out, state_of
from tests.endings import EVERYTHING, pass_the_deadline
from tests.posts import fails, posts
from tests.questions import PAYLOAD, SCOPE, click, swept

SERVED = [("acme", "slack")]

# What a column can hold, and what Python or the SQL around it could not.
TIMES = ["infinity", "-infinity", "294276-12-31 23:59:59Z", "4714-11-24 00:00:00Z BC", "10000-01-01Z", "0001-01-01 BC"]
STATES = ["unposted", "open", "answered", "undelivered", "expired"]
VALUES = [
    *((column, time) for column in ("created_at", "claimed_at", "withdrawn_at", "posted_at") for time in TIMES),
    *((column, time) for column in ("delivery_due_at", "card_due_at", "delivered_at") for time in TIMES),
    *((column, time) for column in ("awaited_until", "posting_until") for time in TIMES),
    *((column, time) for column in ("post_due_at", "escalate_at", "escalated_at", "expires_at") for time in TIMES),
    *(("ending_due_at", time) for time in TIMES),
    *(("outcome", word) for word in ("defaulted", "expired", "withdrawn", "answered", "done")),
    *(("remind_every", time) for time in ("178000000 years", "-178000000 years", "300000 years", "-1 day", "0")),
    *(
        (column, number)
        for column in ("card_attempts", "delivery_attempts", "post_attempts", "post_doubts", "reminders_left")
        for number in ("2147483647", "-2147483648", "-1")
    ),
    ("ask_number", "2147483647"),
    ("ask_number", "-2147483648"),
    *(
        (column, json)
        for column in ("previous", "retired_cards", "card")
        for json in (
            "[]",
            "1",
            "1e5000",
            "null",
            '"x"',
            "{}",
            "[1]",
            '[{"at": "infinity", "ask_number": 1e5000}]',
            '[{"ask_number": 2147483648}]',
            '[{"ask_number": true}]',
            '{"ask_number": 1, "ending": "answered", "at": "infinity"}',
            "[" * 11_000 + "]" * 11_000,
        )
    ),
]


# In each state every fifth value, beginning with another one; with --full all of them.
@pytest.mark.parametrize("step", [len(STATES), pytest.param(1, marks=pytest.mark.long)])
@pytest.mark.parametrize("state", STATES)
async def test_nothing_that_a_row_holds_breaks_what_reads_it(
    store: PendingStore, connection: psycopg.Connection, state: str, step: int
) -> None:
    await store.leases.hear(EVERYTHING)
    broken = {}
    for column, value in VALUES[STATES.index(state) % step :: step]:
        connection.execute("delete from pending_interactions")
        where = f"{state}, {column} = {value[:60]}"
        first = await store.put(
            "q", SCOPE, PAYLOAD, show=True, remind_every=LEASE, escalate_after=LEASE, escalate_to="U2"
        )
        if state in ("answered", "undelivered"):
            await store.claim(click(), lease=LEASE if state == "undelivered" else None)
        if state != "unposted":
            await store.leases.mark_posted([PostedCard(question_id="q", ask_number=first.ask_number, card="1")])
        if state == "expired":
            connection.execute("update pending_interactions set expires_at = now()")
            await store.leases.expire(limit=10)
        connection.execute(
            "update pending_interactions set card_due_at = now(), post_due_at = now(), delivery_due_at = case when "
            "delivery_due_at is not null then now() end"
        )
        try:
            connection.execute(
                sql.SQL("update pending_interactions set {} = {}").format(sql.Identifier(column), sql.Literal(value))
            )
        except psycopg.errors.CheckViolation:
            continue
        await claimed(store, "mate")
        await store.put("shown mate", SCOPE, PAYLOAD, show=True)
        await _expire(store, connection, "ended mate")
        run_out(connection)
        try:
            await _use_all(store, first.ask_number)
        except (PendingctlError, ValueError, TypeError, LookupError, AttributeError, AssertionError) as error:
            broken[where] = repr(error)
    assert broken == {}


async def _expire(store: PendingStore, connection: psycopg.Connection, id: str) -> None:
    await store.put(id, SCOPE, PAYLOAD, expires_in=LEASE)
    pass_the_deadline(connection, id)
    await store.leases.expire(limit=10)


async def _use_all(store: PendingStore, ask_number: int) -> None:
    """Whatever reads or writes the row on an ordinary day."""
    await store.leases.due(SERVED)
    await store.inspection.history("q")
    for state in State:
        await store.inspection.find(Filters(state=state))
    await store.inspection.find()
    await store.statistics.overview()
    await store.statistics.errors()
    await store.inspection.count_stale()
    await store.inspection.count_stale_undelivered()
    leased = await store.leases.lease(lease=LEASE, limit=10, most_attempts=20)
    assert "mate" in [each.answer.question_id for each in leased if not isinstance(each, Unreadable)]
    ended = await store.leases.lease(lease=LEASE, limit=10, most_attempts=20, endings=True)
    assert "ended mate" in [each.answer.question_id for each in ended if not isinstance(each, Unreadable)]
    for each in [*leased, *ended]:
        await store.leases.mark_failed(each, "no", retry_in=SHORT, most_attempts=20)
    to_post = await posts(store)
    assert "shown mate" in [each.question_id for each in to_post]
    for post in to_post:
        await fails(store, post)
    for card in await store.leases.lease_cards(SERVED, lease=LEASE, limit=10):
        if card.retired:
            await store.leases.mark_retired("q", card.retired)
        await store.leases.mark_edited(
            [
                EditedCard(
                    question_id="q",
                    ask_number=card.ask_number,
                    card="1",
                    claimed_at=card.claimed_at,
                    attempts=card.attempts,
                )
            ]
        )
    await store.leases.mark_posted([PostedCard(question_id="q", ask_number=ask_number, card="1")])
    await store.leases.expire(limit=10)
    await store.claim(click(ask_number=1))
    await store.claim(click(ask_number=ask_number))
    await store.claim(click(), lease=LEASE)
    await store.put("q", SCOPE, PAYLOAD)
    await store.put("q", SCOPE, {"n": 1}, request_key="k1", posting=SHORT)
    await store.withdraw("q", SCOPE)
    await store.leases.redeliver(["q"])
    await swept(store)


async def test_a_card_that_was_edited_is_done_whatever_its_times(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    stored = await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())
    connection.execute("update pending_interactions set claimed_at = '20000-01-01', card = '1', card_due_at = now()")
    (card,) = await store.leases.lease_cards(SERVED, lease=LEASE, limit=10)

    edited = EditedCard(
        question_id="q", ask_number=stored.ask_number, card="1", claimed_at=card.claimed_at, attempts=card.attempts
    )

    assert await store.leases.mark_edited([edited]) == set()
    assert connection.execute("select card_due_at from pending_interactions").fetchone() == (None,)


# A payload that cannot be read.

UNREADABLE = {
    "an array": "[]",
    "text": '"Deploy?"',
    "a huge exponent": '{"n": 1e5000}',
    "5,000 digits": '{"n": ' + "7" * 5000 + "}",
    # Python 3.13 reads 9,998 levels, and PostgreSQL about 15,000.
    "deep nesting": '{"n": ' + "[" * 11_000 + "]" * 11_000 + "}",
}


@pytest.fixture(params=list(UNREADABLE.values()), ids=list(UNREADABLE))
def payload(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


@pytest.mark.law(16)
async def test_an_answer_that_cannot_be_read_fails_alone(
    store: PendingStore, connection: psycopg.Connection, payload: str
) -> None:
    for id in ("a", "bad", "z"):
        await claimed(store, id)
    connection.execute("update pending_interactions set entry_payload = %s::jsonb where id = 'bad'", (payload,))
    run_out(connection)

    leased = await store.leases.lease(lease=LEASE, limit=10, most_attempts=20)

    (bad,) = [each for each in leased if isinstance(each, Unreadable)]
    assert (bad.question_id, len(leased)) == ("bad", 3)
    assert "cannot be read" in bad.reason or "not a JSON object" in bad.reason
    marked = await store.leases.mark_failed(bad, bad.reason, retry_in=SHORT, most_attempts=20, permanent=True)
    assert marked is State.STUCK
    assert await state_of(store, "bad") is State.STUCK
    assert await state_of(store, "a") is await state_of(store, "z") is State.UNDELIVERED
    assert await lease(store) == []


@pytest.mark.law(7)
async def test_a_click_on_what_cannot_be_read_gets_its_reply(
    store: PendingStore, connection: psycopg.Connection, payload: str
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    connection.execute("update pending_interactions set entry_payload = %s::jsonb", (payload,))

    claim = await store.claim(click(), lease=LEASE)
    again = await store.claim(click(delivery_key="other"))

    assert isinstance(claim, Claim)
    assert (claim.payload, claim.lease_token) == ({}, None)
    assert isinstance(again, Refusal)
    assert again.reason is RefusalReason.ALREADY_ANSWERED
    run_out(connection)
    (bad,) = await store.leases.lease(lease=LEASE, limit=10, most_attempts=20)
    assert isinstance(bad, Unreadable)


@pytest.mark.law(2, 7)
async def test_a_value_that_is_no_option_of_what_cannot_be_read_is_refused(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    connection.execute(
        'update pending_interactions set entry_payload = \'{"question": {"options": ["yes"]}, "n": 1e5000}\''
    )

    refused = await store.claim(click(value="no"))

    assert isinstance(refused, Refusal)
    assert refused.reason is RefusalReason.INVALID_ANSWER
    assert isinstance(await store.claim(click(value="yes")), Claim)


async def test_what_cannot_be_read_is_shown_and_can_be_deleted(
    store: PendingStore, connection: psycopg.Connection, payload: str
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    connection.execute("update pending_interactions set entry_payload = %s::jsonb", (payload,))

    row = await store.inspection.get("q")

    assert row is not None
    assert (row.id, row.payload) == ("q", {})
    assert [each.id for each in await store.inspection.find()] == ["q"]
    assert await store.delete("q", SCOPE)


@pytest.mark.law(16)
async def test_a_card_that_cannot_be_read_fails_alone(
    store: PendingStore, connection: psycopg.Connection, payload: str
) -> None:
    for id in ("a", "bad", "z"):
        stored = await store.put(id, SCOPE, PAYLOAD)
        await store.leases.mark_posted([PostedCard(question_id=id, ask_number=stored.ask_number, card="1")])
    connection.execute("update pending_interactions set card_due_at = now()")
    connection.execute(
        "update pending_interactions set card = %(json)s::jsonb, entry_payload = %(json)s::jsonb, "
        "retired_cards = %(json)s::jsonb where id = 'bad'",
        {"json": payload},
    )

    leased = await store.leases.lease_cards(SERVED, lease=LEASE, limit=10)

    assert sorted(card.question_id for card in leased) == ["a", "bad", "z"]
    claim = await store.claim(click("bad", value="yes"))
    assert isinstance(claim, Claim)


@pytest.mark.parametrize("options", [None, [], "yes", {}, [None], [1]])
async def test_options_of_any_shape_get_a_reply_and_never_a_failure(store: PendingStore, options: object) -> None:
    payload: JsonObject = {"question": {"text": "?", "options": options}}  # type: ignore[dict-item]
    await store.put("q", SCOPE, payload)
    await store.put("q", SCOPE, payload)

    for value in (None, "null", "yes"):
        try:
            result = await store.claim(click(value=value))
        except PendingctlError as error:  # it said "reopened 5 times"
            raise AssertionError(options, value) from error
        assert isinstance(result, Claim | Refusal)


async def test_an_age_beyond_all_ages_sweeps_nothing(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    connection.execute("update pending_interactions set created_at = '-infinity'")
    century = timedelta(days=36_500)

    assert [id async for batch in store.sweep(max_age=century) for id in batch] == ["q"]
