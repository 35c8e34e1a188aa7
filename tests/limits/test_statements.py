"""Every statement of limits is good SQL on the migrated table, and touches one row, or one page, by its index."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import psycopg
import pytest

from pendingctl.limits import statements
from tests.conftest import migrated_database

PARAMETERS: dict[str, object] = {
    "organization_id": "acme",
    "key": "k42",
    "whole": 3e6,
    "paid": 1e6,
    "tolerance": 2e6,
    "batch_size": 10,
    "asked": json.dumps(
        [
            {"organization_id": organization_id, "key": f"k{number}", "paid": 1e6, "tolerance": 2e6}
            for number, organization_id in ((42, "acme"), (43, "globex"))
        ]
    ),
}
STATEMENTS = {
    name: cast("str", statement) for name, statement in vars(statements).items() if name.isupper() and name[0] != "_"
}


@pytest.fixture(scope="module")
def filled(server_dsn: str, template: str) -> Iterator[psycopg.Connection]:
    """A database with 5,000 keys that are free."""
    with migrated_database(server_dsn, template) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "insert into pending_rate_limit (organization_id, key, tat) "
            "select case n % 2 when 0 then 'acme' else 'globex' end, 'k' || n, now() from generate_series(1, 5000) as n"
        )
        connection.execute("vacuum analyze pending_rate_limit")
        yield connection


def nodes(connection: psycopg.Connection, statement: str) -> list[dict[str, Any]]:
    with connection.transaction(force_rollback=True):
        row = connection.execute(f"explain (format json) {statement}".encode(), PARAMETERS).fetchone()
    assert row is not None
    waiting, found = [row[0][0]["Plan"]], []
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += node.get("Plans", [])
    return found


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_runs_on_the_migrated_table(filled: psycopg.Connection, name: str) -> None:
    with filled.transaction(force_rollback=True):
        filled.execute(STATEMENTS[name].encode(), PARAMETERS)


@pytest.mark.parametrize("name", STATEMENTS)
def test_keys_are_found_by_the_index(filled: psycopg.Connection, name: str) -> None:
    found = nodes(filled, STATEMENTS[name])
    scans = {node["Node Type"] for node in found if "Scan" in node["Node Type"] and "Relation Name" in node}

    assert scans
    assert scans <= {"Index Scan", "Index Only Scan", "Tid Scan"}


def test_a_take_changes_its_row_in_place(filled: psycopg.Connection) -> None:
    """No index has a column that changes, and half of each page is free: no index grows by a take."""
    # Within a transaction nothing is handed on to the statistics of the server, also of what was done before it.
    with filled.transaction():
        before = _updates(filled)
        for _ in range(3):
            assert filled.execute(statements.TAKE.encode(), PARAMETERS).fetchone()
        updates, in_place = (now - then for now, then in zip(_updates(filled), before, strict=True))

    assert (updates, in_place) == (3, 3)


def _updates(connection: psycopg.Connection) -> tuple[int, int]:
    row = connection.execute(
        "select n_tup_upd, n_tup_hot_upd from pg_stat_xact_user_tables where relname = 'pending_rate_limit'"
    ).fetchone()
    assert row is not None
    return row
