"""What people read of a full database is read by an index: lists, counts and the trail."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from pendingctl.store import count_statements, read_statements
from tests.store.plans import STATEMENTS, buffers, plan_nodes


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


def test_leases_are_found_by_the_ids_of_their_questions_and_their_pods_at_the_end_of_the_trail(
    filled: psycopg.Connection,
) -> None:
    filled.execute(
        """
        insert into pending_trail (question_id, ask_number, organization_id, step)
        select 'q60', 1, 'acme', case n when 10000 then 'leased' else 'failed' end from generate_series(1, 10000) as n
        """
    )
    filled.execute("update pending_interactions set ask_number = 1, lease_token = gen_random_uuid() where id = 'q60'")
    filled.execute("vacuum analyze pending_trail, pending_interactions")
    nodes = plan_nodes(filled, read_statements.LEASES, ids=["q42", "q60"])

    indexes = {"pending_interactions_pkey", "idx_pending_trail_question"}
    assert {node["Index Name"] for node in nodes if "Index Name" in node} == indexes
    assert "Seq Scan" not in [node["Node Type"] for node in nodes]
    assert buffers(filled, read_statements.LEASES, ids=["q42", "q60"]) < 30


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
