"""Every statement is good SQL on the migrated tables, and those of the claim path touch one row by its index."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pendingctl.store import (
    card_statements,
    count_statements,
    ending_statements,
    event_statements,
    lease_statements,
    pod_statements,
    post_statements,
    put_statements,
    read_statements,
    remedy_statements,
    statements,
    trail_reads,
    trail_statements,
)
from tests.conftest import migrated_database

PARAMETERS: dict[str, object] = {
    "id": "q42",
    "organization_id": "acme",
    "connection_id": "slack",
    "expected_user_id": "U1",
    "user_id": "U1",
    "reason": None,
    "payload": "{}",
    "answer": "yes",
    "option": None,
    "delivery_key": "key",
    "ask_number": 1,
    "row_version": "1",
    "max_age": timedelta(hours=24),
    "batch_size": 100,
    "cap": 100,
    "limit": 100,
    "state": None,
    "older_than": None,
    "since": None,
    "since_ago": None,
    "until": None,
    "until_ago": None,
    "answered_by": None,
    "conversation_id": None,
    "after_key": None,
    "after_id": None,
    "with_deadline": False,
    "prefix": "q4",
    "most_read": 10_000,
    "card": None,
    "question_ids": ["q42"],
    "ask_numbers": [1],
    "user_ids": ["U1"],
    "steps": ["refused"],
    "details": ["not_yours"],
    "presses": [1],
    "ages": [0.5],
    "most_an_hour": 20,
    "include_undelivered": False,
    "awaited_by": UUID(int=2),
    "awaited_for": None,
    "expires_in": None,
    "by": timedelta(hours=1),
    "due_within": None,
    "default": None,
    "show": True,
    "remind_every": None,
    "reminders_left": None,
    "escalate_after": None,
    "escalate_to": None,
    "attempt": 1,
    "is_sure": True,
    "most_doubts": 2,
    "endings_kept": timedelta(days=7),
    "outcomes": ["answered"],
    "posting": None,
    "application": "",
    "request_key": None,
    "request_digest": None,
    "tokens": [UUID(int=1)],
    "begun": [True],
    "attempts": [1],
    "reopens": True,
    "most_displaced_keys": 10,
    "lock_timeout": "1s",
    "after": "",
    "busy": [],
    "most_tenants": 20,
    "retired": ["1"],
    "retired_numbers": [1],
    "lease": timedelta(seconds=30),
    "lease_token": UUID(int=1),
    "pod": "pod-1",
    "instance": UUID(int=3),
    "version": "0.1.0",
    "connections": 1,
    "claims": 0,
    "cards": 0,
    "answers": 0,
    "kept": timedelta(hours=1),
    "grouping": None,
    "most_entries": 100,
    "every": timedelta(minutes=5),
    "most_attempts": 20,
    "retry_in": timedelta(seconds=1),
    "permanent": False,
    "error": "worker is down",
    "ids": ["new"],
    "notes": '[{"ask_number": 1, "card": "\\"slack-1\\"", "claimed_at": "2026-01-01T00:00:00+00:00", "attempts": 0}]',
    "organization_ids": ["acme"],
    "connection_ids": ["slack"],
    "expected_user_ids": ["U1"],
    "edit_again": True,
    "payloads": ["{}"],
    "stream": "talk",
    "longest": timedelta(minutes=5),
    "asking": "{}",
}
# What statements share.
PARTS = (
    *("LIMITS", "OUTCOME", "ENDED", "MAY_ANSWER", "IS_BEFORE_ITS_DEADLINE", "REMIND_EVERY"),
    *("EVENTS_WAIT", "ENDING_IS_TO_BE_APPENDED"),
    *("STATE", "UNPOSTED", "OF_PART", "AGES", "IS_KEPT"),
    *("WITHDRAWN", "EXTENDED", "MAY_BE_EXTENDED", "EXPIRES_AS_ISO", "REDELIVERED"),
)
STATEMENTS = {
    name: cast("str", statement)
    for module in (
        statements,
        put_statements,
        ending_statements,
        lease_statements,
        event_statements,
        card_statements,
        post_statements,
        pod_statements,
        read_statements,
        count_statements,
        remedy_statements,
        trail_reads,
        trail_statements,
    )
    for name, statement in vars(module).items()
    if name.isupper() and name[0] != "_" and name not in PARTS
}
CLAIM_PATH = [
    "CLAIM",
    "CLAIM_AFTER_WAITING",
    "LOOK",
    "REFRESH",
    "ASK_AGAIN",
    "WITHDRAW",
    "DELETE",
    "DELETE_UNTOUCHED",
    "MARK_DELIVERED",
    "MARK_FAILED",
    "RELEASE",
    "KEEP_WAITING",
    "LEASE_AWAITED",
    "STOP_WAITING",
    "EXPIRE_ONE",
    "EXTEND",
    "MARK_RETIRED",
    "MARK_NOT_POSTED",
    "EVENTS_STILL_WAIT",
    "MARK_APPENDED",
    "GET",
]
REMEDIES = ["REDELIVER_LISTED", "WITHDRAW_LISTED", "EXTEND_LISTED", "REPAIR_CARDS", "LOOK_AT_LISTED"]
DELIVERY_PATH = ["DUE", "LEASE", "LEASE_ENDINGS", "EXPIRE", "LEASE_CARDS", "LEASE_POSTS", "LEASE_EVENTS"]


@pytest.fixture(scope="module")
def filled_template(server_dsn: str, template: str) -> Iterator[str]:
    """The name of a database with 20,000 rows, half of them stale, a trail of 40,000 steps, and statistics.

    Filling it takes five times as long as copying it.
    """
    with migrated_database(server_dsn, template) as dsn:
        _fill(dsn)
        yield str(conninfo_to_dict(dsn)["dbname"])


def _fill(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            """
            insert into pending_interactions
                (id, organization_id, connection_id, expected_user_id, entry_payload, created_at, claimed_at,
                 delivery_due_at, card_due_at, ending_due_at, expires_at, post_due_at)
            select 'q' || n, case n % 2 when 0 then 'acme' else 'globex' end, 'slack', 'U1', '{}',
                   now() - n * interval '8.64 seconds', case n % 3 when 0 then now() end,
                   case n % 30 when 0 then now() - interval '1 second' end, now() + n * interval '1 second',
                   case n % 30 when 15 then now() - interval '1 second' end,
                   case n % 5 when 0 then now() + (n - 10000) * interval '1 minute' end,
                   case when n % 7 = 0 then now() + (n - 100) * interval '1 minute' end
            from generate_series(1, 20000) as n
            """
        )
        connection.execute(
            """
            insert into pending_trail (question_id, organization_id, step, user_id)
            select 'q' || n % 2000, 'acme', 'refused', 'U' || n % 4000 from generate_series(1, 40000) as n
            """
        )
        connection.execute("vacuum analyze pending_interactions, pending_trail")


@pytest.fixture
def filled(server_dsn: str, filled_template: str) -> Iterator[psycopg.Connection]:
    """A connection to a copy of the filled database."""
    with (
        migrated_database(server_dsn, filled_template) as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        yield connection


@pytest.fixture(scope="module")
def migrated(server_dsn: str, template: str) -> Iterator[psycopg.Connection]:
    """A connection to one migrated database, for what is rolled back."""
    with migrated_database(server_dsn, template) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


def plan_nodes(connection: psycopg.Connection, statement: str, **changed: object) -> list[dict[str, Any]]:
    """The nodes of a statement's plan, from the top."""
    row = connection.execute(f"explain (format json) {statement}", {**PARAMETERS, **changed}).fetchone()
    assert row is not None
    waiting = [row[0][0]["Plan"]]
    nodes = []
    while waiting:
        node = waiting.pop(0)
        nodes.append(node)
        waiting += node.get("Plans", [])
    return nodes


