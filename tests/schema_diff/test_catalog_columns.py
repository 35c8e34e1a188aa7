"""No column of the server's catalogs is overlooked: each is compared, derived, or left out with a reason."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from pendingctl import schema_diff
from tests.schema_diff.catalog_columns import CATALOGS_LEFT_OUT, COMPARED, DERIVED, EXCEPT_FOR, LEFT_OUT

_COLUMNS = """
    select rel.relname, array_agg(att.attname::text)
    from pg_class rel join pg_attribute att on att.attrelid = rel.oid
    where rel.relnamespace = 'pg_catalog'::regnamespace and rel.relkind = 'r'
        and att.attnum > 0 and not att.attisdropped
    group by 1
"""


def decided(catalog: str) -> set[str]:
    return {*COMPARED.get(catalog, "").split(), *DERIVED.get(catalog, {}), *LEFT_OUT.get(catalog, {})}


def test_every_column_of_this_servers_catalogs_is_decided_on(server_dsn: str) -> None:
    with psycopg.connect(server_dsn) as connection:
        catalogs: dict[str, list[str]] = dict(connection.execute(_COLUMNS).fetchall())

    undecided = {
        (catalog, column)
        for catalog, columns in catalogs.items()
        if catalog not in CATALOGS_LEFT_OUT
        for column in set(columns) - decided(catalog)
    }
    assert undecided == set()


@pytest.mark.parametrize("catalog", sorted({*COMPARED, *DERIVED, *LEFT_OUT, *CATALOGS_LEFT_OUT}))
def test_no_column_is_decided_on_twice(catalog: str) -> None:
    lists = [COMPARED.get(catalog, "").split(), list(DERIVED.get(catalog, {})), list(LEFT_OUT.get(catalog, {}))]

    assert sum(map(len, lists)) == len(decided(catalog))
    assert not (catalog in CATALOGS_LEFT_OUT and decided(catalog))


def test_only_what_is_compared_has_exceptions() -> None:
    for catalog, columns in EXCEPT_FOR.items():
        assert columns.keys() <= set(COMPARED[catalog].split())


def test_queries_name_exactly_the_columns_that_are_compared() -> None:
    folder = Path(schema_diff.__path__[0])
    files = (*folder.glob("kinds/*.py"), folder / "catalog.py", folder / "comments_and_privileges.py")
    named = set(re.findall(r"\w+", "".join(file.read_text() for file in (*files, folder / "scope.py"))))

    assert {column for columns in COMPARED.values() for column in columns.split()} - named == set()
    others = {column for catalog in (*DERIVED.values(), *LEFT_OUT.values()) for column in catalog}
    assert others & named == set()
