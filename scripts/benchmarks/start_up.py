"""How long the command line takes to start, above what does as little without it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from time import perf_counter

from pendingctl.schedule import MAX_AGE
from pendingctl.store import read_statements
from pendingctl.store.filters import ALL, filter_parameters

from .figures import Figure, Round, difference, doing, in_turns
from .inspecting import COMMANDS, fill_with_trail
from .stage import Stage

_ROWS = 10_000
# It also compares the whole schema with schema.sql.
_SECONDS = 2_000
_LISTED = 100

# What `list` asks the database, asked by a program that does nothing else.
_ASKED = filter_parameters(ALL, MAX_AGE) | {"limit": _LISTED + 1, "after_key": None, "after_id": None}
_BARE_LIST = f"""
import datetime, os, psycopg
asked = {_ASKED!r}
with psycopg.connect(os.environ["PENDINGCTL_DSN"], autocommit=True) as connection:
    print(len(connection.execute({read_statements.FIND!r}, asked).fetchall()))
"""


def measure_start_ups(stage: Stage, *, starts: int) -> list[Figure]:
    """Each is started so many times, in turns."""
    doing("starting up")
    fill_with_trail(stage, _ROWS)
    contenders = {
        "python": _start(stage, "-c", "pass"),
        "--version": _start(stage, "-m", "pendingctl", "--version"),
        "--help": _start(stage, "-m", "pendingctl", "--help"),
        "psycopg": _start(stage, "-c", _BARE_LIST),
        **{name: _start(stage, "-m", "pendingctl", *arguments) for name, arguments in COMMANDS.items()},
    }
    measured = asyncio.run(in_turns(contenders, starts))
    return [
        difference(
            "start-up, --version", "ms", "python -c pass", measured["--version"], measured["python"], at_most=100
        ),
        difference("start-up, --help", "ms", "python -c pass", measured["--help"], measured["python"], at_most=250),
        *(
            difference(
                *(f"start-up, {name}", "ms", "bare psycopg, list's query", measured[name], measured["psycopg"]),
                at_most=_SECONDS if name == "doctor" else 200,
            )
            for name in COMMANDS
        ),
    ]


def _start(stage: Stage, *arguments: str) -> Round:
    environment = {**os.environ, "PENDINGCTL_DSN": stage.dsn}

    async def started() -> float:
        began = perf_counter()
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        _, said = await process.communicate()
        took = (perf_counter() - began) * 1_000
        if process.returncode:
            raise RuntimeError(f"{arguments[-1]} exits {process.returncode}: {said.decode(errors='replace')}")
        return took

    return started