def buffers(connection: psycopg.Connection, statement: str, **changed: object) -> int:
    """How many pages a statement reads, in memory or from the disk, also those that it changes."""
    with connection.transaction(force_rollback=True):
        row = connection.execute(
            f"explain (analyze, buffers, format json) {statement}", {**PARAMETERS, **changed}
        ).fetchone()
    assert row is not None
    plan: dict[str, Any] = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


def scans_of_rows(connection: psycopg.Connection, statement: str, **changed: object) -> list[dict[str, Any]]:
    """The nodes of a plan that read rows of the table."""
    return [
        node
        for node in plan_nodes(connection, statement, **changed)
        if node.get("Relation Name") == "pending_interactions" and "Scan" in node["Node Type"]
    ]


@pytest.mark.parametrize("name", STATEMENTS)
def test_every_statement_runs_on_the_migrated_tables(migrated: psycopg.Connection, name: str) -> None:
    with migrated.transaction(force_rollback=True):
        migrated.execute(STATEMENTS[name], PARAMETERS)


@pytest.mark.parametrize("name", CLAIM_PATH)
def test_the_claim_path_finds_its_row_by_an_index(filled: psycopg.Connection, name: str) -> None:
    of_rows = scans_of_rows(filled, STATEMENTS[name])

    assert of_rows
    for scan in of_rows:
        assert scan["Node Type"] in ("Index Scan", "Index Only Scan")
        assert scan["Index Name"] in ("pending_interactions_pkey", "idx_pending_interactions_unclaimed")
        assert re.search(r"id = ('q42'|held\.id)", scan["Index Cond"])


