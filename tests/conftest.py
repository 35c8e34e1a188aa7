"""A real Postgres for every test: a database of its own, copied from a migrated template.

The server is a throw-away one, or the one of PENDINGCTL_TEST_DSN, whose role must be able to create databases.
PENDINGCTL_TEST_MAJOR chooses the throw-away server's major version.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pendingctl import PendingStore, open_pool
from pendingctl.postgres.connections import Pool
from pendingctl.schema import migrations
from tests.commands import Cli, run
from tests.patience import be_patient

MEMORY = Path("/dev/shm")
ROOM_NEEDED = 2 << 30
# Above what any test takes on a machine that is ten times as slow, but for those that are marked to take minutes.
HANGS_AFTER = 600.0
# A test that has failed may hang once more at its end.
HANGS_AGAIN_AFTER = 60.0
# A test's own connection may wait for a row that a pod of the same thread has locked, and which goes on only after it.
SETTINGS = {"lock_timeout": "60s"}

# A busy machine is no reason to fail.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the tests that take minutes: at the end the other worker would wait for them."""
    items.sort(key=lambda item: item.get_closest_marker("early") is None)


def pytest_configure() -> None:
    """Heed the signals that tests send, and keep the files of throw-away servers in memory.

    A shell has its background jobs ignore SIGINT, and nohup SIGHUP, which the commands of the tests would inherit.

    The files are kept elsewhere if TMPDIR is set or there is no room. A server starts by creating a thousand files and
    a database by creating three hundred, which takes 2 s and 0.25 s on a disk's file system and 0.5 s and 0.05 s in
    memory. These servers never wait for a disk anyway (fsync is off).
    """
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    if "TMPDIR" in os.environ or not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM_NEEDED:
        return
    # The tests' own folders stay on the disk: pytest keeps those of three runs.
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    # For the commands that tests start in processes of their own, and for this process.
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that hangs, and let its fixtures end; what does not heed this ends the worker by faulthandler."""
    if any(item.get_closest_marker(name) for name in ("early", "long")):
        return (yield)
    signal.signal(signal.SIGALRM, _fail)
    signal.setitimer(signal.ITIMER_REAL, HANGS_AFTER, HANGS_AGAIN_AFTER)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, object, object]:
    """Collect no garbage while pytest reads the sources of a failed test.

    Garbage that logs a traceback meanwhile, as a lost task does, ends pytest with "AST constructor recursion depth
    mismatch" before Python 3.11.8 (github.com/python/cpython/issues/106905), and nobody learns what has failed.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def _fail(*_: object) -> NoReturn:
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:
        tasks = set()
    for task in tasks:
        task.print_stack(file=sys.stderr)
    pytest.fail(f"it hangs: it was not over after {HANGS_AFTER:g} s")


@pytest.fixture(autouse=True)
def no_database_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's shell points to is never touched."""
    for name in [name for name in os.environ if name.startswith("PG")] + ["PENDINGCTL_DSN", "DATABASE_URL"]:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def no_terminal_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the width nor the colours of the developer's own, or of what runs the tests."""
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Leave the loggers as they were: `serve` sets up those of its whole process, its driver's among them."""
    loggers = [each for each in logging.root.manager.loggerDict.values() if isinstance(each, logging.Logger)]
    before = [(each, each.level, each.handlers[:], each.propagate, each.disabled) for each in (logging.root, *loggers)]
    last_resort = logging.lastResort
    yield
    for each, level, handlers, propagate, disabled in before:
        each.setLevel(level)
        each.handlers, each.propagate, each.disabled = handlers, propagate, disabled
    logging.lastResort = last_resort
    logging.captureWarnings(False)


@pytest.fixture(scope="session")
def server_dsn() -> Iterator[str]:
    """A database of the test server in which others can be created."""
    given = os.environ.get("PENDINGCTL_TEST_DSN")
    if given:
        yield given
        return
    from pendingctl.embedded import throwaway_server

    major = os.environ.get("PENDINGCTL_TEST_MAJOR")
    with throwaway_server(major=int(major) if major else None, settings=SETTINGS) as server:
        yield server.dsn


@pytest.fixture(scope="session")
def template(server_dsn: str) -> Iterator[str]:
    """The name of a migrated database with the organizations acme and globex."""
    name = _create_database(server_dsn)
    dsn = make_conninfo(server_dsn, dbname=name)
    migrations.apply(dsn)
    with psycopg.connect(dsn) as connection:
        connection.execute("insert into organization (id) values ('acme'), ('globex')")
    yield name
    _drop_database(server_dsn, name)


@pytest.fixture
def dsn(server_dsn: str, template: str) -> Iterator[str]:
    """A fresh migrated database."""
    with migrated_database(server_dsn, template) as fresh:
        yield fresh


@pytest.fixture
def empty_dsn(server_dsn: str) -> Iterator[str]:
    """A fresh database that nobody has migrated."""
    name = _create_database(server_dsn)
    yield make_conninfo(server_dsn, dbname=name)
    _drop_database(server_dsn, name)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of something else than the product's limits on the database."""
    be_patient(monkeypatch)


@pytest.fixture
async def pool(dsn: str) -> AsyncIterator[Pool]:
    # Many at once wait while it grows by one connection after the other.
    async with open_pool(dsn, max_size=20, timeout=60) as opened:
        yield opened


@pytest.fixture
def store(pool: Pool) -> PendingStore:
    return PendingStore(pool)


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection beside the store's, for arranging rows and for looking at what was left."""
    with psycopg.connect(dsn, autocommit=True) as opened:
        yield opened


@contextmanager
def migrated_database(server_dsn: str, template: str) -> Iterator[str]:
    """A fresh migrated database, for a fixture that several tests share."""
    name = _create_database(server_dsn, template)
    yield make_conninfo(server_dsn, dbname=name)
    _drop_database(server_dsn, name)


def _create_database(server_dsn: str, template: str = "template0") -> str:
    name = f"pendingctl_test_{secrets.token_hex(6)}"
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )
    return name


def _drop_database(server_dsn: str, name: str) -> None:
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))


@pytest.fixture
def cli(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs a command on the migrated database."""
    monkeypatch.setenv("PENDINGCTL_DSN", dsn)
    return run
