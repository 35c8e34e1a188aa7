"""A race on streams from its first row to its verdict, and the verdict on a history that was kept."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from psycopg.conninfo import make_conninfo

from ...errors import InvalidInput, NotMigrated, PendingctlError
from ...postgres.connections import connect
from ..faults.context import OwnServer
from ..faults.proxy import proxy_before
from ..history.files import HistoryFile
from ..interruption import undisturbed
from ..limits.checker import judge_limits
from ..limits.files import read_limits
from ..limits.rows import remove_limits
from ..rows import APPLICATION
from ..run import CLEAN_UP_SECONDS, history_directory
from ..sessions import until_sessions_end
from .checker import judge_streams
from .coordinator import race_in_rounds
from .files import read_history, write_end, write_race
from .orders import Routes, stream_pods
from .plan import NEED_AN_OWN_SERVER, StreamFaultKind, StreamRaceSettings
from .pooler import pooler_before
from .readers import Readers
from .recording import StreamRecorder
from .report import StreamRaceResult, summarize_streams
from .rows import create_organizations, remove
from .scene import Scene

_log = logging.getLogger(__name__)


async def race_on_streams(
    dsn: str,
    settings: StreamRaceSettings,
    *,
    history: Path | None = None,
    server: OwnServer | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> StreamRaceResult:
    """Let pods write streams and read them in a migrated database, and judge what happened.

    Whatever happens, cancellation included, no pod and no row of the race is left behind. `history` is a new folder in
    which the history is kept, `server` is what the faults restart and failover act on. `on_progress` is called with the
    number of rounds that are done. Raises InvalidInput when organizations cannot be created there, for faults that need
    a server or a pooler that is not there, and for a folder that cannot be used, and DatabaseFailed when the database
    cannot do its part.
    """
    for fault in settings.faults:
        if server is None and fault in NEED_AN_OWN_SERVER:
            raise InvalidInput(
                f"the fault {fault} stops the server or removes events, which must be the race's own; leave --dsn out"
            )
        if fault is StreamFaultKind.FAILOVER and server is not None and server.fall_behind is None:
            raise InvalidInput("the fault failover needs a standby that may fall behind; leave --dsn out")
    run = f"pendingctl-race-{secrets.token_hex(6)}"
    organizations = (run, f"{run}-foreign")
    with history_directory(history) as directory:
        write_race(directory, settings)
        began = time.monotonic()
        try:
            async with await connect(dsn, application=APPLICATION) as connection:
                await create_organizations(connection, organizations)
            async with _scene(dsn, settings, organizations, directory, server) as scene:
                reasons = await race_in_rounds(scene, on_progress)
        except BaseException:
            _, failed = await undisturbed(_clean_up(dsn, organizations))
            for reason in failed:
                _log.warning(reason)
            raise
        seconds = round(time.monotonic() - began, 3)
        left_behind, failed = await undisturbed(_clean_up(dsn, organizations))
        write_end(directory, [*reasons, *failed], left_behind, seconds)
        return check_stream_history(directory)


@asynccontextmanager
async def _scene(
    dsn: str,
    settings: StreamRaceSettings,
    organizations: tuple[str, str],
    directory: Path,
    server: OwnServer | None,
) -> AsyncIterator[Scene]:
    """Yield what the faults of a race act on: pods that are not yet started, and what stands before the server."""
    # By the name of the run the sessions of its pods are found.
    direct = make_conninfo(dsn, application_name=organizations[0])
    async with AsyncExitStack() as parts:
        pooler, listening, listen = None, None, None
        if StreamFaultKind.POOLER in settings.faults:
            pooler = await parts.enter_async_context(pooler_before(direct))
        if StreamFaultKind.STOP_LISTEN in settings.faults:
            listening, listen = await parts.enter_async_context(proxy_before(direct, APPLICATION))
        pods = await parts.enter_async_context(
            stream_pods(
                Routes(direct, None if pooler is None else pooler.dsn, listen), settings, organizations, directory
            )
        )
        file = HistoryFile(directory / "pod-coordinator.jsonl")
        parts.callback(file.close)
        yield Scene(
            dsn,
            settings,
            organizations,
            directory,
            pods,
            Readers(pods, settings, organizations, directory),
            StreamRecorder("coordinator", file),
            server,
            listening,
            pooler,
        )


def check_stream_history(directory: Path) -> StreamRaceResult:
    """Judge a history that a race on streams left in a folder. Raises InvalidInput for a folder without one."""
    settings, history, seconds = read_history(directory)
    limits = read_limits(directory)
    return summarize_streams(settings, judge_limits(limits, judge_streams(history)), history, limits, seconds)


async def _clean_up(dsn: str, organizations: tuple[str, str]) -> tuple[list[str], list[str]]:
    """Return what is left behind, and the reason where nothing could be removed, or more may come."""
    try:
        async with asyncio.timeout(CLEAN_UP_SECONDS):
            async with await connect(dsn, application=APPLICATION) as connection:
                reasons = await until_sessions_end(connection, organizations[0])
                left = [*await remove(connection, organizations), *await remove_limits(connection, organizations)]
                return left, reasons
    except NotMigrated:
        return [], []
    except TimeoutError:
        reason = f"it took longer than {CLEAN_UP_SECONDS:g} s"
    except PendingctlError as error:
        reason = str(error)
    return [], [f"the streams of {organizations[0]} could not be removed, delete them by hand: {reason}"]