@pytest.mark.parametrize("name", [name for name in CLAIM_PATH if name != "GET"] + ["INSERT"])
def test_the_claim_path_reads_a_handful_of_pages(filled: psycopg.Connection, name: str) -> None:
    """Of the row and of the indexes that lead to it: each index is two pages deep here, and a changed row is entered
    into all of them.
    """
    filled.execute(
        "update pending_interactions set lease_token = %(lease_token)s, awaited_by = %(awaited_by)s, "
        "retired_cards = '[]', ask_number = 1 where id = 'q42'",
        PARAMETERS,
    )
    filled.execute("vacuum analyze pending_interactions")

    assert buffers(filled, STATEMENTS[name], id="new" if name == "INSERT" else "q42") < 60


@pytest.mark.parametrize(("name", "looks"), [("CLAIM", 1), ("CLAIM_AFTER_WAITING", 2)])
@pytest.mark.parametrize("option", [None, 1])
def test_a_claim_looks_at_an_index_once_or_twice(
    filled: psycopg.Connection, name: str, looks: int, option: int | None
) -> None:
    scans = scans_of_rows(filled, STATEMENTS[name], option=option)

    assert [scan["Node Type"] for scan in scans] == ["Index Scan"] * looks
    assert "Sort" not in [node["Node Type"] for node in plan_nodes(filled, STATEMENTS[name], option=option)]
    assert sum(scan["Plan Rows"] for scan in scans) == looks


@pytest.mark.law(2)
@pytest.mark.parametrize("name", ["CLAIM", "CLAIM_AFTER_WAITING"])
def test_the_claim_carries_its_whole_scope(filled: psycopg.Connection, name: str) -> None:
    (scan,) = [scan for scan in scans_of_rows(filled, STATEMENTS[name]) if "q42" in scan["Index Cond"]]
    conditions = scan["Index Cond"] + scan.get("Filter", "")

    for column in ("organization_id", "connection_id", "expected_user_id", "application"):
        assert f"{column} = " in conditions


@pytest.mark.parametrize("name", ["SWEEP", "COUNT_STALE"])
def test_the_sweep_reads_the_oldest_rows_by_their_age(filled: psycopg.Connection, name: str) -> None:
    nodes = plan_nodes(filled, STATEMENTS[name])

    assert "idx_pending_interactions_age" in [node.get("Index Name") for node in nodes]
    assert not [n for n in nodes if n["Node Type"] == "Seq Scan" and n["Relation Name"] == "pending_interactions"]
    assert "Sort" not in [node["Node Type"] for node in nodes]


def test_the_sweep_of_the_trail_reads_its_first_entries(filled: psycopg.Connection) -> None:
    filled.execute(
        "insert into pending_trail (question_id, organization_id, step) "
        "select 'q' || n, 'acme', 'asked' from generate_series(1, 20000) as n"
    )
    filled.execute("vacuum analyze pending_trail")

    assert buffers(filled, trail_statements.SWEEP_TRAIL) < 20


