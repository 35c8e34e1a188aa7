"""A throw-away server can be restarted and stopped, and is removed all the same."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psycopg
import pytest

from pendingctl.embedded import throwaway_server, watcher
from pendingctl.errors import DatabaseUnreachable
from tests.embedded.servers import end, insert, processes_of, query, start, until
from tests.processes import processes

pytestmark = pytest.mark.once

RESTARTED = """
import sys
from pendingctl.embedded import throwaway_server
with throwaway_server(major=int(sys.argv[1])) as server:
    print(server.data_directory.parent, flush=True)
    while sys.stdin.readline():
        server.restart()
"""


def test_a_committed_row_survives_a_restart_that_cuts_connections(major: int) -> None:
    with throwaway_server(major=major, settings={"work_mem": "7MB"}) as server:
        insert(server.dsn, 1)
        started = query(server.dsn, "select pg_postmaster_start_time()")
        with psycopg.connect(server.dsn) as open_connection:
            open_connection.execute("insert into t values (2)")

            server.restart()

            with pytest.raises(psycopg.OperationalError):
                open_connection.execute("select 1")
        assert query(server.dsn, "select pg_postmaster_start_time()") != started
        assert query(server.dsn, "select array_agg(n) from t") == [1]
        assert query(server.dsn, "show work_mem") == "7MB"
        assert query(server.dsn, "show fsync") == "off"
        assert len(processes_of(server.data_directory.parent)) == 1
    assert not server.data_directory.parent.exists()


def test_a_server_can_be_restarted_repeatedly() -> None:
    with throwaway_server() as server:
        for number in range(10):
            insert(server.dsn, number)
            server.restart()
        assert query(server.dsn, "select count(*) from t") == 10


def test_failed_restart_gives_the_reason_and_leaves_nothing() -> None:
    with throwaway_server() as server:
        (server.data_directory / "postgresql.conf").write_text("max_connections = nonsense")

        with pytest.raises(DatabaseUnreachable, match=r"did not start: .*postgresql.conf"):
            server.restart()

        with pytest.raises(DatabaseUnreachable, match="does not run"):
            server.restart()
    assert not server.data_directory.parent.exists()


def test_a_stopped_server_stays_stopped() -> None:
    with throwaway_server() as server:
        server.stop()

        with pytest.raises(psycopg.OperationalError):
            query(server.dsn, "select 1")
        with pytest.raises(DatabaseUnreachable, match="does not run"):
            server.restart()
        server.stop()
        assert processes_of(server.data_directory.parent) == []
    assert not server.data_directory.parent.exists()


def test_server_is_removed_when_its_user_is_killed_while_it_is_down(major: int) -> None:
    process, folder = start(RESTARTED, str(major))
    (server,) = processes_of(folder)
    (watcher,) = [each.parent for each in processes() if each.pid == server]
    os.kill(watcher, signal.SIGSTOP)  # now the watcher cannot start the server again
    assert process.stdin is not None
    process.stdin.write("restart\n")
    process.stdin.flush()
    until(lambda: processes_of(folder) == [])

    end(process, signal.SIGKILL)
    os.kill(watcher, signal.SIGCONT)

    until(lambda: not folder.exists())
    until(lambda: processes_of(folder) == [])


def test_server_is_removed_when_its_user_is_killed_while_it_restarts(major: int) -> None:
    process, folder = start(RESTARTED, str(major))
    before = processes_of(folder)
    assert process.stdin is not None
    process.stdin.write("restart\n")
    process.stdin.flush()
    until(lambda: processes_of(folder) not in ([], before))

    end(process, signal.SIGKILL)

    until(lambda: not folder.exists())
    until(lambda: processes_of(folder) == [])


def test_watcher_starts_nothing_after_a_stop(tmp_path: Path) -> None:
    started = tmp_path / "started"
    task: dict[str, object] = {
        "folder": str(tmp_path),
        "make": None,
        "commands": [["touch", str(started)]],
        "adopt": None,
        "throwaway": True,
        "log": str(tmp_path / "log"),
        "identity": {},
    }
    server = watcher._Server(task)

    server.stop()

    assert server.run() == "stopped"
    assert not started.exists()
