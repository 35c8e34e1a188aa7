"""Consequences are counted at their cause: in partitions, in views, and in the sequences of serial columns."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from pendingctl.schema_diff import diff_schema

PARTITIONED = """
create table p (id bigint not null, v varchar(10), at date) partition by range (at);
create table p1 partition of p for values from ('2026-01-01') to ('2026-02-01') partition by list (id);
create table p11 partition of p1 for values in (1);
"""

CASES: dict[str, tuple[str, str, list[tuple[str, dict[str, int]]]]] = {
    "a column of partitions": (
        PARTITIONED.replace("varchar(10)", "varchar(20)"),
        PARTITIONED,
        [("column public.p.v type", {"column": 2})],
    ),
    "an index of partitions": (
        PARTITIONED + "create index on p (v);",
        PARTITIONED,
        [("index public.p_v_idx presence", {"index": 2})],
    ),
    "a check of partitions": (
        PARTITIONED,
        PARTITIONED + "alter table p add constraint c check (id > 0);",
        [("constraint public.p.c presence", {"constraint": 2})],
    ),
    "a unique key of partitions": (
        PARTITIONED + "alter table p add constraint k unique (id, at);",
        PARTITIONED,
        [("constraint public.p.k presence", {"constraint": 2})],
    ),
    "a renamed column of partitions": (
        PARTITIONED + "alter table p rename v to w;",
        PARTITIONED,
        [("column public.p.v presence", {"column": 2}), ("column public.p.w presence", {"column": 2})],
    ),
    "a whole partitioned table": (
        PARTITIONED,
        "",
        [("table public.p presence", {"column": 9, "table": 2})],
    ),
    "a default of a child": (
        "create table t (a integer default 4); create table child (b integer) inherits (t);",
        "create table t (a integer); create table child (b integer) inherits (t);",
        [("column public.t.a default", {"column": 1})],
    ),
    "the types of views on views": (
        "create table t (a integer); create view v as select a from t; create view w as select a from v;",
        "create table t (a bigint); create view v as select a from t; create view w as select a from v;",
        [("column public.t.a type", {"view": 2})],
    ),
    "the sequences of serial and identity columns": (
        "create table t (a serial, b integer generated always as identity);",
        "create table t (a bigserial, b bigint generated always as identity);",
        [("column public.t.a type", {"sequence": 1}), ("column public.t.b type", {"sequence": 1})],
    ),
}

OWN: dict[str, tuple[str, str, list[str]]] = {
    "another default of a partition alone": (
        PARTITIONED,
        PARTITIONED + "alter table p11 alter v set default 'x';",
        ["column public.p11.v default"],
    ),
    "the same comment on a parent's column and on its partition's": (
        PARTITIONED,
        PARTITIONED + "comment on column p.v is 'x'; comment on column p1.v is 'x';",
        ["column public.p.v comment", "column public.p1.v comment"],
    ),
    "the same comment on a column and on the view that reads it": (
        "create table t (a integer); create view v as select a from t;",
        "create table t (a integer); create view v as select a from t; "
        "comment on column t.a is 'x'; comment on view v is 'x';",
        ["column public.t.a comment", "view public.v comment"],
    ),
    "a view on a column that is missing with it": (
        "create table t (a integer, b integer); create view v as select b from t;",
        "create table t (a integer);",
        ["column public.t.b presence", "view public.v presence"],
    ),
    "two views that read each other": (
        "create view v as select 1 as a; create view w as select a from v; "
        "create or replace view v as select a from w;",
        "create view v as select 1::bigint as a; create view w as select a from v; "
        "create or replace view v as select a from w;",
        ["view public.w columns_and_types"],
    ),
    "a sequence that has its maximum on purpose": (
        "create table t (a serial); alter sequence t_a_seq maxvalue 9;",
        "create table t (a bigserial);",
        ["column public.t.a type", "sequence public.t_a_seq maximum"],
    ),
}


def reported(database: str, folder: Path, ours: str, theirs: str) -> list[tuple[str, dict[str, int]]]:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(theirs.encode())
    schema = folder / "schema.sql"
    schema.write_text(ours)
    found = diff_schema(database, schema, scratch="database").differences
    return [(f"{each.kind} {each.object} {each.attribute}", dict(each.folded)) for each in found]


@pytest.mark.parametrize(("ours", "theirs", "expected"), CASES.values(), ids=CASES.keys())
def test_consequence_is_counted_at_its_cause(
    empty_database: str, tmp_path: Path, ours: str, theirs: str, expected: list[tuple[str, dict[str, int]]]
) -> None:
    assert reported(empty_database, tmp_path, ours, theirs) == expected


@pytest.mark.parametrize(("ours", "theirs", "expected"), OWN.values(), ids=OWN.keys())
def test_difference_that_does_not_follow_is_reported(
    empty_database: str, tmp_path: Path, ours: str, theirs: str, expected: list[str]
) -> None:
    assert [what for what, _ in reported(empty_database, tmp_path, ours, theirs)] == expected
