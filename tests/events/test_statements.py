"""Every statement of streams is good SQL on the migrated tables, and appends and reads find their rows by an index."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import psycopg
import pytest

from pendingctl.events import read_statements, statements
from tests.conftest import migrated_database

PARAMETERS: dict[str, object] = {
    "organization_id": "acme",
    "name": "s42",
    "organization_ids": ["acme", "acme"],
    "names": ["s42", "s43"],
    "types": ["said", "said"],
    "datas": ["a", "b"],
    "expected": None,
    "lock_timeout": "1s",
    "id": 42,
    "seq": 2,
    "limit": 256,
    "max_bytes": 1000,
    "batch_size": 100,
    "after": 0,
    "after_organization_id": "acme",
    "after_name": "s1",
    "longest_append": timedelta(seconds=10),
    "slot": 1,
    "pod": "pod-1",
    "keys": "0123456789abcdef",
    "ids": [42, 43],
    "seqs": [1, 2],
    "ats": ["2026-01-01T00:00:00+00:00"] * 2,
    "page": 256,
    "stream_bytes": 1000,
    "call_bytes": 1000,
}
STATEMENTS = {
    name: cast("str", statement)
    for module in (statements, read_statements)
    for name, statement in vars(module).items()
    if name.isupper() and name[0] != "_" and name not in ("LIMITS", "TRUNCATE")
} | {f"TRUNCATE_{slot}": statement for slot, statement in enumerate(statements.TRUNCATE)}
BY_INDEX = [
    "APPEND",
    "APPEND_FIRST",
    "APPEND_MANY",
    "HOLD",
    "LOOK",
    "REPEATED",
    "CLOSE",
    "DELETE",
    "PURGE",
    "READ_PAGE",
    "LIST_ALL",
    "LIST_OF_ORGANIZATION",
    "SHOW",
    "SWEEP",
    "OPEN",
    "MOVED",
    "READ",
]


@pytest.fixture(scope="module")
def filled(server_dsn: str, template: str) -> Iterator[psycopg.Connection]:
    """A database with 5,000 streams of 4 events each, one in each table of the ring."""
    with migrated_database(server_dsn, template) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "insert into pending_stream (organization_id, name, last_seq) "
            "select case n % 2 when 0 then 'acme' else 'globex' end, 's' || n, 4 from generate_series(1, 5000) as n"
        )
        connection.execute(
            "insert into pending_stream_event (slot, stream_id, seq, at, type, data) "
            "select seq - 1, id, seq, last_at, 'said', 'a' from pending_stream cross join generate_series(1, 4) as seq"
        )
        connection.execute("vacuum analyze pending_stream, pending_stream_event, pending_stream_ring")
        yield connection


def nodes(connection: psycopg.Connection, statement: str) -> list[dict[str, Any]]:
    """The nodes of a plan as it is for whatever parameters, as the server keeps it for a prepared statement."""
    connection.execute("set plan_cache_mode = force_generic_plan")
    with connection.transaction(force_rollback=True):
        row = connection.execute(f"explain (format json) {statement}", PARAMETERS, prepare=True).fetchone()
    assert row is not None
    waiting, found = [row[0][0]["Plan"]], []
    while waiting:
        node = waiting.pop()
        found.append(node)
        waiting += node.get("Plans", [])
    return found


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_runs_on_the_migrated_tables(filled: psycopg.Connection, name: str) -> None:
    with filled.transaction(force_rollback=True):
        filled.execute(STATEMENTS[name].encode(), PARAMETERS if "%(" in STATEMENTS[name] else None)


@pytest.mark.parametrize("name", BY_INDEX)
def test_rows_are_found_by_an_index(filled: psycopg.Connection, name: str) -> None:
    scans = [
        node for node in nodes(filled, STATEMENTS[name]) if "Relation Name" in node and "Scan" in node["Node Type"]
    ]

    assert {node["Node Type"] for node in scans if node["Relation Name"] != "pending_stream_ring"} <= {
        "Index Scan",
        "Index Only Scan",
    }


def test_an_append_reads_no_events(filled: psycopg.Connection) -> None:
    for name in ("APPEND", "APPEND_FIRST", "APPEND_MANY"):
        read = [node for node in nodes(filled, STATEMENTS[name]) if "Scan" in node["Node Type"]]
        assert not [node for node in read if str(node.get("Relation Name")).startswith("pending_stream_event")]


def test_an_append_changes_its_row_in_place(filled: psycopg.Connection) -> None:
    """No index has a column that changes, and half of each page is free: no index grows by an append."""
    # Within a transaction nothing is handed on to the statistics of the server, also of what was done before it.
    with filled.transaction():
        before = _updates(filled)
        for _ in range(20):
            filled.execute(STATEMENTS["APPEND"].encode(), PARAMETERS)
        updates, in_place = (now - then for now, then in zip(_updates(filled), before, strict=True))

    assert (updates, in_place) == (20, 20)


def _updates(connection: psycopg.Connection) -> tuple[int, int]:
    row = connection.execute(
        "select n_tup_upd, n_tup_hot_upd from pg_stat_xact_user_tables where relname = 'pending_stream'"
    ).fetchone()
    assert row is not None
    return row


def test_a_read_of_many_streams_looks_at_no_more_than_it_may_return(filled: psycopg.Connection) -> None:
    """Of a stream of 4,000 events in the database a page of 20, by its index."""
    filled.execute(
        "insert into pending_stream_event (slot, stream_id, seq, at, type, data) "
        "select 0, 7, seq, now(), 'said', 'a' from generate_series(5, 4000) as seq"
    )
    filled.execute("analyze pending_stream_event")
    parameters = PARAMETERS | {
        "ids": [7, 8],
        "seqs": [0, 0],
        "page": 20,
        "stream_bytes": 1 << 20,
        "call_bytes": 1 << 20,
    }
    row = filled.execute(
        f"explain (analyze, timing off, format json) {STATEMENTS['READ']}".encode(), parameters
    ).fetchone()
    assert row is not None
    waiting, read = [row[0][0]["Plan"]], 0
    while waiting:
        node = waiting.pop()
        waiting += node.get("Plans", [])
        if str(node.get("Relation Name", "")).startswith("pending_stream_event"):
            read += node["Actual Rows"] * node["Actual Loops"]
    assert read <= 2 * (20 + 4 + 1)
