"""Races on streams as they are run: pods are processes, the database is real, and nothing is left of either."""

from __future__ import annotations

import os
from pathlib import Path

import psycopg
import pytest

from pendingctl.errors import InvalidInput
from pendingctl.race.streams.plan import StreamFaultKind, StreamRaceSettings
from pendingctl.race.streams.run import check_stream_history, race_on_streams
from tests.race.test_run import pods_of

SMALL = StreamRaceSettings(pods=2, rounds=4, appends=4, seed=1)


def left_behind(connection: psycopg.Connection) -> list[str]:
    """What a run must not leave."""
    rows = connection.execute(
        "select id from organization where id not in ('acme', 'globex') union all select name from pending_stream "
        "union all select data from pending_stream_event union all select key from pending_rate_limit"
    )
    return [row[0] for row in rows]


@pytest.mark.law(18)
async def test_a_race_passes_and_leaves_nothing(dsn: str, connection: psycopg.Connection, tmp_path: Path) -> None:
    result = await race_on_streams(dsn, SMALL, history=tmp_path / "history")

    assert (result.verdict, result.violations, result.reasons) == ("pass", (), ())
    assert {"event", "end"} <= result.items.keys()
    assert {"allowed", "denied"} <= result.takes.keys()
    assert left_behind(connection) == []
    assert pods_of(os.getpid()) == []
    assert check_stream_history(tmp_path / "history") == result


@pytest.mark.parametrize(
    "fault",
    [
        StreamFaultKind.KILL,
        StreamFaultKind.CUT_LISTEN,
        StreamFaultKind.DROP_WAKE_UPS,
        StreamFaultKind.LOCK,
        StreamFaultKind.LONG_TRANSACTION,
        StreamFaultKind.CLOCK_BACK,
    ],
)
@pytest.mark.law(18)
async def test_a_race_passes_whatever_goes_wrong(dsn: str, fault: StreamFaultKind) -> None:
    result = await race_on_streams(dsn, StreamRaceSettings(2, 3, 4, 2, faults=(fault,)))

    assert (result.verdict, result.violations, result.reasons) == ("pass", (), ())
    assert [(each.kind, each.planned, each.landed) for each in result.faults if each.landed != each.planned] == []


@pytest.mark.parametrize("fault", [StreamFaultKind.RESTART, StreamFaultKind.TURN])
async def test_what_would_harm_others_needs_a_server_of_the_races_own(dsn: str, fault: StreamFaultKind) -> None:
    with pytest.raises(InvalidInput, match="leave --dsn out"):
        await race_on_streams(dsn, StreamRaceSettings(2, 3, 4, 1, faults=(fault,)))
