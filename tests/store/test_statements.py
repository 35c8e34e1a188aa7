"""Every statement is good SQL on the migrated tables, and what pods run touches few rows, found by an index."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import psycopg
import pytest

from pendingctl.store import ending_statements, lease_statements, post_statements, trail_statements
from tests.conftest import migrated_database
from tests.store.plans import PARAMETERS, STATEMENTS, buffers, plan_nodes, scans_of_rows

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
def migrated(server_dsn: str, template: str) -> Iterator[psycopg.Connection]:
    """A connection to one migrated database, for what is rolled back."""
    with migrated_database(server_dsn, template) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        yield connection


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


def test_deleting_an_organization_does_not_scan_the_table(filled: psycopg.Connection) -> None:
    """The cascade runs this statement for each organization that goes."""
    filled.execute("insert into organization (id) values ('initech')")

    nodes = plan_nodes(filled, "delete from pending_interactions where organization_id = 'initech'")

    assert "Seq Scan" not in [node["Node Type"] for node in nodes]
