"""Comparing a large schema.sql with a database: against the time that loading the file alone takes."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pendingctl.embedded import throwaway_server
from pendingctl.schema_diff import diff_schema

from .figures import Figure, Round, doing, in_turns
from .stage import Stage

_STEP = 1.5
_BESIDE_MS = 3_000.0

# As pg_dump writes a table: what belongs to it in statements of its own.
_TABLE = """
    create table public.t{n} (
        id bigint not null, owner_id bigint not null, name text default ''::text not null, email character varying(255),
        amount numeric(12,2), state text default 'new'::text not null, details jsonb,
        created_at timestamp with time zone default now() not null, updated_at timestamp with time zone,
        constraint t{n}_amount_check check ((amount > (0)::numeric))
    );
    comment on table public.t{n} is 'Table {n}';
    create sequence public.t{n}_id_seq start with 1 increment by 1 no minvalue no maxvalue cache 1;
    alter sequence public.t{n}_id_seq owned by public.t{n}.id;
    alter table only public.t{n} alter column id set default nextval('public.t{n}_id_seq'::regclass);
    alter table only public.t{n} add constraint t{n}_pkey primary key (id);
    create index t{n}_created on public.t{n} using btree (created_at desc, id);
    create unique index t{n}_name on public.t{n} using btree (lower(name)) where (name <> ''::text);
    alter table only public.t{n}
        add constraint t{n}_owner_fkey foreign key (owner_id) references public.t{n}(id) on delete cascade;
"""


def measure_large_schema(stage: Stage, *, tables: int, rounds: int) -> list[Figure]:
    """The whole command's work on a dump of many tables, its server included. Raises RuntimeError if it finds drift."""
    name = f"diff-schema of a dump, {tables:,} tables"
    doing(name)
    statements = [each for n in range(tables) for each in _TABLE.format(n=n).split(";\n") if each.strip()]
    database = f"pendingctl_bench_{secrets.token_hex(6)}"
    with tempfile.TemporaryDirectory() as folder, psycopg.connect(stage.dsn, autocommit=True) as connection:
        file = Path(folder, "schema.sql")
        file.write_text(";\n".join(statements) + ";\n")
        connection.execute(sql.SQL("create database {} template template0").format(sql.Identifier(database)))
        try:
            dsn = make_conninfo(stage.dsn, dbname=database)
            _load(dsn, statements)
            contenders: dict[str, Round] = {
                "ours": lambda: asyncio.to_thread(_timed_comparison, dsn, file),
                "load": lambda: asyncio.to_thread(_timed_load, statements),
            }
            measured = asyncio.run(in_turns(contenders, rounds, warm_up=False))
        finally:
            connection.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(database)))
    pairs = list(zip(measured["ours"], measured["load"], strict=True))
    ratio = median(ours / (_STEP * load + _BESIDE_MS) for ours, load in pairs)
    limit = _STEP * median(measured["load"]) + _BESIDE_MS
    against = f"{_STEP} × the load alone + {_BESIDE_MS / 1_000:.0f} s"
    return [Figure(name, "ms", median(measured["ours"]), against, limit, "ratio", ratio, 1.0, "at most")]


def _timed_comparison(dsn: str, file: Path) -> float:
    started = perf_counter()
    found = diff_schema(dsn, file, scratch="embedded")
    if not found.identical:
        raise RuntimeError(f"diff-schema found {len(found.differences)} differences where there is none")
    return (perf_counter() - started) * 1_000


def _timed_load(statements: list[str]) -> float:
    with throwaway_server() as server:
        started = perf_counter()
        _load(server.dsn, statements)
        return (perf_counter() - started) * 1_000


def _load(dsn: str, statements: list[str]) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("set synchronous_commit = off")
        for statement in statements:
            connection.execute(statement.encode())
