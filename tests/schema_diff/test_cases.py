"""Each folder of cases/ is one difference, each folder of equal/ two scripts that define the same schema.

`a.sql` is the schema file, `b.sql` creates the database, and `expected.json` has the differences, the options of the
comparison and what the server must have. To add a case, add a folder.
"""

from __future__ import annotations

import json
from pathlib import Path

import pglast
import psycopg
import pytest

from pendingctl.schema_diff import Difference, Options, diff_schema
from pendingctl.schema_diff.kinds import KINDS
from pendingctl.schema_diff.scope import read_scope

HERE = Path(__file__).parent
CASES = sorted((HERE / "cases").iterdir())
EQUAL = sorted((HERE / "equal").iterdir())

# Kinds that are read by the query of another kind.
FAMILIES = {
    "foreign table": "table",
    "materialized view": "view",
    "procedure": "function",
}
NO_ATTRIBUTES = {"depends_on", "name", "of_table", "columns", "kind", "oid", "subid", "relation", "definition"}
# A collation's rules need both ICU and PostgreSQL 16.
WITHOUT_CASE = {"collation": {"rules"}}


def make(dsn: str, script: Path) -> int:
    """Run a script as psql would, statement by statement, and return the server's major version."""
    text = script.read_text(encoding="utf-8")
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in pglast.split(text, only_slices=True):
            connection.execute(text[statement].encode())
        return connection.info.server_version // 10000


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_difference_is_reported_with_its_line(case: Path, empty_database: str, scratch_dsn: str) -> None:
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    with psycopg.connect(empty_database) as connection:
        if connection.info.server_version // 10000 < expected.get("oldest_major", 0):
            pytest.skip(f"PostgreSQL {expected['oldest_major']} introduced this")
        icu = connection.execute("select from pg_collation where collname = 'und-x-icu'").fetchone()
        if expected.get("needs_icu", False) and icu is None:
            pytest.skip("this server was built without ICU")
    make(empty_database, case / "b.sql")

    options = Options(**expected.get("options", {}))
    found = diff_schema(empty_database, case / "a.sql", scratch=scratch_dsn, options=options)

    assert list(found.differences) == [Difference(**each) for each in expected["differences"]]


def test_every_attribute_of_every_kind_has_a_case(server_dsn: str) -> None:
    reported: dict[str, set[str]] = {}
    for case in CASES:
        for each in json.loads((case / "expected.json").read_text(encoding="utf-8"))["differences"]:
            reported.setdefault(FAMILIES.get(each["kind"], each["kind"]), set()).add(each["attribute"])
    with psycopg.connect(server_dsn) as connection:
        scope = read_scope(connection, None, None)
        for kind in KINDS:
            row = connection.execute(kind.query.encode(), {**scope.oids, "database_owner": None})
            attributes = {column.name for column in row.description or ()} - NO_ATTRIBUTES
            assert attributes - reported[kind.name] == WITHOUT_CASE.get(kind.name, set()), kind.name


@pytest.mark.parametrize("pair", EQUAL, ids=lambda pair: pair.name)
def test_equivalent_schemas_have_no_differences(pair: Path, empty_database: str, scratch_dsn: str) -> None:
    make(empty_database, pair / "b.sql")

    found = diff_schema(empty_database, pair / "a.sql", scratch=scratch_dsn)

    assert found.differences == ()