def test_presses_are_noted_by_the_index_of_their_question(filled: psycopg.Connection) -> None:
    """Also of a question that has been asked, answered and failed hundreds of times."""
    filled.execute(
        "insert into pending_trail (question_id, organization_id, step) "
        "select case when n % 50 = 0 then 'q42' else 'q' || n end, 'acme', 'asked' from generate_series(1, 20000) as n"
    )
    filled.execute("vacuum analyze pending_trail")

    nodes = plan_nodes(filled, trail_statements.NOTE_PRESSES)
    assert "idx_pending_trail_question" in [node.get("Index Name") for node in nodes]
    assert buffers(filled, trail_statements.NOTE_PRESSES) < 500


@pytest.mark.parametrize("name", ["NOTE_PRESSES", "TIMES"])
def test_of_a_question_with_very_many_steps_the_last_ones_alone_are_read(filled: psycopg.Connection, name: str) -> None:
    """Others have few steps, which the planner expects of this one as well: an id is asked anew each minute."""
    filled.execute(
        "insert into pending_trail (question_id, ask_number, organization_id, step) "
        "select case when n % 2 = 0 then 'q42' else 'q' || n % 2000 end, 1, 'acme', 'delivered' "
        "from generate_series(1, 40000) as n"
    )
    filled.execute("vacuum analyze pending_trail")
    # As `Statistics.times` reads.
    filled.execute(f"set enable_bitmapscan = {'off' if name == 'TIMES' else 'on'}".encode())

    assert buffers(filled, STATEMENTS[name], application=None, most_entries=10) < 300


@pytest.mark.parametrize("name", ["MARK_POSTED", "MARK_EDITED"])
def test_notes_about_cards_find_each_row_by_its_id(filled: psycopg.Connection, name: str) -> None:
    many = [f"q{number}" for number in range(50)]
    changed = {
        "ids": many,
        "notes": json.dumps([{"ask_number": 1, "card": "1", "claimed_at": None, "attempts": 0}] * 50),
    }
    nodes = plan_nodes(filled, STATEMENTS[name], **changed)

    scans = [n["Index Name"] for n in nodes if "Index" in n["Node Type"] and "Index Name" in n]
    assert scans
    assert set(scans) == {"pending_interactions_pkey"}
    assert "Seq Scan" not in [n["Node Type"] for n in nodes]


@pytest.mark.parametrize("name", REMEDIES)
def test_remedies_find_the_listed_rows_by_their_ids(filled: psycopg.Connection, name: str) -> None:
    nodes = plan_nodes(
        filled,
        STATEMENTS[name],
        ids=[f"q{number}" for number in range(100)],
        ask_numbers=[1] * 100,
        organization_ids=["acme"] * 100,
        connection_ids=["slack"] * 100,
        expected_user_ids=["U1"] * 100,
    )

    by_id = {"pending_interactions_pkey", "idx_pending_interactions_unclaimed"}
    assert by_id & {node.get("Index Name") for node in nodes}
    assert "Seq Scan" not in [node["Node Type"] for node in nodes]


@pytest.mark.parametrize("name", DELIVERY_PATH)
def test_what_is_due_is_found_by_its_index(filled: psycopg.Connection, name: str) -> None:
    """Idle pods ask every second, and a table may hold millions of rows that were delivered long ago."""
    nodes = plan_nodes(filled, STATEMENTS[name])

    assert {
        "idx_pending_interactions_due",
        "idx_pending_interactions_due_cards",
        "idx_pending_interactions_due_endings",
        "idx_pending_interactions_deadline",
        "idx_pending_interactions_due_posts",
        "idx_pending_interactions_due_events",
    } & {node.get("Index Name") for node in nodes}
    assert not [n for n in nodes if n["Node Type"] == "Seq Scan" and n["Relation Name"] == "pending_interactions"]


def test_what_is_to_be_posted_is_found_by_its_own_index_alone(filled: psycopg.Connection) -> None:
    """Each candidate is then locked by its id."""
    scans = scans_of_rows(filled, post_statements.LEASE_POSTS)
    by_time = [scan for scan in scans if scan.get("Index Name") == "idx_pending_interactions_due_posts"]

    assert len(by_time) == 1
    assert all("id" in re.findall(r"\bid\b", scan["Index Cond"]) for scan in scans if scan not in by_time)
    nodes = plan_nodes(filled, lease_statements.DUE)
    looks = [node for node in nodes if node.get("Index Name") == "idx_pending_interactions_due_posts"]
    assert [(look["Node Type"], "connection_id" in look["Index Cond"]) for look in looks] == [("Index Only Scan", True)]


