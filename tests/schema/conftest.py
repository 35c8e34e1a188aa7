"""A database that the tests of migrations start from."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest


@pytest.fixture
def empty(empty_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to the database that is migrated."""
    with psycopg.connect(empty_dsn, autocommit=True) as connection:
        yield connection
