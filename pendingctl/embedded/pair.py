"""Two throw-away servers, one a standby of the other, and the failover between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

from ..errors import DatabaseBusy
from .account import server_account
from .locks import wait_for
from .server import Server
from .sockets import connection_string
from .throwaway import ThrowawayServer, throwaway, throwaway_server

_STANDBY = "pendingctl_standby"
_HAS = "select pg_last_wal_receive_lsn() >= %s::pg_lsn"
_REPLICATING = "select min(sync_state) from pg_stat_replication where application_name = 'pendingctl_standby'"


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary and its standby. `dsn` connects to whichever of them accepts writes."""

    primary: ThrowawayServer
    standby: ThrowawayServer
    dsn: str

    def fail_over(self) -> None:
        """Stop the primary in immediate mode, for good, then promote the standby.

        Blocks until the standby accepts writes. It then has every commit that the primary acknowledged, or every one
        from before it fell behind, and waits for no standby of its own. Raises DatabaseUnreachable when the primary
        does not stop or the standby is not promoted.
        """
        self.primary.stop()
        _query(self.standby, "select pg_promote(false)")
        wait_for(lambda: _has_been_promoted(self.standby), "the standby is not promoted")

    def fall_behind(self) -> None:
        """Have the standby of a pair that is not synchronous replicate no more: a failover then loses what follows.

        What was committed before this call it has. Blocks; raises DatabaseUnreachable when the standby is too slow.
        """
        written = _query(self.primary, "select pg_current_wal_flush_lsn()::text")
        wait_for(lambda: bool(_query(self.standby, _HAS, written)), "the standby does not replicate")
        _query(self.standby, "alter system set primary_conninfo = ''")
        _query(self.standby, "select pg_reload_conf()")
        wait_for(lambda: not _query(self.primary, _REPLICATING), "the standby still replicates")

    def restart(self) -> None:
        """Restart whichever of them accepts writes, in immediate mode. Blocks; raises DatabaseUnreachable."""
        serving = self.primary if _query(self.standby, "select pg_is_in_recovery()") else self.standby
        serving.restart()


@contextmanager
def throwaway_pair(
    *, major: int | None = None, settings: Mapping[str, str] | None = None, is_synchronous: bool = True
) -> Iterator[Pair]:
    """A throw-away server, and a standby that has each commit before the primary acknowledges it, or soon after.

    `settings` apply to both; synchronous_commit must stay at `on` or above. Both are removed like any throw-away
    server. Raises what `throwaway_server` raises, and DatabaseUnreachable when the standby does not replicate.
    """
    # On the primary's command line only: once promoted, the standby must not wait for a standby.
    replicating = {**(settings or {}), "synchronous_standby_names": _STANDBY if is_synchronous else ""}
    with throwaway_server(major=major, settings=replicating) as primary:
        standby_settings = {
            **(settings or {}),
            "wal_retrieve_retry_interval": "100ms",  # after a restart of the primary; until then its commits wait
        }
        with throwaway(primary.binaries, server_account(), _base_backup(primary), standby_settings) as standby:
            expected = "sync" if is_synchronous else "async"
            wait_for(lambda: _query(primary, _REPLICATING) == expected, "the standby does not replicate")
            dsn = connection_string(primary.socket_directory, standby.socket_directory, target="read-write")
            yield Pair(primary, standby, dsn)


def _base_backup(primary: ThrowawayServer) -> Callable[[Path], list[list[str]]]:
    """Return the commands that fill a standby's data folder."""

    def commands(data: Path) -> list[list[str]]:
        return [
            [
                str(primary.binaries.directory / "pg_basebackup"),
                # The standby replicates by this name, and as this is not on its command line, it can be changed.
                *("--dbname", f"{primary.dsn} application_name={_STANDBY}"),
                *("--pgdata", str(data)),
                *("--checkpoint", "fast"),
                *("--wal-method", "fetch"),  # `stream` starts a second process, which survives an interruption
                "--no-sync",
                "--write-recovery-conf",
            ],
            # If the primary's socket is in its data folder, the backup contains the lock of that socket.
            ["rm", "-f", str(data / ".s.PGSQL.5432.lock")],
        ]

    return commands


def _has_been_promoted(standby: Server) -> bool:
    # What is left to replay may cancel a statement, and would cancel one that waits for the end of that.
    with suppress(DatabaseBusy):
        return not _query(standby, "select pg_is_in_recovery()")
    return False


def _query(server: Server, statement: LiteralString, *parameters: object) -> object:
    import psycopg

    from ..postgres.driver_errors import translated_errors
    from ..postgres.time_limits import CONNECT_SECONDS

    with (
        translated_errors(),
        psycopg.connect(server.dsn, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection,
    ):
        cursor = connection.execute(statement, parameters or None)
        row = cursor.fetchone() if cursor.description else None
    return row and row[0]
