"""One asking told from another: laws 3, 11 and 12."""

from __future__ import annotations

import asyncio
from itertools import pairwise, product
from uuid import UUID

import psycopg
import pytest

from pendingctl import Claim, PendingStore, PutOutcome, Refusal, RefusalReason, open_pool
from pendingctl.errors import RequestRefused
from pendingctl.payload import JsonObject, question_payload
from pendingctl.store.puts import MOST_DISPLACED_KEYS
from tests.deliveries import LEASE
from tests.questions import PAYLOAD, SCOPE, age, click, swept

OTHER = question_payload("Deploy to production?", ["yes", "no"], {"conversation_id": "C1"})
SOMEBODY = UUID(int=7)


def last_number(connection: psycopg.Connection) -> int:
    """The last number that was drawn."""
    row = connection.execute(
        "select last_value from pg_sequences where schemaname = 'public' and sequencename like 'pending_interactions%'"
    ).fetchone()
    assert row is not None
    return int(row[0])


# A number is never used twice (law 12).


@pytest.mark.law(12)
async def test_a_deleted_question_is_asked_again_under_a_greater_number(store: PendingStore) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click())
    await store.delete("q", SCOPE)

    second = await store.put("q", SCOPE, PAYLOAD)

    assert (second.outcome, second.ask_number > first.ask_number) == (PutOutcome.CREATED, True)
    late = await store.claim(click(ask_number=first.ask_number))
    assert late == Refusal("q", RefusalReason.SUPERSEDED)


