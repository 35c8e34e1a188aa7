"""A throw-away server runs while it is used, and is removed with its files however its user ends."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from pendingctl.embedded import kept_server, throwaway_server
from pendingctl.errors import DatabaseUnreachable
from tests.embedded.servers import (
    IN_FOLDER,
    THROWAWAY,
    async_query,
    end,
    kill_watcher,
    processes_of,
    query,
    start,
    until,
)
from tests.processes import processes

pytestmark = pytest.mark.once

# Without its files a server ends by itself, a while later.
ENDS = "received immediate shutdown request"


def test_a_throwaway_server_answers_and_is_removed_with_its_files() -> None:
    with throwaway_server() as server:
        folder = server.data_directory.parent
        assert query(server.dsn, "select 6 * 7") == 42
        assert len(processes_of(folder)) == 1

    assert processes_of(folder) == []
    assert not folder.exists()


def test_server_is_removed_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), throwaway_server() as server:
        raise ZeroDivisionError

    assert not server.data_directory.parent.exists()


def test_open_connections_do_not_delay_the_removal() -> None:
    with throwaway_server() as server:
        lingering = psycopg.connect(server.dsn)
        lingering.execute("select 1")

    assert not server.data_directory.parent.exists()
    lingering.close()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_server_is_removed_when_its_user_is_ended(sent: signal.Signals) -> None:
    process, folder = start(THROWAWAY)
    assert len(processes_of(folder)) == 1

    end(process, sent)

    until(lambda: not folder.exists())
    until(lambda: processes_of(folder) == [])


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_server_is_removed_when_its_user_is_ended_while_it_starts(open_folder: Path, sent: signal.Signals) -> None:
    with throwaway_server():
        pass  # now the template exists, and the next server only copies it
    process = subprocess.Popen([sys.executable, "-c", IN_FOLDER + THROWAWAY, str(open_folder)], stdin=subprocess.PIPE)
    until(lambda: any(open_folder.glob("*/data")))

    end(process, sent)

    until(lambda: not any(open_folder.iterdir()))
    until(lambda: not any(f"-D {open_folder}" in each.command for each in processes()))


def test_the_next_start_removes_leftovers_of_a_killed_user_and_watcher(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, folder = start(IN_FOLDER + THROWAWAY, str(open_folder))
    living, used = start(IN_FOLDER + THROWAWAY, str(open_folder))
    kill_watcher(processes_of(folder)[0])
    end(process, signal.SIGKILL)
    assert len(processes_of(folder)) == 1
    # A kept server's folder may have such a name too; its data must stay.
    with kept_server(open_folder / "pendingctl-kept") as server:
        query(server.dsn, "select 1")
    for each in open_folder.iterdir():
        os.utime(each, (0, 0))
    monkeypatch.setattr(tempfile, "tempdir", str(open_folder))

    with (folder / "server.log").open() as log, throwaway_server():
        until(lambda: ENDS in log.read())

    assert {path.name for path in open_folder.iterdir()} == {used.name, "pendingctl-kept"}
    until(lambda: processes_of(folder) == [])
    assert len(processes_of(used)) == 1
    end(living, signal.SIGKILL)
    until(lambda: not used.exists())


def test_server_is_removed_although_its_watcher_was_killed() -> None:
    with ExitStack() as opened:
        with throwaway_server() as server:
            folder = server.data_directory.parent
            log = opened.enter_context((folder / "server.log").open())
            kill_watcher(processes_of(folder)[0])
            assert query(server.dsn, "select 1") == 1

        until(lambda: processes_of(folder) == [])
        assert ENDS in log.read()
    assert not folder.exists()


def test_environment_variables_of_libpq_do_not_affect_the_dsn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.2")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nowhere")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    with throwaway_server() as server:
        assert query(server.dsn, "show search_path") == '"$user", public'
        assert asyncio.run(async_query(server.dsn, "show search_path")) == '"$user", public'


def test_settings_are_applied() -> None:
    with throwaway_server(settings={"max_connections": "7", "fsync": "on"}) as server:
        assert query(server.dsn, "show max_connections") == "7"
        assert query(server.dsn, "show fsync") == "on"
        assert query(server.dsn, "show listen_addresses") == ""


def test_failed_start_gives_the_reason_and_leaves_nothing(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(open_folder))

    with (
        pytest.raises(DatabaseUnreachable, match=r"did not start: .*max_connections"),
        throwaway_server(settings={"max_connections": "nonsense"}),
    ):
        pass

    assert list(open_folder.iterdir()) == []
