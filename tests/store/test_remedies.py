"""What the person on call does to rows that a list has shown: to the askings that were listed, and to no others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import psycopg
import pytest

from pendingctl import PendingStore
from pendingctl.errors import InvalidInput
from pendingctl.inspected import CardState, PendingSummary, State
from pendingctl.leased import EditedCard, LeasedCard
from pendingctl.model import Outcome
from pendingctl.payload import question_payload
from pendingctl.postgres.connections import Pool
from pendingctl.remedied import NotDone, Remedied
from pendingctl.store.filters import Filters
from tests.deliveries import LEASE, claimed, lease
from tests.endings import HOUR, endings, pass_the_deadline, state_of
from tests.posts import SERVED, fails, let_pass, note, posts, row, show
from tests.questions import PAYLOAD, SCOPE, click

ANOTHER = question_payload("Deploy to production?", ["yes", "no"], {"conversation_id": "C1"})


async def listed(store: PendingStore, filters: Filters | None = None) -> list[PendingSummary]:
    return await store.inspection.find(filters or Filters())


def outcomes(remedied: Sequence[Remedied]) -> dict[str, NotDone | None]:
    return {each.id: each.not_done for each in remedied}


async def cards(store: PendingStore) -> list[LeasedCard]:
    return await store.leases.lease_cards(SERVED, lease=LEASE, limit=10)


# All of them


@pytest.mark.law(3)
@pytest.mark.parametrize("remedy", ["redeliver", "withdraw", "extend", "repair_cards"])
async def test_an_id_that_was_asked_again_since_it_was_listed_keeps_its_new_question(
    store: PendingStore, connection: psycopg.Connection, remedy: str
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR, show=True)
    rows = await listed(store)
    await store.put("q", SCOPE, ANOTHER, expires_in=HOUR, show=True)
    before = row(connection, "pending_interactions::text")

    remedies = store.remedies
    became = {
        "redeliver": lambda: remedies.redeliver(rows),
        "withdraw": lambda: remedies.withdraw(rows),
        "extend": lambda: remedies.extend(rows, by=HOUR),
        "repair_cards": lambda: remedies.repair_cards(rows, edit_again=True),
    }[remedy]()

    assert outcomes(await became) == {"q": NotDone.ASKED_AGAIN}
    assert row(connection, "pending_interactions::text") == before


@pytest.mark.law(3)
async def test_a_row_that_is_gone_and_one_that_another_tenant_has_stored_since_are_reported(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for id in ("gone", "foreign"):
        await store.put(id, SCOPE, PAYLOAD)
    rows = await listed(store)
    await store.delete("gone", SCOPE)
    connection.execute("update pending_interactions set organization_id = 'globex' where id = 'foreign'")

    assert outcomes(await store.remedies.withdraw(rows)) == {"gone": NotDone.GONE, "foreign": NotDone.GONE}
    assert await state_of(store, "foreign") is State.PENDING


@pytest.mark.law(16)
async def test_a_row_that_somebody_has_locked_keeps_no_other_from_its_remedy(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for id in ("free", "locked"):
        await store.put(id, SCOPE, PAYLOAD, expires_in=HOUR, show=True)
    rows = await listed(store)

    with connection.transaction():
        connection.execute("select from pending_interactions where id = 'locked' for update")
        assert outcomes(await store.remedies.repair_cards(rows)) == {"free": None, "locked": NotDone.BUSY}
        assert outcomes(await store.remedies.extend(rows, by=HOUR)) == {"free": None, "locked": NotDone.BUSY}
        assert outcomes(await store.remedies.withdraw(rows)) == {"free": None, "locked": NotDone.BUSY}

    assert outcomes(await store.remedies.withdraw(rows)) == {"free": NotDone.WITHDRAWN, "locked": None}


async def test_no_rows_are_no_work(store: PendingStore) -> None:
    assert await store.remedies.withdraw([]) == []


async def test_the_trail_has_what_was_done_and_who_did_it(pool: Pool, connection: psycopg.Connection) -> None:
    store = PendingStore(pool, pod="anna@laptop")
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR, show=True)
    rows = await listed(store)
    await store.remedies.repair_cards(rows)
    (extended,) = await store.remedies.extend(rows, by=HOUR)
    await store.remedies.withdraw(rows)
    await store.remedies.redeliver(rows)
    await store.remedies.withdraw(rows)

    trail = connection.execute(
        "select step, ask_number, organization_id, pod, detail from pending_trail where step <> 'asked' order by id"
    ).fetchall()
    assert [each[0] for each in trail] == ["repaired", "extended", "withdrawn", "redelivered"]
    assert {each[1:4] for each in trail} == {(rows[0].ask_number, "acme", "anna@laptop")}
    assert extended.expires_at is not None
    assert [datetime.fromisoformat(each[4]) for each in trail if each[4]] == [extended.expires_at]


# Redeliver


@pytest.mark.law(15)
async def test_endings_of_every_application_are_delivered_again_to_their_own(store: PendingStore, pool: Pool) -> None:
    billing = PendingStore(pool, application="billing")
    await store.put("open", SCOPE, PAYLOAD)
    await store.leases.mark_delivered(await claimed(store, "ours"))
    await billing.leases.mark_delivered(await claimed(billing, "theirs"))

    became = await store.remedies.redeliver(await listed(store))

    assert outcomes(became) == {"open": NotDone.OPEN, "ours": None, "theirs": None}
    assert [each.answer.question_id for each in await lease(store)] == ["ours"]
    assert [each.answer.question_id for each in await lease(billing)] == ["theirs"]


# Withdraw


async def test_open_questions_are_withdrawn_and_what_has_ended_is_left(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.leases.hear(frozenset(Outcome))
    for id in ("open", "expired", "withdrawn"):
        await store.put(id, SCOPE, PAYLOAD, expires_in=HOUR)
    await claimed(store, "answered")
    await store.withdraw("withdrawn", SCOPE)
    pass_the_deadline(connection, "expired")

    became = await store.remedies.withdraw(await listed(store))

    assert outcomes(became) == {
        "open": None,
        "expired": NotDone.EXPIRED,
        "withdrawn": NotDone.WITHDRAWN,
        "answered": NotDone.ANSWERED,
    }
    assert {each.answer.question_id for each in await endings(store)} == {"open", "withdrawn"}


# Extend


async def test_deadlines_that_lie_ahead_are_moved(store: PendingStore, connection: psycopg.Connection) -> None:
    for id in ("open", "expired"):
        await store.put(id, SCOPE, PAYLOAD, expires_in=HOUR)
    await store.put("endless", SCOPE, PAYLOAD)
    await claimed(store, "answered")
    (before,) = row(connection, "expires_at", "open")
    pass_the_deadline(connection, "expired")

    became = await store.remedies.extend(await listed(store), by=HOUR)

    assert outcomes(became) == {
        "open": None,
        "expired": NotDone.EXPIRED,
        "endless": NotDone.NO_DEADLINE,
        "answered": NotDone.ANSWERED,
    }
    assert isinstance(before, datetime)
    assert {each.id: each.expires_at for each in became}["open"] == before + HOUR
    with pytest.raises(InvalidInput, match="more than 0"):
        await store.remedies.extend([], by=timedelta())


async def test_a_question_that_somebody_waits_for_keeps_its_deadline(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    connection.execute("update pending_interactions set awaited_until = now() + interval '1 hour'")

    assert outcomes(await store.remedies.extend(await listed(store), by=HOUR)) == {"q": NotDone.AWAITED}


# Repair cards: posts


async def test_a_card_that_was_given_up_is_posted_at_once_with_all_attempts_ahead(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    assert await fails(store, post, permanent=True) is True
    assert await posts(store) == []

    rows = await listed(store, Filters(card=CardState.NEVER_POSTED))
    assert outcomes(await store.remedies.repair_cards(rows)) == {"q": None}

    (again,) = await posts(store)
    assert (again.attempt, again.is_in_doubt) == (1, False)
    await note(store, again)
    assert await listed(store, Filters(card=CardState.NEVER_POSTED)) == []


async def test_a_card_that_may_be_there_is_attempted_once_more_and_in_doubt(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    for _ in range(2):
        (post,) = await posts(store)
        await fails(store, post, is_sure=False)
        let_pass(connection)
    assert await posts(store) == []

    assert outcomes(await store.remedies.repair_cards(await listed(store))) == {"q": None}

    (again,) = await posts(store)
    assert (again.attempt, again.is_in_doubt) == (1, True)


async def test_a_retry_that_waits_for_its_time_is_due_at_once(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    await fails(store, post, retry_in=HOUR)
    assert await posts(store) == []

    assert outcomes(await store.remedies.repair_cards(await listed(store))) == {"q": None}
    assert len(await posts(store)) == 1


@pytest.mark.law(13)
async def test_a_card_that_a_pod_posts_just_now_is_left_to_it(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    await posts(store)
    before = row(connection, "pending_interactions::text")

    assert outcomes(await store.remedies.repair_cards(await listed(store))) == {"q": NotDone.UNDER_WAY}
    assert row(connection, "pending_interactions::text") == before


async def test_what_nobody_posts_and_what_needs_no_repair_is_reported(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("shown", SCOPE, PAYLOAD, show=True)
    await show(store)
    await store.put("by-caller", SCOPE, PAYLOAD)
    await store.put("past", SCOPE, PAYLOAD, show=True, expires_in=HOUR)
    pass_the_deadline(connection, "past")

    assert outcomes(await store.remedies.repair_cards(await listed(store))) == {
        "shown": NotDone.NOTHING_TO_REPAIR,
        "by-caller": NotDone.BY_CALLER,
        "past": NotDone.EXPIRED,
    }
    assert await posts(store) == []
    assert await cards(store) == []


# Repair cards: edits


async def test_a_card_whose_edits_have_failed_is_edited_at_once(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    await show(store)
    await store.withdraw("q", SCOPE)
    (failed,) = await cards(store)
    assert failed.attempts == 1
    assert await cards(store) == []

    assert outcomes(await store.remedies.repair_cards(await listed(store))) == {"q": None}

    (again,) = await cards(store)
    assert (again.attempts, again.outcome) == (1, Outcome.WITHDRAWN)


async def test_an_ended_questions_card_is_edited_once_more_on_request(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    await show(store)
    await store.claim(click(), lease=timedelta())
    (edited,) = await cards(store)
    await store.leases.mark_edited([_note_of(edited)])
    rows = await listed(store)

    assert outcomes(await store.remedies.repair_cards(rows)) == {"q": NotDone.NOTHING_TO_REPAIR}
    assert await cards(store) == []
    with connection.transaction():
        connection.execute("select from pending_interactions for update")
        assert outcomes(await store.remedies.repair_cards(rows, edit_again=True)) == {"q": NotDone.BUSY}
    assert outcomes(await store.remedies.repair_cards(rows, edit_again=True)) == {"q": None}
    (again,) = await cards(store)
    await store.leases.mark_edited([_note_of(again)])
    assert await cards(store) == []


async def test_an_open_questions_card_goes_stale_at_its_own_time(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    await show(store)
    before = row(connection, "card_due_at")
    connection.execute("update pending_interactions set card_attempts = 1")

    rows = await listed(store)
    assert outcomes(await store.remedies.repair_cards(rows, edit_again=True)) == {"q": NotDone.NOTHING_TO_REPAIR}
    assert row(connection, "card_due_at") == before
    # Its edit as stale has failed.
    assert outcomes(await store.remedies.repair_cards(rows, max_age=timedelta(microseconds=1))) == {"q": None}
    assert len(await cards(store)) == 1


def _note_of(card: LeasedCard) -> EditedCard:
    return EditedCard(
        question_id=card.question_id,
        ask_number=card.ask_number,
        card='"card"',
        claimed_at=card.claimed_at,
        attempts=card.attempts,
    )
