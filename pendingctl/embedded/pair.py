"""Two throw-away servers, one a standby of the other, and the failover between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString

from ..errors import DatabaseUnreachable
from .account import server_account
from .locks import START_TIMEOUT_SECONDS, wait_for
from .server import Server, ThrowawayServer, connection_string, throwaway, throwaway_server

_STANDBY = "pendingctl_standby"


@dataclass(frozen=True, slots=True)
class Pair:
    """A primary and its synchronous standby. `dsn` leads to whichever of them takes writes."""

    primary: ThrowawayServer
    standby: ThrowawayServer
    dsn: str

    def fail_over(self) -> None:
        """End the primary in immediate mode, for good, then promote the standby.

        Returns when that takes writes; it has every commit that the primary acknowledged, and waits for no standby of
        its own. Blocks. Raises DatabaseUnreachable when one does not stop or the other is not promoted.
        """
        self.primary.stop()
        if not _ask(self.standby, f"select pg_promote(true, {int(START_TIMEOUT_SECONDS)})"):
            raise DatabaseUnreachable(f"the standby was not promoted within {START_TIMEOUT_SECONDS:.0f} s")

    def restart(self) -> None:
        """Restart whichever of them takes writes, in immediate mode. Blocks; raises DatabaseUnreachable."""
        serving = self.primary if _ask(self.standby, "select pg_is_in_recovery()") else self.standby
        serving.restart()


@contextmanager
def throwaway_pair(*, major: int | None = None, settings: Mapping[str, str] | None = None) -> Iterator[Pair]:
    """A throw-away server and a standby that has each of its commits before the client is told of it.

    `settings` are for both; synchronous_commit must stay at `on` or above. Both are gone with their files as one
    throw-away server is. Raises what `throwaway_server` raises, and DatabaseUnreachable when they do not replicate.
    """
    # On its command line alone, so that the standby does not wait for one when it is promoted.
    replicating = {**(settings or {}), "synchronous_standby_names": _STANDBY}
    with throwaway_server(major=major, settings=replicating) as primary:
        following = {
            **(settings or {}),
            "primary_conninfo": f"{primary.dsn} application_name={_STANDBY}",
            "wal_retrieve_retry_interval": "100ms",  # after a restart of the primary; until then its commits wait
        }
        with throwaway(primary.binaries, server_account(), _base_backup(primary), following) as standby:
            wait_for(lambda: _is_synchronous(primary), "the standby does not replicate")
            both = connection_string(primary.socket_directory, standby.socket_directory, target="read-write")
            yield Pair(primary, standby, both)


def _base_backup(primary: ThrowawayServer) -> Callable[[Path], list[list[str]]]:
    """The commands that make a standby's data folder."""

    def commands(data: Path) -> list[list[str]]:
        return [
            [
                str(primary.binaries.directory / "pg_basebackup"),
                *("--dbname", primary.dsn),
                *("--pgdata", str(data)),
                *("--checkpoint", "fast"),
                *("--wal-method", "fetch"),  # stream has a process of its own, which would outlive an interrupted one
                "--no-sync",
                "--write-recovery-conf",
            ],
            # A backup has the lock of the primary's socket too, where that is in the data folder.
            ["rm", "-f", str(data / ".s.PGSQL.5432.lock")],
        ]

    return commands


def _is_synchronous(primary: Server) -> bool:
    states = _ask(
        primary, f"select array_agg(sync_state) from pg_stat_replication where application_name = '{_STANDBY}'"
    )
    return states == ["sync"]


def _ask(server: Server, statement: LiteralString) -> object:
    import psycopg

    from ..postgres.driver_errors import translated_errors
    from ..postgres.limits import CONNECT_SECONDS

    with (
        translated_errors(),
        psycopg.connect(server.dsn, autocommit=True, connect_timeout=CONNECT_SECONDS) as connection,
    ):
        row = connection.execute(statement).fetchone()
    return row and row[0]
