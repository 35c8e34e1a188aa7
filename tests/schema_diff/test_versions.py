"""Every case on each major version that this machine has, and each version compared with each, in both directions.

A comparison of two versions may say that something is not comparable; what it reports as a difference is one on either
version alone. Both scripts of a folder run once on each version, and what was read is then compared in every pair.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl.embedded import find_binaries, throwaway_server
from pendingctl.errors import InvalidInput
from pendingctl.schema_diff.catalog import OLDEST_MAJOR, reading
from pendingctl.schema_diff.diff import STATEMENT_TIMEOUT, Side, compare_sides, read_side
from pendingctl.schema_diff.load import load
from pendingctl.schema_diff.locations import Locations
from pendingctl.schema_diff.model import Difference, Options
from pendingctl.schema_diff.parse import read_script
from pendingctl.schema_diff.scratch import Scratch
from tests.schema_diff.conftest import create_cellar, empty
from tests.schema_diff.scripts import CASES, EQUAL, Expected, expected_of, make

pytestmark = pytest.mark.versions

NEWEST_MAJOR = 18


@dataclass(frozen=True, slots=True)
class Server:
    """A database for each side, and a connection to each that reads, since one whose caches are warm takes half."""

    major: int
    live: psycopg.Connection
    scratch: psycopg.Connection


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[Server, ...]]:
    found = []
    with ExitStack() as stack:
        for major in range(OLDEST_MAJOR, NEWEST_MAJOR + 1):
            try:
                find_binaries(major)
            except InvalidInput:
                continue
            dsn = stack.enter_context(throwaway_server(major=major)).dsn
            with psycopg.connect(dsn, autocommit=True) as connection:
                create_cellar(connection)
                connection.execute("create database live template template0")
                connection.execute("create database scratch template template0")
            live, scratch = (
                stack.enter_context(reading(make_conninfo(dsn, dbname=name), "pendingctl tests"))
                for name in ("live", "scratch")
            )
            found.append(Server(major, live, scratch))
        yield tuple(found)


@pytest.mark.parametrize("folder", [*CASES, *EQUAL], ids=lambda folder: f"{folder.parent.name}-{folder.name}")
def test_no_version_differs_from_another_by_itself(folder: Path, servers: tuple[Server, ...]) -> None:
    expected = expected_of(folder)
    sides = {server.major: _sides(folder, expected, server) for server in servers if _is_possible(expected, server)}
    if not sides:
        pytest.skip("no server here has what this case needs")
    script = read_script(folder / "a.sql")
    locations = Locations(script)

    wrong: list[str] = []
    for (file_major, (ours, _)), (live_major, (_, theirs)) in product(sides.items(), repeat=2):
        found = compare_sides(script, locations, ours, theirs, expected.options)
        if file_major == live_major:
            right = found.differences == expected.differences and (found.identical or bool(expected.differences))
        else:
            reported, real = (
                [_what(each) for each in differences] for differences in (found.differences, expected.differences)
            )
            is_said = found.uncompared or any("is not compared" in note for note in found.notes)
            right = set(reported) <= set(real) and (reported == real or bool(is_said))
        if not right:
            said = [*found.differences, *found.uncompared]
            wrong.append(f"schema.sql on {file_major}, the database on {live_major}: {said}")

    assert not wrong, "\n".join(wrong)


def _what(difference: Difference) -> tuple[str, str, str]:
    # The texts of the two sides may be each version's own.
    return difference.kind, difference.object, difference.attribute


def _is_possible(expected: Expected, server: Server) -> bool:
    with psycopg.connect(server.live.info.dsn) as connection:
        return expected.lacking(connection) is None


def _sides(folder: Path, expected: Expected, server: Server) -> tuple[Side, Side]:
    """Return what a.sql makes, loaded as schema.sql, and what b.sql makes."""
    live, scratch = server.live.info.dsn, server.scratch.info.dsn
    empty(live)
    make(live, folder / "b.sql")
    theirs = _read(server.live, expected.options)
    empty(scratch)
    script = read_script(folder / "a.sql")
    load(Scratch(scratch, server.major, shared=True), script, {}, ownership=expected.options.privileges)
    return _read(server.scratch, expected.options, theirs.catalog.database_owner), theirs


def _read(connection: psycopg.Connection, options: Options, database_owner: str | None = None) -> Side:
    try:
        return read_side(connection, None, options, STATEMENT_TIMEOUT, database_owner)
    finally:
        connection.rollback()
