"""An application's pods claim, deliver and edit its own rows alone: law 15. Nobody pays for what nobody serves."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Claim, Filters, PendingStore, Refusal, RefusalReason, State
from pendingctl.errors import ScopeMismatch
from pendingctl.leased import PostedCard
from pendingctl.postgres.connections import Pool
from pendingctl.store import card_statements, lease_statements, post_statements
from tests.conftest import migrated_database
from tests.deliveries import LEASE, claimed, lease, run_out, state_of
from tests.questions import PAYLOAD, SCOPE, age, click, swept
from tests.store.plans import buffers

SERVED = [("acme", "slack")]


@pytest.fixture
def deployer(pool: Pool) -> PendingStore:
    """The store of another application in the same database."""
    return PendingStore(pool, application="deployer")


@pytest.mark.law(15)
async def test_a_click_on_another_applications_question_costs_nothing(
    store: PendingStore, deployer: PendingStore
) -> None:
    await deployer.put("q", SCOPE, PAYLOAD)

    assert await store.claim(click()) == Refusal("q", RefusalReason.OTHER_APPLICATION)
    assert await store.claim(click(user_id="U2")) == Refusal("q", RefusalReason.OTHER_APPLICATION)
    assert await store.claim(click(connection_id="teams")) == Refusal("q", RefusalReason.UNKNOWN_OR_EXPIRED)
    assert isinstance(await deployer.claim(click()), Claim)
    assert await store.claim(click()) == Refusal("q", RefusalReason.OTHER_APPLICATION)


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.law(3, 15)
async def test_another_applications_id_is_not_put(
    store: PendingStore, deployer: PendingStore, connection: psycopg.Connection, answered: bool
) -> None:
    await deployer.put("q", SCOPE, PAYLOAD)
    if answered:
        await deployer.claim(click())
    rows = "select to_jsonb(pending), xmin::text from pending_interactions as pending"
    before = connection.execute(rows).fetchall()

    with pytest.raises(ScopeMismatch, match="another application"):
        await store.put("q", SCOPE, PAYLOAD)
    with pytest.raises(ScopeMismatch, match="another application"):
        await store.put_many([("q", SCOPE, PAYLOAD)])

    assert connection.execute(rows).fetchall() == before


@pytest.mark.law(15)
async def test_each_application_delivers_its_own_answers(
    store: PendingStore, deployer: PendingStore, connection: psycopg.Connection
) -> None:
    await claimed(store, "ours")
    await claimed(deployer, "theirs")
    run_out(connection)

    assert [each.answer.question_id for each in await lease(store)] == ["ours"]
    assert not (await store.leases.due()).answers
    assert (await deployer.leases.due()).answers
    assert await store.leases.redeliver(["ours", "theirs"]) == ["ours"]
    assert [each.answer.question_id for each in await lease(deployer)] == ["theirs"]


@pytest.mark.law(15)
async def test_each_application_edits_its_own_cards(
    store: PendingStore, deployer: PendingStore, connection: psycopg.Connection
) -> None:
    for each, id in ((store, "ours"), (deployer, "theirs")):
        stored = await each.put(id, SCOPE, PAYLOAD)
        await each.leases.mark_posted([PostedCard(question_id=id, ask_number=stored.ask_number, card="1")])
    connection.execute("update pending_interactions set card_due_at = now()")

    leased = await store.leases.lease_cards(SERVED, lease=LEASE, limit=10)

    assert [card.question_id for card in leased] == ["ours"]
    assert not (await store.leases.due(SERVED)).cards
    assert (await deployer.leases.due(SERVED)).cards


async def test_what_is_stuck_is_listed_by_application(store: PendingStore, deployer: PendingStore) -> None:
    for each, id in ((store, "ours"), (deployer, "theirs")):
        await each.leases.mark_failed(await claimed(each, id), "no", retry_in=LEASE, most_attempts=1)

    for application, id in (("", "ours"), ("deployer", "theirs")):
        found = await store.inspection.find(Filters(state=State.STUCK, application=application))
        assert [row.id for row in found] == [id]


async def test_lists_and_counts_are_of_all_or_of_one(store: PendingStore, deployer: PendingStore) -> None:
    await store.put("ours", SCOPE, PAYLOAD)
    await deployer.put("theirs", SCOPE, PAYLOAD)

    async def ids(application: str | None) -> list[str]:
        return [row.id for row in await store.inspection.find(Filters(application=application))]

    assert [await ids(None), await ids(""), await ids("deployer")] == [["ours", "theirs"], ["ours"], ["theirs"]]
    assert (await store.statistics.counts()).total.pending == 2
    assert (await store.statistics.counts(application="deployer")).total.pending == 1


async def test_a_sweep_covers_all(store: PendingStore, deployer: PendingStore, connection: psycopg.Connection) -> None:
    await deployer.put("q", SCOPE, PAYLOAD)
    age(connection, hours=25)

    assert await swept(store) == ["q"]


@pytest.mark.law(6, 15)
async def test_a_foreign_mark_marks_nothing_of_ours(store: PendingStore, deployer: PendingStore) -> None:
    ours = await claimed(store, "ours")
    theirs = await claimed(deployer, "theirs")

    assert await store.leases.mark_delivered(ours)
    assert await state_of(store, "theirs") is State.UNDELIVERED
    assert await deployer.leases.mark_delivered(theirs)


# What nobody serves is not looked at.


@pytest.fixture(scope="module")
def crowded(server_dsn: str, template: str) -> Iterator[psycopg.Connection]:
    """100,000 due answers and cards of another application, as many of a connection that nobody serves, and posts."""
    with migrated_database(server_dsn, template) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        _crowd(connection)
        yield connection


def _crowd(connection: psycopg.Connection) -> None:
    for application, connection_id in (("deployer", "slack"), ("", "unserved")):
        connection.execute(
            """
            insert into pending_interactions
                (id, organization_id, connection_id, expected_user_id, entry_payload, application, claimed_at,
                 delivery_due_at, card, card_due_at)
            select %(connection)s || n, 'acme', %(connection)s, 'U1', '{}', %(application)s, now(),
                   case %(application)s when 'deployer' then now() end, '1', now()
            from generate_series(1, 100000) as n
            """,
            {"application": application, "connection": connection_id},
        )
        connection.execute(
            """
            insert into pending_interactions
                (id, organization_id, connection_id, expected_user_id, entry_payload, application, post_due_at)
            select %(connection)s || ' to post ' || n, 'acme', %(connection)s, 'U1', '{}', %(application)s, now()
            from generate_series(1, 20000) as n
            """,
            {"application": application, "connection": connection_id},
        )
    connection.execute("vacuum analyze pending_interactions")


@pytest.mark.parametrize(
    "statement",
    [lease_statements.DUE, lease_statements.LEASE, card_statements.LEASE_CARDS, post_statements.LEASE_POSTS],
    ids=["DUE", "LEASE", "LEASE_CARDS", "LEASE_POSTS"],
)
@pytest.mark.law(15, 16)
def test_what_nobody_serves_costs_nobody(crowded: psycopg.Connection, statement: str) -> None:
    looked = buffers(crowded, statement, lease=timedelta(seconds=30), limit=10, most_tenants=10)

    assert looked < 40