@pytest.mark.parametrize("name", ["DUE", "LEASE_EVENTS"])
def test_what_is_to_be_appended_is_found_by_its_own_index(filled: psycopg.Connection, name: str) -> None:
    filled.execute(
        "update pending_interactions set stream = 'talk', stream_due_at = now() - interval '1 second', "
        "stream_appended = case when id in ('q3', 'q6') then 0 else 2 end where claimed_at is not null"
    )
    filled.execute("vacuum analyze pending_interactions")

    nodes = plan_nodes(filled, STATEMENTS[name])
    assert "idx_pending_interactions_due_events" in [node.get("Index Name") for node in nodes]
    assert not [n for n in nodes if n["Node Type"] == "Seq Scan" and n["Relation Name"] == "pending_interactions"]
    assert buffers(filled, STATEMENTS[name]) < 150


def test_open_questions_with_a_stream_expire_by_their_own_index(filled: psycopg.Connection) -> None:
    scans = scans_of_rows(filled, ending_statements.EXPIRE_STALE_OF_STREAMS)

    assert {scan["Index Name"] for scan in scans} == {
        "idx_pending_interactions_open_streams",
        "pending_interactions_pkey",
    }


def test_a_pod_without_anything_to_post_reads_a_handful_of_pages(filled: psycopg.Connection) -> None:
    filled.execute("update pending_interactions set post_due_at = post_due_at + interval '1 year'")
    filled.execute("vacuum analyze pending_interactions")

    assert buffers(filled, post_statements.LEASE_POSTS) < 10


@pytest.mark.parametrize("state", ["stuck", "undelivered"])
def test_a_list_of_what_is_undelivered_reads_its_index(filled: psycopg.Connection, state: str) -> None:
    nodes = plan_nodes(filled, read_statements.FIND, state=state, organization_id=None, connection_id=None)

    assert "idx_pending_interactions_due" in [node.get("Index Name") for node in nodes]


def test_a_list_of_one_organization_reads_its_index(filled: psycopg.Connection) -> None:
    filled.execute("update pending_interactions set organization_id = 'globex' where id <> 'q42'")
    filled.execute("vacuum analyze pending_interactions")

    nodes = plan_nodes(filled, read_statements.FIND, connection_id=None, expected_user_id=None)

    assert "idx_pending_interactions_organization" in [node.get("Index Name") for node in nodes]


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("FIND", "idx_pending_interactions_created_at"),
        ("FIND_NEWEST", "idx_pending_interactions_created_at"),
        ("FIND_DUE", "idx_pending_interactions_deadline"),
    ],
)
@pytest.mark.parametrize("after", [None, "2100-01-01 00:00+00"])
def test_a_page_of_a_list_is_read_in_the_order_of_its_index(
    filled: psycopg.Connection, name: str, index: str, after: str | None
) -> None:
    unfiltered = dict.fromkeys(("organization_id", "connection_id", "expected_user_id"))
    changed = {**unfiltered, "application": "" if name == "FIND_DUE" else None, "after_key": after, "after_id": "q"}
    nodes = plan_nodes(filled, STATEMENTS[name], **changed)

    assert index in [node.get("Index Name") for node in nodes]
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan"]
    # Of the whole table only those rows are sorted that were asked at the same time.
    assert all(node["Plan Rows"] <= 101 for node in nodes if node["Node Type"] == "Sort")
    if after is None:
        assert buffers(filled, STATEMENTS[name], **changed) < 1_000


@pytest.mark.parametrize(
    "filters",
    [
        {"organization_id": "acme", "since_ago": timedelta(hours=1), "expected_user_id": "U1"},
        {"since_ago": timedelta(hours=1), "state": "expired"},
        {"until_ago": timedelta(hours=47), "error": "500"},
    ],
)
def test_a_list_of_a_time_reads_that_part_of_an_index(filled: psycopg.Connection, filters: dict[str, object]) -> None:
    others = dict.fromkeys({"organization_id", "connection_id", "expected_user_id", "application"} - {*filters})
    nodes = plan_nodes(filled, STATEMENTS["FIND_NEWEST"], **others, **filters)

    conditions = [node.get("Index Cond", "") for node in nodes]
    assert any("created_at" in condition and "now()" in condition for condition in conditions), conditions
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan"]


