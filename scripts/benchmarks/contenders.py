"""Other libraries that ask and wait: each in a process of its own, in a Python environment of the bench's own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .figures import doing
from .stage import SCOPE, Stage

_CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pendingctl"
_INSTALL_SECONDS = 600
_ROOT = Path(__file__).parents[2]
_SCRIPTS = Path(__file__).parent / "others"


@dataclass(frozen=True, slots=True)
class _Environment:
    """A Python environment of the bench's own, with these packages."""

    name: str
    packages: tuple[str, ...]

    def python(self) -> str:
        """Return its interpreter, once the packages are there. Raises CalledProcessError if they cannot be."""
        folder = _CACHE / self.name
        python = folder / "bin" / "python"
        if (folder / "complete").is_file():
            return str(python)
        doing(f"installing {', '.join(self.packages)} in {folder}")
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(folder)],
            [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *self.packages],
        ):
            subprocess.run(command, check=True, timeout=_INSTALL_SECONDS)
        (folder / "complete").touch()
        return str(python)


_LIBRARIES = _Environment("bench", ("langgraph", "langgraph-checkpoint-postgres", "dbos", "psycopg[binary,pool]"))
# Its versions of web libraries are its own. It names psycopg2, and SQLAlchemy 2.1, which it also takes, wants psycopg.
_SERVER = _Environment("bench-awaithumans", ("awaithumans[server]", "psycopg[binary]"))
_SSE = _Environment("bench-sse", ("sse-starlette", "starlette", "uvicorn", "h11", "psycopg[binary,pool]"))
_LIMITERS = _Environment("bench-limiters", ("limits", "throttled-py", "redis"))


@dataclass(frozen=True, slots=True)
class Process:
    """A process that answers lines."""

    popen: subprocess.Popen[str]

    def answer(self, line: str) -> str:
        """Send it a line, and return its answer. Raises RuntimeError when it has ended."""
        assert self.popen.stdin is not None
        assert self.popen.stdout is not None
        self.popen.stdin.write(f"{line}\n")
        self.popen.stdin.flush()
        answer = self.popen.stdout.readline().strip()
        if not answer:
            raise RuntimeError(f"{self.popen.args!r} has ended; what it said is above")
        return answer


@dataclass(frozen=True, slots=True)
class Contender:
    """Another library, started and waiting; pendingctl ought to run `reach` times as many cycles a second."""

    name: str
    reach: float
    process: Process

    async def run(self) -> float:
        """Let it run its cycles once more and return how many a second that were."""
        return float(await asyncio.to_thread(self.process.answer, "go"))


@contextmanager
def contenders(stage: Stage, cycles: int) -> Iterator[list[Contender]]:
    """Start them, each on a database of its own on the stage's server; they end with the block.

    Raises CalledProcessError when they cannot be installed, and RuntimeError when one does not start.
    """
    with ExitStack() as ending:
        yield [
            _start(stage, ending, cycles, "LangGraph", "langgraph", reach=5.0),
            _start(stage, ending, cycles, "DBOS", "dbos", reach=7.0),
        ]


def _start(stage: Stage, ending: ExitStack, cycles: int, name: str, package: str, *, reach: float) -> Contender:
    dsn = database_beside(stage, ending, package)
    process = started(ending, [_LIBRARIES.python(), str(_SCRIPTS / f"{package}_cycles.py")])
    # Through the pipe: a connection string may hold a password.
    version = process.answer(f"{dsn}\n{cycles}")
    return Contender(f"{name} {version}", reach, process)


@contextmanager
def awaithumans(stage: Stage, token: str) -> Iterator[tuple[str, str]]:
    """The server of awaithumans, on a database of its own on the stage's server: its name with version, and its URL.

    Raises CalledProcessError when it cannot be installed, and RuntimeError when it does not start.
    """
    with ExitStack() as ending:
        dsn = database_beside(stage, ending, "awaithumans")
        process = started(ending, [_SERVER.python(), str(_SCRIPTS / "awaithumans_server.py")])
        version, port = process.answer(f"{dsn}\n{token}").split()
        yield f"awaithumans {version}", f"http://127.0.0.1:{port}"


@contextmanager
def limiters(port: int, takes: int) -> Iterator[tuple[str, Process]]:
    """Other rate limiters, on the Redis at this port: their versions, and what answers a name with takes a second.

    Raises CalledProcessError when they cannot be installed, and RuntimeError when they do not start.
    """
    with ExitStack() as ending:
        process = started(ending, [_LIMITERS.python(), str(_SCRIPTS / "limiter_rounds.py")])
        yield process.answer(f"{port} {takes}"), process


@contextmanager
def event_servers(stage: Stage, kinds: Sequence[str]) -> Iterator[dict[str, tuple[str, Process, int]]]:
    """Servers of event streams, by their kinds (see others/event_servers.py): name with version, process and port.

    Raises CalledProcessError when another library cannot be installed, and RuntimeError when a server does not start.
    """
    with ExitStack() as ending:
        servers = {}
        for kind in kinds:
            python = _SSE.python() if kind == "sse-starlette" else sys.executable
            command = [python, str(_SCRIPTS / "event_servers.py"), kind]
            process = started(ending, command, {**os.environ, "PYTHONPATH": str(_ROOT)})
            name, port = process.answer(f"{stage.dsn}\n{SCOPE.organization_id}").split("\t")
            servers[kind] = name, process, int(port)
        yield servers


def started(ending: ExitStack, command: list[str], environment: Mapping[str, str] | None = None) -> Process:
    """Start a process that reads and prints lines; it ends with the block."""
    popen = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
    ending.callback(popen.wait)
    ending.callback(popen.kill)
    return Process(popen)


def database_beside(stage: Stage, ending: ExitStack, suffix: str) -> str:
    """Make a database beside the stage's, dropped at the end."""
    name = f"{conninfo_to_dict(stage.dsn)['dbname']}_{suffix}"
    connection = ending.enter_context(psycopg.connect(stage.dsn, autocommit=True))
    connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
    drop = sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
    ending.callback(connection.execute, drop)
    return make_conninfo(stage.dsn, dbname=name)
