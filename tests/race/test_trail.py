"""The entries of a race in the trail: read in their order, and removed with its rows."""

from __future__ import annotations

from collections.abc import Sequence

import psycopg
import pytest

from pendingctl.model import Click, Scope
from pendingctl.postgres.connections import SingleConnection, connect
from pendingctl.race.plan.operations import Names
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.rows import arrange, remove
from pendingctl.race.trail import read_trail
from pendingctl.store import PendingStore
from pendingctl.trail import Step

SCOPE = Scope("acme", "slack", "U1")
CLICK = Click(
    question_id="run-q0", organization_id="acme", connection_id="slack", user_id="U1", delivery_key="key", value="yes"
)


def write(connection: psycopg.Connection, entries: Sequence[tuple[str, str]]) -> None:
    """Write entries of refused clicks, by question and application."""
    for question_id, application in entries:
        connection.execute(
            "insert into pending_trail (question_id, organization_id, application, step) values (%s, 'acme', %s, %s)",
            (question_id, application, Step.REFUSED),
        )


async def test_the_trail_of_the_questions_is_read_in_its_order(dsn: str) -> None:
    async with await connect(dsn, application="test") as connection:
        store = PendingStore(SingleConnection(connection), application="run", pod="pod-1")
        for id in ("run-q0", "run-q1"):
            await store.put(id, SCOPE, {})
        await store.claim(CLICK)

        trail = await read_trail(connection, ["run-q0", "run-q2"])

    assert trail is not None
    assert [(each.question_id, each.step, each.pod, each.user_id) for each in trail] == [
        ("run-q0", Step.ASKED, "pod-1", "U1"),
        ("run-q0", Step.ANSWERED, "pod-1", "U1"),
    ]


@pytest.mark.parametrize("option", ["-c pendingctl.trail=off", ""])
async def test_where_none_is_kept_there_is_no_trail(dsn: str, option: str) -> None:
    async with await connect(psycopg.conninfo.make_conninfo(dsn, options=option), application="test") as connection:
        assert await read_trail(connection, ["run-q0"]) == (None if option else [])


async def test_a_race_in_an_existing_organization_removes_its_own_entries_alone(
    dsn: str, connection: psycopg.Connection
) -> None:
    arrangement = arrange(RaceSettings(2, 5, 8, 1, organization_id="acme"), Names("run", "acme", "run-foreign"))
    arrangement.ids.append("run-q0")
    # Clicks on questions that nobody has are counted under no question.
    write(connection, [("run-q0", "run"), ("", "run"), ("", "billing"), ("run-q00", "billing")])

    async with await connect(dsn, application="test") as racing:
        assert await remove(racing, arrangement) == []

    left = connection.execute("select question_id, application from pending_trail").fetchall()
    assert sorted(left) == [("", "billing"), ("run-q00", "billing")]


async def test_an_entry_that_cannot_be_removed_is_left_behind(dsn: str, connection: psycopg.Connection) -> None:
    arrangement = arrange(RaceSettings(2, 5, 8, 1, organization_id="acme"), Names("run", "acme", "run-foreign"))
    arrangement.ids.append("run-q0")
    write(connection, [("run-q0", "run")])
    connection.execute("create rule kept as on delete to pending_trail do instead nothing")

    async with await connect(dsn, application="test") as racing:
        assert await remove(racing, arrangement) == ["entries in the trail of question run-q0"]
