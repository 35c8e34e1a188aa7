"""What doctor makes of the tables: where they are, whether they are whole, and who may use them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pendingctl.diagnosis.findings import Verdict
from pendingctl.diagnosis.tables import (
    OWN_TABLES,
    RIGHTS,
    Drift,
    Migrations,
    Places,
    Right,
    Table,
    judge_drift,
    judge_migrations,
    judge_places,
    judge_rights,
)

OK, UNKNOWN, WARN, FAIL = Verdict


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (Migrations((), ()), OK, "all migrations are applied"),
        (Migrations(("0011_a",), ()), FAIL, "1 migration is pending (0011_a)"),
        (Migrations(("0010_a", "0011_b"), ()), FAIL, "2 migrations are pending (0010_a … 0011_b)"),
        (Migrations((), ("0099_z",)), WARN, "a newer pendingctl has also applied 0099_z"),
        (Migrations((), (), "migration 0001 was edited; restore the file"), FAIL, "migration 0001 was edited"),
    ],
)
def test_migrations_that_are_pending_fail(facts: Migrations, verdict: Verdict, said: str) -> None:
    finding = judge_migrations(facts)

    assert (finding.verdict, said in finding.sentence) == (verdict, True)


@pytest.mark.parametrize(
    ("facts", "verdict", "said"),
    [
        (Drift((), ()), OK, "what schema.sql describes"),
        (Drift(("index a: yes / no",), ()), WARN, "schema.sql: index a: yes / no"),
        (Drift(("index a: yes / no", "b", "c"), ()), WARN, "and 2 more"),
        (Drift((), ("a rule is not compared",)), UNKNOWN, "a rule is not compared"),
    ],
)
def test_drift_is_a_warning(facts: Drift, verdict: Verdict, said: str) -> None:
    finding = judge_drift(facts)

    assert (finding.verdict, said in finding.sentence) == (verdict, True)


def tables(schema: str, *, found: bool, on_path: bool = True, may_use: bool = True) -> tuple[Table, ...]:
    return tuple(Table(schema, name, found, on_path, may_use) for name in OWN_TABLES)


OURS = tables("app", found=True)


@pytest.mark.parametrize(
    ("found", "verdict", "said", "remedy"),
    [
        (OURS, OK, "all tables are in schema app", None),
        (OURS + tables("copy", found=False, on_path=False), OK, "another copy in copy is not used", None),
        (OURS + tables("copy", found=False), WARN, "hide others of the same name in copy", "csearch_path%3Dapp"),
        (
            (replace(OURS[0], schema="stray"), *OURS[1:]),
            FAIL,
            f"finds stray.{OWN_TABLES[0]} in place of the tables of schema app",
            "csearch_path%3Dapp",
        ),
        ((), FAIL, "no tables of pendingctl", "pendingctl migrate"),
        (
            tables("app", found=False, on_path=False),
            FAIL,
            "in schema app, which the search_path (public) does not find",
            "csearch_path%3Dapp",
        ),
        (
            tables("app", found=False, on_path=False, may_use=False),
            FAIL,
            "schema app, which this role may not use",
            "grant usage on schema app",
        ),
    ],
)
def test_tables_that_are_not_where_the_path_leads_are_named(
    found: tuple[Table, ...], verdict: Verdict, said: str, remedy: str | None
) -> None:
    finding = judge_places(Places("public", found))

    assert finding.verdict is verdict, finding
    assert said in finding.sentence
    assert remedy is None or remedy in finding.remedies[0]


def rights(*missing: tuple[str, str], hidden: bool = False) -> list[Right]:
    return [
        Right("bot", f"public.{table}", table, privilege, (table, privilege) not in missing, hidden)
        for table, privileges in RIGHTS.items()
        for privilege in privileges
    ]


WRITES = [("pending_interactions", privilege) for privilege in ("insert", "update", "delete")]


@pytest.mark.parametrize(
    ("found", "verdict", "said", "remedy"),
    [
        (rights(), OK, "role bot may do all that pods do", None),
        ([], UNKNOWN, "no tables", None),
        (rights(hidden=True), WARN, "row-level security may hide rows", "alter role bot bypassrls"),
        (
            rights(("sweep_cycle", "update")),
            FAIL,
            "role bot lacks update on public.sweep_cycle",
            "grant update on public.sweep_cycle to bot",
        ),
        (rights(*WRITES), WARN, "role bot may only read", "run doctor with the pods' connection string"),
        (
            rights(*WRITES, ("pending_interactions", "select")),
            FAIL,
            "lacks select, insert, update, delete",
            "grant select",
        ),
    ],
)
def test_rights_that_a_pod_lacks_are_named(found: list[Right], verdict: Verdict, said: str, remedy: str | None) -> None:
    finding = judge_rights(found)

    assert finding.verdict is verdict, finding
    assert said in finding.sentence
    assert remedy is None or remedy in finding.remedies[0]
