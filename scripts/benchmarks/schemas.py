"""Comparing two schemas: against the time it may take, and against two dumps and a text diff."""

from __future__ import annotations

import asyncio
import difflib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pendingctl.schema_diff import STATEMENT_TIMEOUT
from pendingctl.schema_diff.catalog import read_catalog, reading
from pendingctl.schema_diff.compare import compare

from .figures import Figure, Round, doing, in_turns
from .stage import Stage

_LIMIT_MS = 1_500.0
_INDEXES_A_TABLE = 3

_TABLE = """
    create table t{n} (
        id bigint primary key,
        owner_id bigint not null,
        name text not null default '',
        amount numeric(12, 2) check (amount > 0),
        created_at timestamptz not null default now()
    );
    create index t{n}_owner on t{n} (owner_id);
    create unique index t{n}_name on t{n} (lower(name)) where name <> '';
    create index t{n}_created on t{n} (created_at desc, id);
"""


def measure_schema_diff(stage: Stage, *, tables: int, rounds: int) -> list[Figure]:
    """Both sides' catalogs read over new connections and compared; server start and loading stand aside.

    The last table differs in a column, and both contenders must notice. Raises RuntimeError when one does not.
    """
    name = f"diff-schema, {tables:,} tables, {tables * _INDEXES_A_TABLE:,} indexes"
    doing(name)
    pg_dump = _pg_dump(stage)
    with _two_databases(stage, tables) as databases:
        contenders: dict[str, Round] = {"ours": lambda: asyncio.to_thread(_timed_comparison, *databases)}
        if pg_dump is not None and _can_dump(pg_dump, databases[0]):
            contenders["pg_dump"] = lambda: asyncio.to_thread(_timed_dumps, pg_dump, *databases)
        measured = asyncio.run(in_turns(contenders, rounds))
    ours, dumped = measured["ours"], measured.get("pg_dump")
    taken = median(ours)
    against = "two pg_dump --schema-only, text diff"
    return [
        Figure(name, "ms", taken, "what it may take", _LIMIT_MS, "ratio", taken / _LIMIT_MS, 1.0, "at most"),
        Figure(
            name,
            "ms",
            taken,
            against if dumped else f"{against} (missing)",
            median(dumped) if dumped else None,
            "ratio",
            median(their / our for our, their in zip(ours, dumped, strict=True)) if dumped else None,
        ),
    ]


def _timed_comparison(expected: str, actual: str) -> float:
    started = perf_counter()
    with reading(expected, "bench") as one, reading(actual, "bench") as other:
        ours, theirs = (read_catalog(side, None, STATEMENT_TIMEOUT) for side in (one, other))
    found = compare(ours, theirs, lambda *_: None)
    taken = (perf_counter() - started) * 1_000
    if [each.attribute for each in found] != ["type"]:
        raise RuntimeError(f"diff-schema found {len(found)} differences where there is one")
    return taken


def _timed_dumps(pg_dump: Path, expected: str, actual: str) -> float:
    started = perf_counter()
    dumps = [_dumped(pg_dump, dsn).splitlines() for dsn in (expected, actual)]
    # The random key of \restrict differs in every dump.
    ours, theirs = ([line for line in dump if not line.startswith(("\\restrict", "\\unrestrict"))] for dump in dumps)
    found = [line for line in difflib.unified_diff(ours, theirs, n=0, lineterm="") if line.startswith(("+ ", "- "))]
    taken = (perf_counter() - started) * 1_000
    if len(found) != 2:
        raise RuntimeError(f"the dumps differ in {len(found)} lines where two ought to")
    return taken


def _dumped(pg_dump: Path, dsn: str) -> str:
    # Not as an argument: the string may hold a password, and arguments are everybody's to read.
    environment = _as_variables(dsn)
    return subprocess.run(
        [pg_dump, "--schema-only"], env=environment, capture_output=True, text=True, check=True
    ).stdout


def _as_variables(dsn: str) -> dict[str, str]:
    names = {"host": "PGHOST", "port": "PGPORT", "user": "PGUSER", "password": "PGPASSWORD", "dbname": "PGDATABASE"}
    with psycopg.connect(dsn) as connection:
        parameters = {**connection.info.get_parameters(), "password": connection.info.password}
        parameters["host"] = connection.info.host
        parameters["port"] = str(connection.info.port)
    return {**os.environ, **{names[name]: value for name, value in parameters.items() if name in names and value}}


def _can_dump(pg_dump: Path, dsn: str) -> bool:
    """Whether it is new enough for the server."""
    try:
        _dumped(pg_dump, dsn)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _pg_dump(stage: Stage) -> Path | None:
    beside = stage.pgbench.with_name("pg_dump") if stage.pgbench is not None else None
    if beside is not None and beside.is_file():
        return beside
    on_path = shutil.which("pg_dump")
    return Path(on_path) if on_path else None


@contextmanager
def _two_databases(stage: Stage, tables: int) -> Iterator[tuple[str, str]]:
    names = [f"pendingctl_bench_{secrets.token_hex(6)}" for _ in range(2)]
    script = "\n".join(_TABLE.format(n=n) for n in range(tables))
    with psycopg.connect(stage.dsn, autocommit=True) as connection:
        try:
            for name in names:
                connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(name)))
                with psycopg.connect(make_conninfo(stage.dsn, dbname=name)) as inside:
                    inside.execute(script.encode())
            first, second = (make_conninfo(stage.dsn, dbname=name) for name in names)
            with psycopg.connect(second) as inside:
                inside.execute(f"alter table t{tables - 1} alter amount type numeric(10, 2)".encode())
            yield first, second
        finally:
            for name in names:
                connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))