@pytest.mark.parametrize(
    ("name", "indexes"),
    [
        ("COUNT_OPEN", {"idx_pending_interactions_unclaimed"}),
        ("COUNT_LATE", {"idx_pending_interactions_due_posts", "idx_pending_interactions_deadline"}),
        ("COUNT_WAITING", {"idx_pending_interactions_due", "idx_pending_interactions_due_endings"}),
        ("COUNT_ENDED", {"idx_pending_interactions_age"}),
    ],
)
def test_what_is_counted_exactly_is_read_by_an_index(filled: psycopg.Connection, name: str, indexes: set[str]) -> None:
    filled.execute("set enable_seqscan = off")
    nodes = plan_nodes(filled, STATEMENTS[name], application=None)

    assert indexes <= {node.get("Index Name") for node in nodes}
    assert "Seq Scan" not in [node["Node Type"] for node in nodes]


def test_the_trail_is_read_from_its_end(filled: psycopg.Connection) -> None:
    filled.execute(
        """
        insert into pending_trail (question_id, ask_number, organization_id, step)
        select 'q' || n / 3, 1, 'acme', (array['asked', 'answered', 'delivered'])[n % 3 + 1]
        from generate_series(0, 29999) as n
        """
    )
    filled.execute("vacuum analyze pending_trail")
    nodes = plan_nodes(filled, count_statements.TIMES, application=None)

    assert {"pending_trail_pkey", "idx_pending_trail_question"} <= {node.get("Index Name") for node in nodes}
    # Of a hundred entries, with what came before each.
    assert buffers(filled, count_statements.TIMES, application=None) < 600


def test_deleting_an_organization_does_not_scan_the_table(filled: psycopg.Connection) -> None:
    """The cascade runs this statement for each organization that goes."""
    filled.execute("insert into organization (id) values ('initech')")

    nodes = plan_nodes(filled, "delete from pending_interactions where organization_id = 'initech'")

    assert "Seq Scan" not in [node["Node Type"] for node in nodes]


@pytest.mark.parametrize(
    ("name", "index"),
    [
        ("FIRST_OF_QUESTION", "idx_pending_trail_question"),
        ("LAST_OF_QUESTION", "idx_pending_trail_question"),
        ("COUNT_OF_QUESTION", "idx_pending_trail_question"),
        ("IDS_WITH_PREFIX", "idx_pending_trail_question"),
        ("OF_USER", "idx_pending_trail_user"),
        ("RECORD", "pending_trail_pkey"),
    ],
)
def test_the_trail_is_read_by_an_index(filled: psycopg.Connection, name: str, index: str) -> None:
    changed: dict[str, object] = {"since": timedelta(hours=1), "prefix": "q42", "limit": 11}
    nodes = plan_nodes(filled, STATEMENTS[name], **changed)

    assert index in [node.get("Index Name") for node in nodes]
    assert not [node for node in nodes if node["Node Type"] == "Seq Scan" and node["Relation Name"] == "pending_trail"]
    assert buffers(filled, STATEMENTS[name], **changed) < 500


@pytest.mark.parametrize("narrowed", [{"application": None, "organization_id": None}, {}])
def test_what_needs_a_look_is_found_by_indexes(filled: psycopg.Connection, narrowed: dict[str, object]) -> None:
    # Cards of open questions are due when these go stale.
    filled.execute("update pending_interactions set card_due_at = card_due_at + interval '20 hours'")
    filled.execute("vacuum full analyze pending_interactions")

    nodes = plan_nodes(filled, STATEMENTS["ATTENTION"], **narrowed)

    assert not [node for node in nodes if node["Node Type"] == "Seq Scan"]
    assert {
        "idx_pending_interactions_due",
        "idx_pending_interactions_due_cards",
        "idx_pending_interactions_due_endings",
        "idx_pending_interactions_due_posts",
        "idx_pending_interactions_deadline",
    } <= {node.get("Index Name") for node in nodes}
