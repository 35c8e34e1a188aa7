"""Races on streams as they are run: pods are processes, the database is real, and nothing is left of either."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from pendingctl.errors import InvalidInput
from pendingctl.postgres.connections import connect
from pendingctl.race.streams.plan import NEED_AN_OWN_SERVER, StreamFaultKind, StreamRaceSettings
from pendingctl.race.streams.rows import begin, is_open
from pendingctl.race.streams.run import check_stream_history, race_on_streams
from pendingctl.race.streams.self_test import self_test
from tests.race.faults.test_servers import migrated_server
from tests.race.test_run import pods_of

SMALL = StreamRaceSettings(pods=2, rounds=3, appends=4, seed=1)


def left_behind(connection: psycopg.Connection) -> list[str]:
    """What a run must not leave."""
    rows = connection.execute(
        "select id from organization where id not in ('acme', 'globex') union all select name from pending_stream "
        "union all select data from pending_stream_event union all select key from pending_rate_limit"
    )
    return [row[0] for row in rows]


@pytest.mark.law(18)
async def test_a_race_passes_and_leaves_nothing(dsn: str, connection: psycopg.Connection, tmp_path: Path) -> None:
    faults = (StreamFaultKind.KILL, StreamFaultKind.STORM)
    settings = StreamRaceSettings(pods=2, rounds=3, appends=4, seed=1, faults=faults)

    result = await race_on_streams(dsn, settings, history=tmp_path / "history")

    assert (result.verdict, result.violations, result.reasons) == ("pass", (), ())
    assert [(each.kind, each.planned, each.landed) for each in result.faults] == [(kind, 1, 1) for kind in faults]
    assert {"event", "end"} <= result.items.keys()
    assert {"allowed", "denied"} <= result.takes.keys()
    assert left_behind(connection) == []
    assert pods_of(os.getpid()) == []
    assert check_stream_history(tmp_path / "history") == result


@pytest.mark.early
@pytest.mark.once
@pytest.mark.law(18)
async def test_the_checker_catches_every_broken_stream() -> None:
    with migrated_server() as (dsn, server):
        result = await self_test(lambda each: race_on_streams(dsn, each, server=server), SMALL, seeds=1)

    assert (result.correct.passed, result.correct.said) == (1, ())
    assert [control for control in result.controls if not control.caught] == []


async def test_a_transaction_is_seen_to_be_open_until_it_ends(dsn: str) -> None:
    async with await connect(dsn, application="test") as holding, await connect(dsn, application="test") as other:
        async with holding.transaction():
            id = await begin(holding)
            assert await is_open(other, id)
        assert not await is_open(other, id)


@pytest.mark.parametrize("fault", sorted(NEED_AN_OWN_SERVER))
async def test_what_would_harm_others_needs_a_server_of_the_races_own(dsn: str, fault: StreamFaultKind) -> None:
    with pytest.raises(InvalidInput, match="leave --dsn out"):
        await race_on_streams(dsn, StreamRaceSettings(2, 3, 4, 1, faults=(fault,)))


async def test_a_pooler_that_is_not_there_is_missed(dsn: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pendingctl.race.streams.pooler.find_pgbouncer", lambda: None)

    with pytest.raises(InvalidInput, match="needs PgBouncer, which is not here"):
        await race_on_streams(
            dsn, StreamRaceSettings(2, 3, 4, 1, faults=(StreamFaultKind.POOLER,)), history=tmp_path / "history"
        )
