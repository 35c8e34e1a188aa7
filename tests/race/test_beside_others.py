"""A race on a database that others use: nothing of theirs is touched, whatever is due there."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Click, PendingStore, Question, Scope, open_pool
from pendingctl.race.plan.schedule import FaultKind
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.run import simulate_race

THEIRS = Scope("acme", "slack", "U1")
APPLICATIONS = ("", "billing")


def everything(connection: psycopg.Connection) -> list[tuple[str, ...]]:
    """Each row with the transaction that wrote it: one that was written in between is not the same."""
    return connection.execute(
        "select id, xmin::text, pending::text from pending_interactions as pending where id like 'still-%' order by id"
    ).fetchall()


async def ask_and_answer(store: PendingStore, id: str) -> None:
    """Leave an answer that is due at once, for pods that there are none of."""
    question = Question(id, THEIRS, "Deploy?", ("yes", "no"), "C1")
    await store.put(id, THEIRS, question.payload())
    press = Click(
        question_id=id,
        organization_id="acme",
        connection_id="slack",
        user_id="U1",
        delivery_key=id,
        value="yes",
    )
    await store.claim(press, lease=timedelta(0))


async def be_busy(store: PendingStore, name: str, stored: list[str]) -> None:
    while True:
        id = f"busy-{name}-{len(stored)}"
        await ask_and_answer(store, id)
        stored.append(id)
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    "organization",
    [
        pytest.param(None, id="in an organization of its own", marks=pytest.mark.long),
        pytest.param("acme", id="in the same one"),
    ],
)
@pytest.mark.law(15)
async def test_a_race_leaves_the_rows_cards_and_answers_of_others_as_they_were(
    dsn: str, connection: psycopg.Connection, organization: str | None
) -> None:
    stored: dict[str, list[str]] = {name: [] for name in APPLICATIONS}
    async with open_pool(dsn) as pool:
        stores = {name: PendingStore(pool, application=name) for name in APPLICATIONS}
        for name, store in stores.items():
            for kind in ("answer", "card", "stale", "stuck"):
                await ask_and_answer(store, f"still-{kind}-{name}")
            await store.put(f"still-open-{name}", THEIRS, Question("q", THEIRS, "Deploy?").payload())
        connection.execute("update pending_interactions set card = '1', card_due_at = now() where id like '%-card-%'")
        connection.execute("update pending_interactions set delivery_due_at = 'infinity' where id like '%-stuck-%'")
        connection.execute(
            "update pending_interactions set delivery_due_at = null, created_at = now() - interval '9 days',"
            " claimed_at = now() - interval '9 days' where id like '%-stale-%'"
        )
        before = everything(connection)

        busy = [asyncio.create_task(be_busy(store, name, stored[name])) for name, store in stores.items()]
        faults = (FaultKind.DISCONNECT, FaultKind.SWEEP)
        result = await simulate_race(dsn, RaceSettings(3, 20, 6, 1, organization_id=organization, faults=faults))
        for each in busy:
            each.cancel()
        await asyncio.gather(*busy, return_exceptions=True)

    assert (result.verdict, result.violations) == ("pass", ())
    assert len(before) == 10
    assert everything(connection) == before
    due = connection.execute(
        "select application, count(*) from pending_interactions where id like 'busy-%'"
        " and delivery_due_at <= now() and delivery_attempts = 0 and lease_token is null group by 1"
    ).fetchall()
    assert all(len(ids) > 20 for ids in stored.values())
    assert {name: count >= len(stored[name]) for name, count in due} == dict.fromkeys(APPLICATIONS, True)
