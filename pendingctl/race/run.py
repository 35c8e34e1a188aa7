"""A race from its first row to its verdict, and the verdict on a history that was kept."""

from __future__ import annotations

import asyncio
import logging
import secrets
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from psycopg import IsolationLevel

from ..errors import InvalidInput, NotMigrated, PendingctlError
from ..postgres.connections import connect
from ..postgres.driver_errors import translated_errors
from ..trail import TrailEntry
from .appended import read_streams
from .coordinator import race
from .faults.context import OwnServer
from .history.files import make_directory, read_history, write_end, write_race
from .history.history import AppendedEvent, Row
from .interruption import undisturbed
from .plan.extra import STALE_AFTER
from .plan.operations import Names
from .plan.schedule import NEED_AN_OWN_SERVER, FaultKind
from .plan.settings import RaceSettings
from .rows import APPLICATION, Arrangement, arrange, read_rows, remove
from .sessions import until_sessions_end
from .trail import read_trail
from .verdict.checker import judge
from .verdict.report import RaceResult, summarize

_log = logging.getLogger(__name__)

CLEAN_UP_SECONDS = 10.0


async def simulate_race(
    dsn: str,
    settings: RaceSettings,
    *,
    history: Path | None = None,
    server: OwnServer | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> RaceResult:
    """Let pods race for real rows in a migrated database, and judge what happened.

    Whatever happens, cancellation included, no pod and no row of the race is left behind; only if this process is
    killed do its rows stay, under organizations named pendingctl-race-…, and its entries in the trail, until a sweep
    finds them old enough. `history` is a new folder in which the history is kept, `server` is what the faults restart
    and failover act on. `on_progress` is called with the number of questions that are done. Raises InvalidInput when
    organizations cannot be created there, for faults that need a server that was not given, and for a folder that
    cannot be used, NotFound when the given organization does not exist, and DatabaseFailed when the database cannot do
    its part.
    """
    for fault in settings.faults:
        if server is None and fault in NEED_AN_OWN_SERVER:
            raise InvalidInput(f"the fault {fault} stops the server, which must be the race's own; leave --dsn out")
        if fault is FaultKind.FAILOVER and server is not None and server.fail_over is None:
            raise InvalidInput(f"the fault {fault} needs a standby")
    run = f"pendingctl-race-{secrets.token_hex(6)}"
    arrangement = arrange(settings, Names(run, settings.organization_id or run, f"{run}-foreign"))
    with history_directory(history) as directory:
        write_race(directory, settings)
        try:
            fired = await race(dsn, settings, arrangement, directory, server, on_progress)
            rows, trail, events = await _read(dsn, arrangement)
        except BaseException:
            _, failed = await undisturbed(_clean_up(dsn, arrangement))
            for reason in failed:
                _log.warning(reason)
            raise
        left_behind, failed = await undisturbed(_clean_up(dsn, arrangement))
        write_end(
            directory,
            replace(
                fired.history,
                rows=tuple(rows),
                trail=None if trail is None else tuple(trail),
                events=tuple(events),
                stale_after=STALE_AFTER,
                left_behind=tuple(left_behind),
                reasons=(*fired.history.reasons, *failed),
            ),
            fired.seconds,
        )
        # The files are judged, not what is in memory: check-history can then only give the same verdict.
        return check_history(directory)


def check_history(directory: Path) -> RaceResult:
    """Judge a history that a race left in a folder. Raises InvalidInput for a folder without one."""
    settings, history, seconds = read_history(directory)
    return summarize(settings, judge(history), history, seconds)


async def _read(dsn: str, arrangement: Arrangement) -> tuple[list[Row], list[TrailEntry] | None, list[AppendedEvent]]:
    """Return the run's rows, its trail and what was appended to its streams, as of one moment."""
    async with await connect(dsn, application=APPLICATION) as connection:
        await until_sessions_end(connection, arrangement.names.run)
        await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)
        with translated_errors():
            async with connection.transaction():
                rows = await read_rows(connection, arrangement)
                trail = await read_trail(connection, [*arrangement.ids, *arrangement.ids_of_others])
                return rows, trail, await read_streams(connection, arrangement.names)


@contextmanager
def history_directory(kept: Path | None) -> Iterator[Path]:
    """Yield the folder of a history, which is a new one at this place, or else gone afterwards."""
    if kept is not None:
        make_directory(kept)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="pendingctl-race-") as folder:
        yield Path(folder)


async def _clean_up(dsn: str, arrangement: Arrangement) -> tuple[list[str], list[str]]:
    """Return what is left behind, and the reason where nothing could be removed, or more may come."""
    try:
        async with asyncio.timeout(CLEAN_UP_SECONDS):
            # A connection of its own: when the run is interrupted, the others may be in the middle of anything.
            async with await connect(dsn, application=APPLICATION) as connection:
                reasons = await until_sessions_end(connection, arrangement.names.run)
                return await remove(connection, arrangement), reasons
    except NotMigrated:
        return [], []
    except TimeoutError:
        reason = f"it took longer than {CLEAN_UP_SECONDS:g} s"
    except PendingctlError as error:
        reason = str(error)
    return [], [f"the rows of {arrangement.names.run} could not be removed, delete them by hand: {reason}"]
