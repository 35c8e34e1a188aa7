"""A lease lasts as long as it says, and what a card says in the end is what is so."""

from __future__ import annotations

import asyncio
from typing import LiteralString

import psycopg
import pytest

from pendingctl import PendingStore, Shows
from pendingctl.leased import PostedCard
from tests.deliveries import LEASE, until
from tests.faults.moments import PATIENCE, came_true
from tests.locks import until_the_clock_waits
from tests.pods import Pod
from tests.questions import PAYLOAD, SCOPE, age, click, swept

pytestmark = pytest.mark.usefixtures("patient")


@pytest.mark.parametrize(
    "work",
    [
        # After a wait Postgres computes an update anew only if the row has another version by then.
        "update pending_interactions set entry_payload = entry_payload where id = 'q'",
        "select from pending_interactions where id = 'q' for update",
    ],
    ids=["written", "locked"],
)
async def test_a_lease_counts_from_when_the_lock_of_the_row_is_held(
    store: PendingStore,
    dsn: str,
    connection: psycopg.Connection,
    work: LiteralString,
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    with psycopg.connect(dsn) as application:
        application.execute(work)
        claiming = asyncio.create_task(store.claim(click(), lease=LEASE))
        await until_the_clock_waits(connection)
        released = application.execute("select clock_timestamp()").fetchone()
    await claiming
    due = connection.execute("select delivery_due_at from pending_interactions").fetchone()

    assert released is not None
    assert due is not None
    assert due[0] >= released[0] + LEASE


async def test_a_late_slow_edit_is_not_the_last_word_of_a_card(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    stored = await store.put("q", SCOPE, PAYLOAD)
    await store.leases.mark_posted([PostedCard(question_id="q", ask_number=stored.ask_number, card='"slack-1"')])
    age(connection, 25)
    connection.execute("update pending_interactions set card_due_at = now()")
    slow, quick = Pod(store), Pod(store, reply_within=PATIENCE)
    edits = slow.platform.edits = quick.platform.edits
    has_begun, may_land = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        has_begun.set()
        await may_land.wait()

    def is_noted() -> bool:
        return connection.execute("select card_due_at is null from pending_interactions").fetchone() == (True,)

    slow.platform.before_edit = wait
    async with slow.bridge:
        await until(has_begun.is_set)
        async with quick.bridge:
            await quick.bridge.click(click())
            # A pod may as well leave its edit until the slow one is over.
            await came_true(lambda: bool(edits) and is_noted(), 3)
            may_land.set()
            await until(lambda: any(card.shows is Shows.STALE for _, _, card in edits))

    assert edits[-1][2].shows is Shows.ANSWERED or not is_noted()


async def test_a_row_whose_card_is_due_stays_for_one_further_maximum_age(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    stored = await store.put("q", SCOPE, PAYLOAD)
    await store.leases.mark_posted([PostedCard(question_id="q", ask_number=stored.ask_number, card='"slack-1"')])
    taken = []
    for _ in range(2):
        age(connection, 25)
        connection.execute("update pending_interactions set card_due_at = card_due_at - interval '25 hours'")
        taken.append(await swept(store))

    assert taken == [[], ["q"]]
