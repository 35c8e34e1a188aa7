"""A primary and its standby: failover, restarts, and the removal of both."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg
import pytest

from pendingctl.embedded import Pair, throwaway_pair
from pendingctl.errors import DatabaseUnreachable
from tests.embedded.servers import IN_FOLDER, async_query, end, insert, processes_of, query, until
from tests.processes import processes

pytestmark = pytest.mark.once

PAIR = """
import sys
from pathlib import Path
from pendingctl.embedded import throwaway_pair
with throwaway_pair(major=int(sys.argv[2])) as pair:
    Path(sys.argv[1], "there").touch()
    sys.stdin.read()
"""


def folders(pair: Pair) -> list[Path]:
    return [server.data_directory.parent for server in (pair.primary, pair.standby)]


def test_commits_of_the_primary_survive_a_failover(major: int) -> None:
    with throwaway_pair(major=major) as pair:
        assert query(pair.primary.dsn, "select sync_state from pg_stat_replication") == "sync"
        assert query(pair.primary.dsn, "show synchronous_commit") == "on"
        assert query(pair.standby.dsn, "select pg_is_in_recovery()") is True
        insert(pair.dsn, 1)

        pair.fail_over()

        assert query(pair.dsn, "show synchronous_standby_names") == ""
        insert(pair.dsn, 2)
        assert query(pair.dsn, "select array_agg(n order by n) from t") == [1, 2]
        assert query(pair.standby.dsn, "select array_agg(n order by n) from t") == [1, 2]
        with pytest.raises(psycopg.OperationalError):
            query(pair.primary.dsn, "select 1")
        assert [len(processes_of(folder)) for folder in folders(pair)] == [0, 1]

    assert [folder.exists() for folder in folders(pair)] == [False, False]
    assert [processes_of(folder) for folder in folders(pair)] == [[], []]


def test_replication_continues_after_restarts(major: int) -> None:
    with throwaway_pair(major=major) as pair:
        insert(pair.dsn, 1)
        pair.primary.restart()
        insert(pair.dsn, 2)
        pair.standby.restart()
        insert(pair.dsn, 3)
        pair.fail_over()
        assert query(pair.dsn, "select array_agg(n order by n) from t") == [1, 2, 3]


def test_a_failover_to_a_stopped_standby_fails() -> None:
    with throwaway_pair() as pair:
        pair.standby.stop()

        with pytest.raises(DatabaseUnreachable):
            pair.fail_over()

    assert [folder.exists() for folder in folders(pair)] == [False, False]


def test_settings_of_a_pair_apply_to_both_servers() -> None:
    with throwaway_pair(settings={"max_connections": "30"}) as pair:
        assert query(pair.primary.dsn, "show max_connections") == "30"
        assert query(pair.standby.dsn, "show max_connections") == "30"


def test_failure_to_create_the_standby_gives_the_reason_and_leaves_nothing(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(open_folder))

    with pytest.raises(DatabaseUnreachable, match="max_wal_senders"), throwaway_pair(settings={"max_wal_senders": "0"}):
        pass

    assert list(open_folder.iterdir()) == []


def test_environment_variables_of_libpq_do_not_affect_a_pairs_dsn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.2")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nowhere")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    with throwaway_pair() as pair:
        for _ in ("before the failover", "after it"):
            assert query(pair.dsn, "show search_path") == '"$user", public'
            assert asyncio.run(async_query(pair.dsn, "show transaction_read_only")) == "off"
            if query(pair.standby.dsn, "select pg_is_in_recovery()"):
                pair.fail_over()


def test_a_pair_works_in_a_folder_with_a_long_name(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = open_folder / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))

    with throwaway_pair() as pair:
        sockets = [pair.primary.socket_directory, pair.standby.socket_directory]
        pair.fail_over()
        insert(pair.dsn, 1)

    assert list(long.iterdir()) == []
    assert [each.exists() for each in sockets] == [False, False]


# The standby gives the label another name when it starts.
@pytest.mark.parametrize("moment", ["there", "*/data/standby.signal", "*/data/backup_label*"])
def test_a_pair_is_removed_when_its_user_is_killed(open_folder: Path, major: int, moment: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", IN_FOLDER + PAIR, str(open_folder), str(major)], stdin=subprocess.PIPE
    )
    until(lambda: any(open_folder.glob(moment)) or process.poll() is not None)

    end(process, signal.SIGKILL)

    until(lambda: not any(str(open_folder) in each.command for each in processes()))
    until(lambda: {each.name for each in open_folder.iterdir()} <= {"there"})
