"""Reading: law 10, lists and counts. Each test was seen to fail with its law broken."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from pendingctl import Filters, PendingStore, Scope, State, Withdrawal
from pendingctl.errors import InvalidInput
from tests.questions import PAYLOAD, SCOPE, age, click

# Reading never writes (law 10).


@pytest.mark.law(10)
async def test_reading_happens_in_read_only_transactions_with_a_time_limit(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    # The probe is called by every read, since it is part of the view that takes the table's place.
    connection.execute(
        """
        create function probe() returns boolean language plpgsql as $$
        begin
            if current_setting('transaction_read_only') = 'off' or current_setting('statement_timeout') = '0' then
                raise exception 'this read could write, or run for ever';
            end if;
            return true;
        end $$;
        alter table pending_interactions rename to hidden;
        create view pending_interactions as select * from hidden where probe();
        insert into hidden (id, organization_id, connection_id, expected_user_id, entry_payload)
        values ('q', 'acme', 'slack', 'U1', '{}');
        """
    )

    assert await store.inspection.get("q") is not None
    assert len(await store.inspection.find()) == 1
    assert (await store.inspection.counts()).pending == 1
    assert await store.inspection.count_stale() == 0


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
    """The first that is so of: stuck, undelivered, withdrawn, claimed, stale, pending."""
    for state in State:
        await store.put(state.value, SCOPE, PAYLOAD)
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
    counts = await store.inspection.counts()
    assert (counts.stuck, counts.undelivered, counts.withdrawn, counts.claimed, counts.stale, counts.pending) == (
        1,
    ) * 6
    assert counts.oldest_undelivered_seconds is not None


async def test_find_is_bounded(store: PendingStore) -> None:
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(5))

    assert len(await store.inspection.find(limit=3)) == 3
    with pytest.raises(InvalidInput):
        await store.inspection.find(limit=0)
    with pytest.raises(InvalidInput, match="filter"):
        await store.inspection.find(Filters(organization_id="\udcff"))


async def test_counts_say_how_many_wait_and_where(store: PendingStore, connection: psycopg.Connection) -> None:
    empty = await store.inspection.counts()
    assert (empty.pending, empty.oldest_pending_seconds, empty.organizations) == (0, None, ())
    await store.put("a", SCOPE, PAYLOAD)
    await store.put("b", SCOPE, PAYLOAD)
    await store.put("c", Scope("globex", "slack", "U1"), PAYLOAD)
    await store.claim(click("a"))
    age(connection, hours=25, id="c")

    counts = await store.inspection.counts()

    assert (counts.pending, counts.claimed, counts.stale) == (1, 1, 1)
    assert counts.oldest_pending_seconds == pytest.approx(25 * 3600, abs=60)
    assert [(each.organization_id, each.pending, each.stale) for each in counts.organizations] == [
        ("acme", 1, 0),
        ("globex", 0, 1),
    ]
