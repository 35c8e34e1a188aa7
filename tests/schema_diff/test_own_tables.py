"""pendingctl's own schema.sql: what is compared, where it is found, and what is left out."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pendingctl.schema import migrations
from pendingctl.schema_diff import ScratchKind, diff_schema
from pendingctl.schema_diff.parse import read_script

FOREIGN_KEYS = {
    ("public.pending_interactions.pending_interactions_organization_id_fkey", "presence"),
    ("public.pending_stream.pending_stream_organization_id_fkey", "presence"),
}
TRIGGER = "public.pending_interactions.draw_ask_number"


def run(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def migrated(empty_database: str) -> str:
    migrations.apply(empty_database)
    return empty_database


@pytest.mark.parametrize("scratch", ["auto", "database", "embedded"])
def test_migrated_database_is_identical(migrated: str, scratch: ScratchKind) -> None:
    assert diff_schema(migrated, scratch=scratch).differences == ()


def test_other_tables_are_not_compared(migrated: str) -> None:
    run(migrated, "create table other (x int)", "create view v as select 1")

    found = diff_schema(migrated, scratch="database")

    assert found.identical
    assert found.notes == ()


def test_drift_of_own_tables_is_reported(migrated: str) -> None:
    run(
        migrated,
        "alter table pending_interactions alter claimed_at set default now()",
        "drop index idx_pending_interactions_created_at",
        "create index extra on organization (created_at)",
    )

    found = diff_schema(migrated, scratch="database")

    assert {(each.object, each.attribute, each.expected is None) for each in found.differences} == {
        ("public.extra", "presence", True),
        ("public.idx_pending_interactions_created_at", "presence", False),
        ("public.pending_interactions.claimed_at", "default", True),
    }
    assert all(each.line for each in found.differences)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("drop table sweep_cycle", {("public.sweep_cycle", "presence")}),
        ("drop table organization cascade", {("public.organization", "presence"), *FOREIGN_KEYS}),
        ("alter table sweep_cycle drop pod", {("public.sweep_cycle.pod", "presence")}),
        ("drop trigger draw_ask_number on pending_interactions", {(TRIGGER, "presence")}),
        (
            "drop function pendingctl_draw_ask_number cascade",
            {(TRIGGER, "presence"), ("public.pendingctl_draw_ask_number()", "presence")},
        ),
        (
            "alter function pendingctl_draw_ask_number security invoker",
            {("public.pendingctl_draw_ask_number()", "security")},
        ),
        (
            "alter sequence pending_interactions_ask_number_seq cycle",
            {("public.pending_interactions_ask_number_seq", "cycle")},
        ),
    ],
)
def test_every_part_of_the_own_schema_is_compared(migrated: str, change: str, expected: set[tuple[str, str]]) -> None:
    run(migrated, change)

    found = diff_schema(migrated, scratch="database")

    assert {(each.object, each.attribute) for each in found.differences} == expected
    assert all(each.line for each in found.differences)


@pytest.mark.parametrize("beside", ["another copy", "tables of the application"])
def test_what_has_the_same_name_in_another_schema_is_not_taken_for_what_was_dropped(
    empty_database: str, beside: str
) -> None:
    run(empty_database, "create schema app", "create schema other")
    if beside == "another copy":
        migrations.apply(make_conninfo(empty_database, options="-c search_path=other"))
    else:
        run(
            empty_database,
            "create table other.sweep_cycle (mine int)",
            "create function other.pendingctl_draw_ask_number() returns int language sql return 1",
        )
    migrations.apply(make_conninfo(empty_database, options="-c search_path=app"))
    dsn = make_conninfo(empty_database, options="-c search_path=app,other")
    assert diff_schema(dsn, scratch="database").identical

    run(dsn, "drop table app.sweep_cycle", "drop function app.pendingctl_draw_ask_number cascade")

    found = diff_schema(dsn, scratch="database")
    assert {(each.object, each.expected is None) for each in found.differences} == {
        ("app.sweep_cycle", False),
        ("app.pendingctl_draw_ask_number()", False),
        ("app.pending_interactions.draw_ask_number", False),
    }
    assert all(each.line for each in found.differences)


def test_own_schema_consists_of_what_the_comparison_chooses() -> None:
    kinds = {statement.kind for statement in read_script(migrations.schema_file()).statements}

    # The last three belong to a table.
    assert kinds <= {"CreateStmt", "CreateFunctionStmt", "CommentStmt", "CreateTrigStmt", "IndexStmt"}


def test_database_without_migrations_lacks_every_own_table_and_function(empty_database: str) -> None:
    found = diff_schema(empty_database, scratch="database")

    assert {(each.object, each.actual) for each in found.differences} == {
        ("public.organization", None),
        ("public.pending_interactions", None),
        ("public.pending_applications", None),
        ("public.pending_pods", None),
        ("public.pending_rate_limit", None),
        ("public.pending_trail", None),
        ("public.pending_stream", None),
        ("public.pending_stream_event", None),
        ("public.pending_stream_ring", None),
        ("public.pendingctl_draw_ask_number()", None),
        ("public.pendingctl_forget_ending()", None),
        ("public.pendingctl_keep_ending()", None),
        ("public.sweep_cycle", None),
    }


@pytest.mark.parametrize("name", ["app", "Two words"])
def test_tables_are_found_through_the_search_path(empty_database: str, name: str) -> None:
    escaped = name.replace(" ", "\\ ")
    dsn = make_conninfo(empty_database, options=f'-c search_path="{escaped}"')
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(sql.SQL("create schema {}").format(sql.Identifier(name)))
    migrations.apply(dsn)
    assert diff_schema(dsn, scratch="database").differences == ()

    run(dsn, "alter table pending_interactions drop column answer")

    (found,) = diff_schema(dsn, scratch="database").differences
    assert found.object.endswith(".pending_interactions.answer")
    assert found.line is not None


def test_organization_in_another_schema_of_the_path_is_found(empty_database: str) -> None:
    run(empty_database, "create schema app", "create schema shared")
    run(empty_database, "create table shared.organization (id text primary key)")
    dsn = make_conninfo(empty_database, options="-c search_path=app,shared")
    migrations.apply(dsn)

    found = diff_schema(dsn, scratch="database")
    assert found.differences == ()
    assert found.notes == ("table shared.organization is the application's own and was left out",)


def test_organization_of_the_application_is_left_out(empty_database: str) -> None:
    run(empty_database, "create table organization (id text primary key, plan text not null)")
    migrations.apply(empty_database)

    found = diff_schema(empty_database, scratch="database")

    assert found.identical
    assert found.notes == ("table public.organization is the application's own and was left out",)
