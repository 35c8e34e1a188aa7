"""Reading: law 10, lists and counts. Each test was seen to fail with its law broken."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import timedelta
from inspect import getsource

import psycopg
import pytest

from pendingctl import Filters, PendingStore, Scope, State, Withdrawal
from pendingctl.errors import DatabaseFailed, InvalidInput
from pendingctl.inspected import CardState, Unposted
from pendingctl.leased import LeasedPost
from pendingctl.store import trail_reads
from pendingctl.store.inspection import Inspection
from pendingctl.store.statistics import Statistics
from tests.questions import PAYLOAD, SCOPE, age, click
from tests.store.plans import PARAMETERS, STATEMENTS

# Reading never writes (law 10).


READERS = {
    name: (on, reader)
    for on, reading in (("inspection", Inspection), ("statistics", Statistics))
    for name, reader in vars(reading).items()
    # The sizes are the catalog's alone.
    if not name.startswith("_") and callable(reader) and name != "storage"
}
# What is read, of those that do not read the questions.
TABLES = {"times": "pending_trail", "pods": "pending_pods", "last_sweep": "sweep_cycle", "limits": "pending_rate_limit"}
# What a reader must be given.
ARGUMENTS: dict[str, tuple[object, ...]] = {
    "get": ("q",),
    "summaries": (["q"],),
    "leases": (["q"],),
    "with_prefix": ("q",),
    "unknown": (Filters(application="shop"),),
    "history": ("q",),
    "known_ids": ("q",),
    "user_history": ("U1",),
}

KEYWORDS: dict[str, dict[str, object]] = {"user_history": {"since": timedelta(hours=1)}}


@pytest.mark.law(10)
@pytest.mark.parametrize("name", READERS)
async def test_every_read_happens_in_a_read_only_transaction_with_a_time_limit(
    store: PendingStore, connection: psycopg.Connection, name: str
) -> None:
    # The table's place is taken by a view of a function that raises: whatever reads it reports its settings.
    table = TABLES.get(name, "pending_interactions")
    connection.execute(
        f"""
        alter table {table} rename to hidden;
        create function probe() returns setof hidden language plpgsql as $$
        begin
            raise exception 'read only: %, time limit: %',
                current_setting('transaction_read_only'), current_setting('statement_timeout');
        end $$;
        create view {table} as select * from probe();
        """.encode()
    )

    on, reader = READERS[name]
    with pytest.raises(DatabaseFailed, match=r"read only: on, time limit: (30s|1min)"):
        await reader(getattr(store, on), *ARGUMENTS.get(name, ()), **KEYWORDS.get(name, {}))


@pytest.mark.law(10)
def test_every_statement_that_only_reads_is_run_by_the_inspection(connection: psycopg.Connection) -> None:
    """Save what a lost click, an idle pod, a remedy and an append look at, and what doctor reads by itself."""
    reading = set()
    for name, statement in STATEMENTS.items():
        with connection.transaction(force_rollback=True):
            connection.execute("set transaction read only")
            with suppress(psycopg.errors.ReadOnlySqlTransaction):
                connection.execute(statement, PARAMETERS)
                reading.add(name)

    inspected = set(re.findall(r"statements\.([A-Z_]+)", getsource(Inspection) + getsource(Statistics)))
    counting = {name for name in STATEMENTS if name.startswith(("COUNT_", "SAMPLE_"))}
    of_the_trail = set(vars(trail_reads)) & set(STATEMENTS)
    others = {"LOOK", "LOOK_AT_LISTED", "DUE", "EVENTS_STILL_WAIT", "OLDEST_STALE"}
    assert reading == (inspected - {"OF_PART"}) | counting | of_the_trail | others


# Lists and counts.


async def test_find_filters_by_scope_state_and_age(store: PendingStore, connection: psycopg.Connection) -> None:
    await store.put("pending", SCOPE, PAYLOAD)
    await store.put("stale", Scope("acme", "teams", "U2"), PAYLOAD)
    await store.put("claimed", Scope("globex", "slack", "U1"), {"anything": 1})
    await store.claim(click("claimed", organization_id="globex"))
    age(connection, hours=25, id="stale")

    async def ids(**filters: object) -> list[str]:
        return [row.id for row in await store.inspection.find(Filters(**filters))]  # type: ignore[arg-type]

    assert await ids() == ["stale", "pending", "claimed"]
    assert await ids(organization_id="acme") == ["stale", "pending"]
    assert await ids(connection_id="slack") == ["pending", "claimed"]
    assert await ids(expected_user_id="U2") == ["stale"]
    assert await ids(older_than=timedelta(hours=1)) == ["stale"]
    assert [row.question for row in await store.inspection.find()] == ["Deploy?", "Deploy?", None]


async def test_a_row_has_one_state(store: PendingStore, connection: psycopg.Connection) -> None:
    """The first that is so of: stuck, undelivered, expired, withdrawn, defaulted, claimed, stale, pending."""
    for state in State:
        await store.put(state.value, SCOPE, PAYLOAD)
    connection.execute(
        "update pending_interactions set outcome = id, claimed_at = now() where id in ('expired', 'defaulted')"
    )
    for id in ("claimed", "undelivered", "stuck"):
        await store.claim(click(id), lease=None if id == "claimed" else timedelta(seconds=30))
    connection.execute("update pending_interactions set delivery_due_at = 'infinity' where id = 'stuck'")
    assert await store.withdraw("withdrawn", SCOPE) is Withdrawal.WITHDRAWN
    for id in ("stale", "claimed", "undelivered", "stuck", "withdrawn"):
        age(connection, hours=25, id=id)

    for state in State:
        assert [row.id for row in await store.inspection.find(Filters(state=state))] == [state.value]
        row = await store.inspection.get(state.value)
        assert row is not None
        assert row.state is state
    counts = (await store.statistics.counts()).total
    assert (counts.stuck, counts.undelivered, counts.stale, counts.pending) == (1, 1, 1, 1)
    assert counts.oldest_undelivered_seconds is not None


async def test_a_card_that_the_pods_give_up_waits_for_a_person_until_it_is_stored_again(store: PendingStore) -> None:
    async def attempt() -> LeasedPost:
        (post,) = await store.leases.lease_posts(
            [("acme", "slack")], lease=timedelta(seconds=30), limit=10, most_attempts=20, most_doubts=2
        )
        return post

    async def unposted() -> tuple[Unposted | None, str | None]:
        (row,) = await store.inspection.find(Filters(card=CardState.NEVER_POSTED))
        return row.unposted, row.post_error

    await store.put("q", SCOPE, PAYLOAD, show=True)
    assert await unposted() == (Unposted.TO_BE_POSTED, None)
    post = await attempt()
    assert await unposted() == (Unposted.TO_BE_POSTED, None)
    given_up = await store.leases.mark_not_posted(
        "q",
        post.ask_number,
        "no such channel",
        attempt=post.attempt,
        is_sure=True,
        retry_in=timedelta(seconds=1),
        most_attempts=20,
        most_doubts=2,
        permanent=True,
    )

    assert given_up
    assert await unposted() == (Unposted.GIVEN_UP, "no such channel")
    counts = (await store.statistics.counts()).total
    assert (counts.cards_to_post, counts.cards_never_posted) == (0, 1)

    await store.put("q", SCOPE, PAYLOAD, show=True)
    counts = (await store.statistics.counts()).total
    assert (counts.cards_to_post, counts.cards_never_posted) == (1, 0)
    again = await attempt()
    assert (again.ask_number, again.attempt, again.is_in_doubt) == (post.ask_number, 1, False)


async def test_find_is_bounded(store: PendingStore) -> None:
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(5))

    assert len(await store.inspection.find(limit=3)) == 3
    with pytest.raises(InvalidInput):
        await store.inspection.find(limit=0)
    with pytest.raises(InvalidInput, match="filter"):
        await store.inspection.find(Filters(organization_id="\udcff"))
