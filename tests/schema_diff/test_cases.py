"""Each folder of cases/ is one difference, each folder of equal/ two scripts that define the same schema.

`a.sql` is the schema file, `b.sql` creates the database, and `expected.json` has the differences, the options of the
comparison and what the server must have. To add a case, add a folder. test_versions.py runs them on other versions.
"""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from pendingctl.schema_diff import diff_schema
from pendingctl.schema_diff.kinds import KINDS
from pendingctl.schema_diff.scope import read_scope
from tests.schema_diff.scripts import CASES, EQUAL, Expected, expected_of, make

# Kinds that are read by the query of another kind.
FAMILIES = {
    "foreign table": "table",
    "materialized view": "view",
    "procedure": "function",
}
NO_ATTRIBUTES = {
    "columns",
    "definition",
    "depends_on",
    "has_generated_name",
    "kind",
    "name",
    "of_table",
    "oid",
    "relation",
    "subid",
}
# A collation's rules need both ICU and PostgreSQL 16.
WITHOUT_CASE = {"collation": {"rules"}}


def skip_unless_possible(expected: Expected, dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        lacking = expected.lacking(connection)
    if lacking is not None:
        pytest.skip(lacking)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_difference_is_reported_with_its_line(case: Path, empty_database: str, scratch_dsn: str) -> None:
    expected = expected_of(case)
    skip_unless_possible(expected, empty_database)
    make(empty_database, case / "b.sql")

    found = diff_schema(empty_database, case / "a.sql", scratch=scratch_dsn, options=expected.options)

    assert found.differences == expected.differences


def test_every_attribute_of_every_kind_has_a_case(server_dsn: str) -> None:
    reported: dict[str, set[str]] = {}
    for case in CASES:
        for each in expected_of(case).differences:
            reported.setdefault(FAMILIES.get(each.kind, each.kind), set()).add(each.attribute)
    with psycopg.connect(server_dsn) as connection:
        scope = read_scope(connection, None, None)
        for kind in KINDS:
            row = connection.execute(kind.query.encode(), {**scope.oids, "database_owner": None})
            attributes = {column.name for column in row.description or ()} - NO_ATTRIBUTES
            assert attributes - reported[kind.name] == WITHOUT_CASE.get(kind.name, set()), kind.name


@pytest.mark.parametrize("pair", EQUAL, ids=lambda pair: pair.name)
def test_equivalent_schemas_have_no_differences(pair: Path, empty_database: str, scratch_dsn: str) -> None:
    expected = expected_of(pair)
    skip_unless_possible(expected, empty_database)
    make(empty_database, pair / "b.sql")

    found = diff_schema(empty_database, pair / "a.sql", scratch=scratch_dsn, options=expected.options)

    assert found.differences == ()
