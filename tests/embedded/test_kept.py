"""A kept server keeps its data, and runs while at least one process uses it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from pendingctl.embedded import kept_server
from pendingctl.errors import InvalidInput
from tests.embedded.servers import KEPT, end, kill_watcher, processes_of, query, start, until
from tests.processes import processes

pytestmark = pytest.mark.once


def test_a_kept_server_keeps_its_data_and_runs_while_it_is_used(open_folder: Path) -> None:
    folder = open_folder / "kept"
    with kept_server(folder) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("create table t as select 42 as n")
    assert processes_of(folder) == []

    with kept_server(folder) as server:
        assert query(server.dsn, "select n from t") == 42
        assert query(server.dsn, "show fsync") == "on"


def test_a_kept_server_stops_with_its_last_user(open_folder: Path) -> None:
    folder = open_folder / "kept"
    first, _ = start(KEPT, str(folder))
    with kept_server(folder) as server:
        (running,) = processes_of(folder)
        end(first, signal.SIGKILL)
        assert query(server.dsn, "select 1") == 1
        assert processes_of(folder) == [running]

    until(lambda: processes_of(folder) == [])


def test_users_that_come_and_go_always_find_a_running_server(open_folder: Path) -> None:
    program = (
        "import sys, psycopg\nfrom pathlib import Path\nfrom pendingctl.embedded import kept_server\n"
        "for _ in range(8):\n"
        "    with kept_server(Path(sys.argv[1])) as server, psycopg.connect(server.dsn) as connection:\n"
        "        connection.execute('select 1')"
    )
    runs = [subprocess.Popen([sys.executable, "-c", program, str(open_folder / "kept")]) for _ in range(3)]

    assert [run.wait(timeout=300) for run in runs] == [0] * 3
    until(lambda: processes_of(open_folder / "kept") == [])


def test_the_next_user_adopts_a_server_whose_watcher_was_killed(open_folder: Path) -> None:
    folder = open_folder / "kept"
    first, _ = start(KEPT, str(folder))
    (running,) = processes_of(folder)
    kill_watcher(running)
    end(first, signal.SIGKILL)
    assert processes_of(folder) == [running]

    with kept_server(folder) as server:
        assert query(server.dsn, "select 1") == 1

    until(lambda: processes_of(folder) == [])


def test_a_kept_server_that_crashed_is_started_again(open_folder: Path) -> None:
    folder = open_folder / "kept"
    with kept_server(folder) as server:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("create table t as select 42 as n")
        (running,) = processes_of(folder)
        family = {each.pid for each in processes() if running in (each.pid, each.parent)}
        os.kill(running, signal.SIGKILL)
        # No server starts beside what is left of another one on its data.
        until(lambda: family.isdisjoint(each.pid for each in processes()))

    with kept_server(folder) as server:
        assert query(server.dsn, "select n from t") == 42


@pytest.mark.parametrize("name", ["with space", "quote'd", "a,b", 'dou"ble', "back\\slash", "x" * 120])
def test_any_folder_name_works(open_folder: Path, name: str) -> None:
    with kept_server(open_folder / name / "kept") as server:
        assert query(server.dsn, "select 1") == 1
        (sockets,) = re.findall("host='(.*)' port", server.dsn)
    assert processes_of(open_folder / name / "kept") == []
    assert list(Path(sockets).glob(".s.*")) == []
    assert Path(sockets) == open_folder / name / "kept" / "data" or not Path(sockets).exists()


def test_a_folder_with_other_files_is_refused_and_left_alone(open_folder: Path) -> None:
    (open_folder / "thesis.txt").write_text("years of work")

    with pytest.raises(InvalidInput, match="holds something else"), kept_server(open_folder):
        pass

    assert [path.name for path in open_folder.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_in_place_of_the_folder_is_refused(open_folder: Path, name: str) -> None:
    (open_folder / "file").write_text("years of work")

    with pytest.raises(InvalidInput, match="cannot be used"), kept_server(open_folder / name):
        pass