@pytest.mark.law(12)
async def test_a_swept_question_is_asked_again_under_a_greater_number(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    age(connection, hours=25)
    assert await swept(store) == ["q"]

    await store.put_many([("q", SCOPE, PAYLOAD)])

    row = await store.inspection.get("q")
    assert row is not None
    assert row.ask_number > first.ask_number


@pytest.mark.law(12)
async def test_asked_anew_by_many_at_once_an_id_has_greater_numbers_each_time(
    dsn: str, connection: psycopg.Connection
) -> None:
    connection.execute(
        """
        create table asked (at bigint generated always as identity, number bigint);
        create function note() returns trigger language plpgsql as $$
        begin
            insert into asked (number) values (new.ask_number);
            return null;
        end $$;
        create trigger note after insert or update of ask_number on pending_interactions
            for each row execute function note();
        """
    )
    async with open_pool(dsn, max_size=12, timeout=60) as pool:
        store = PendingStore(pool)
        for round in range(10):
            puts = [store.put("q", SCOPE, PAYLOAD, request_key=f"{round}-{each}") for each in range(12)]
            stored = await asyncio.gather(*puts)
            assert len({each.ask_number for each in stored}) == 12
            await store.delete("q", SCOPE)

    numbers = [number for (number,) in connection.execute("select number from asked order by at").fetchall()]
    assert len(numbers) == 120
    assert all(earlier < later for earlier, later in pairwise(numbers))


@pytest.mark.law(12)
async def test_what_asks_nothing_draws_no_number(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD, request_key="k1")
    await store.put("answered", SCOPE, PAYLOAD)
    await store.claim(click("answered"), lease=LEASE)
    drawn = last_number(connection)

    await store.put("q", SCOPE, PAYLOAD, request_key="k1")
    await store.put("q", SCOPE, PAYLOAD)
    with pytest.raises(RequestRefused):
        await store.put("q", SCOPE, OTHER, request_key="k1")
    await store.put("answered", SCOPE, OTHER)
    await store.put("answered", SCOPE, OTHER, if_answered="keep")
    await store.put_many([("q", SCOPE, PAYLOAD), ("answered", SCOPE, PAYLOAD)])

    assert last_number(connection) == drawn
    assert (await store.put("another", SCOPE, PAYLOAD)).ask_number == drawn + 1


# A retry, another question, or what is left alone (law 3).


def expected(state: str, kept: str | None, given: str | None, is_same: bool, keeps: bool) -> PutOutcome | None:
    """What the page says becomes of a put; None where it is refused."""
    if state in ("open", "awaited"):
        if kept is not None and given is not None:
            if kept != given:
                return None if state == "awaited" else PutOutcome.SUPERSEDED
            return PutOutcome.REFRESHED if is_same else None
        if is_same:
            return PutOutcome.REFRESHED
        return None if state == "awaited" else PutOutcome.SUPERSEDED
    if keeps or state == "undelivered" or (given is not None and kept == given):
        return PutOutcome.WITHDRAWN if state == "withdrawn" else PutOutcome.ALREADY_ANSWERED
    return PutOutcome.REOPENED


async def _arrange(store: PendingStore, id: str, state: str, key: str | None) -> int:
    awaited_by = SOMEBODY if state == "awaited" else None
    stored = await store.put(id, SCOPE, PAYLOAD, request_key=key, awaited_by=awaited_by)
    if state == "withdrawn":
        await store.withdraw(id, SCOPE)
    elif state in ("answered", "undelivered"):
        await store.claim(click(id), lease=LEASE if state == "undelivered" else None)
    return stored.ask_number


@pytest.mark.parametrize("state", ["open", "awaited", "answered", "withdrawn", "undelivered"])
@pytest.mark.law(3, 11)
async def test_what_becomes_of_an_id_that_is_put_again(
    store: PendingStore, connection: psycopg.Connection, state: str
) -> None:
    cells = list(product((None, "k1"), (None, "k1", "k2"), (True, False), (False, True)))
    for number, (kept, given, is_same, keeps) in enumerate(cells):
        id, cell = f"q{number}", (state, kept, given, is_same, keeps)
        asked = await _arrange(store, id, state, kept)
        rows = "select to_jsonb(pending), xmin::text from pending_interactions as pending where id = %s"
        before = connection.execute(rows, (id,)).fetchone()
        payload: JsonObject = PAYLOAD if is_same else OTHER

        try:
            stored = await store.put(id, SCOPE, payload, request_key=given, if_answered="keep" if keeps else "reopen")
        except RequestRefused:
            assert expected(*cell) is None, cell
            assert connection.execute(rows, (id,)).fetchone() == before, cell
            continue

        assert stored.outcome is expected(*cell), cell
        late = await store.claim(click(id, ask_number=asked, delivery_key="late"))
        if stored.outcome in (PutOutcome.SUPERSEDED, PutOutcome.REOPENED):
            assert stored.ask_number > asked, cell
            assert isinstance(late, Refusal)
            assert (
                late.reason
                is {
                    "open": RefusalReason.SUPERSEDED,
                    "withdrawn": RefusalReason.WITHDRAWN,
                    "answered": RefusalReason.ALREADY_ANSWERED,
                }[state]
            ), cell
            won = await store.claim(click(id, ask_number=stored.ask_number))
            assert isinstance(won, Claim)
            assert won.payload == payload, cell
        else:
            assert stored.ask_number == asked, cell
            assert isinstance(late, Claim) is (stored.outcome is PutOutcome.REFRESHED), cell


@pytest.mark.parametrize(
    ("payload", "is_another"),
    [
        (question_payload("Deploy?", ["yes", "no"], {"conversation_id": "C1", "thread": 2}), False),
        ({**PAYLOAD, "trace": "abc"}, False),
        (question_payload("Deploy now?", ["yes", "no"], {"conversation_id": "C1"}), True),
        (question_payload("Deploy?", ["no", "yes"], {"conversation_id": "C1"}), True),
        (question_payload("Deploy?", ["yes"], {"conversation_id": "C1"}), True),
        (question_payload("Deploy?", ["yes", "no"], {"conversation_id": "C2"}), True),
        (question_payload("Deploy?", ["yes", "no"]), True),
        ({}, True),
    ],
)
@pytest.mark.law(3, 11)
async def test_without_keys_what_the_card_shows_decides(
    store: PendingStore, payload: JsonObject, is_another: bool
) -> None:
    await store.put("q", SCOPE, PAYLOAD)

    stored = await store.put("q", SCOPE, payload)

    assert stored.outcome is (PutOutcome.SUPERSEDED if is_another else PutOutcome.REFRESHED)


@pytest.mark.parametrize("payload", [{}, {"question": {"options": None}}, {"question": "?"}, {"question": {"text": 1}}])
async def test_a_payload_of_another_shape_is_the_same_when_it_comes_again(
    store: PendingStore, payload: JsonObject
) -> None:
    await store.put("q", SCOPE, payload)

    assert (await store.put("q", SCOPE, payload)).outcome is PutOutcome.REFRESHED
    assert isinstance(await store.claim(click(value="anything")), Claim)
    assert (await store.put("q", SCOPE, payload)).outcome is PutOutcome.REOPENED


@pytest.mark.law(11)
async def test_a_question_put_again_with_another_text_is_not_answered_by_the_card_before(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    first = await store.put("q", SCOPE, question_payload("Refund 10 EUR?", ["yes"]))
    age(connection, hours=23)
    second = await store.put("q", SCOPE, question_payload("Refund 10,000 EUR?", ["yes"]))

    assert await store.claim(click(ask_number=first.ask_number)) == Refusal("q", RefusalReason.SUPERSEDED)
    assert second.created_at > first.created_at
    row = await store.inspection.get("q")
    assert row is not None
    assert row.age_seconds < 3600


@pytest.mark.law(3)
async def test_a_displaced_request_that_comes_late_is_refused(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """Of those before the last 100 nobody knows any more."""
    for number in range(MOST_DISPLACED_KEYS + 3):
        await store.put("q", SCOPE, PAYLOAD, request_key=f"k{number}")
    now = await store.inspection.get("q")

    for number in (2, 50, MOST_DISPLACED_KEYS + 1):
        with pytest.raises(RequestRefused, match="comes too late"):
            await store.put("q", SCOPE, PAYLOAD, request_key=f"k{number}")
    await store.claim(click())
    with pytest.raises(RequestRefused, match="comes too late"):
        await store.put("q", SCOPE, PAYLOAD, request_key="k50")

    assert now is not None
    after = await store.inspection.get("q")
    assert after is not None
    assert after.ask_number == now.ask_number
    kept = connection.execute("select cardinality(displaced_keys) from pending_interactions").fetchone()
    assert kept == (MOST_DISPLACED_KEYS,)


@pytest.mark.law(3)
async def test_the_request_of_an_answered_asking_is_displaced_by_the_next(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, request_key="k1")
    await store.claim(click())
    assert (await store.put("q", SCOPE, PAYLOAD, request_key="k1")).outcome is PutOutcome.ALREADY_ANSWERED
    assert (await store.put("q", SCOPE, PAYLOAD, request_key="k2")).outcome is PutOutcome.REOPENED

    with pytest.raises(RequestRefused, match="comes too late"):
        await store.put("q", SCOPE, PAYLOAD, request_key="k1")


# Late clicks learn how their own asking ended (law 7).


@pytest.mark.law(7, 11)
async def test_the_press_that_won_the_asking_before_still_learns_that_it_won(store: PendingStore) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    won = await store.claim(click(delivery_key="press"))
    await store.put("q", SCOPE, PAYLOAD)

    again = await store.claim(click(delivery_key="press", ask_number=first.ask_number))

    assert isinstance(won, Claim)
    assert isinstance(again, Claim)
    assert (again.repeated, again.ask_number, again.claimed_at) == (True, first.ask_number, won.claimed_at)


@pytest.mark.law(7)
async def test_of_askings_before_the_last_one_a_late_click_learns_that_they_are_superseded(
    store: PendingStore,
) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click(delivery_key="press"))
    await store.put("q", SCOPE, PAYLOAD)
    third = await store.put("q", SCOPE, OTHER)

    late = await store.claim(click(delivery_key="press", ask_number=first.ask_number))
    unknown = await store.claim(click(ask_number=third.ask_number + 1))

    assert late == Refusal("q", RefusalReason.SUPERSEDED)
    assert unknown == Refusal("q", RefusalReason.UNKNOWN_OR_EXPIRED)


@pytest.mark.law(7)
async def test_a_stranger_learns_nothing_of_the_asking_before(store: PendingStore) -> None:
    first = await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click(delivery_key="press"))
    await store.put("q", SCOPE, PAYLOAD)

    for changed, reason in (
        ({"user_id": "U2"}, RefusalReason.NOT_YOURS),
        ({"organization_id": "globex"}, RefusalReason.UNKNOWN_OR_EXPIRED),
    ):
        stranger = click(delivery_key="press", ask_number=first.ask_number, **changed)
        assert await store.claim(stranger) == Refusal("q", reason)
