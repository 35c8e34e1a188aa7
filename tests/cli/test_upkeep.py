"""migrate and sweep."""

from __future__ import annotations

import psycopg
import pytest

from tests.commands import QUESTION, SCOPE, Cli, complaint, count, document, make_older, run
from tests.schema.migrated import OURS

# migrate


def test_migrate_applies_reports_and_rolls_back(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_dsn)
    ids = OURS

    check = run("migrate", "--check", "-o", "json")
    assert (document(check), check.exit_code) == ({"applied": [], "pending": ids}, 1)
    dry = run("migrate", "--dry-run")
    assert "create table pending_interactions" in dry.stdout
    assert run("migrate", "--dry-run").stdout == dry.stdout
    assert document(run("migrate", "--to", ids[1], "-o", "json")) == {"applied": ids[:2], "pending": ids[2:]}
    assert run("migrate").stdout == "".join(f"applied {id}\n" for id in ids[2:])
    assert run("migrate").stdout == "nothing is pending\n"
    assert run("migrate", "--check").exit_code == 0

    assert "--yes" in complaint(run("migrate", "--rollback", "1"), 2)
    would = document(run("migrate", "--rollback", str(len(ids) - 1), "--dry-run", "-o", "json"))
    assert would["would_roll_back"] == ids[:0:-1]
    assert document(run("migrate", "--rollback", str(len(ids) - 1), "--yes", "-o", "json")) == {
        "applied": [],
        "rolled_back": ids[:0:-1],
        "pending": ids[1:],
    }
    assert run("migrate", "--check").exit_code == 1


@pytest.mark.parametrize(
    "options", [("--rollback", "1", "--check"), ("--rollback", "1", "--to", "x"), ("--check", "--dry-run")]
)
def test_options_of_migrate_that_exclude_each_other(cli: Cli, options: tuple[str, ...]) -> None:
    complaint(cli("migrate", *options), 2)


# sweep


@pytest.mark.law(8)
def test_sweep_is_bounded_and_reports_what_remains(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "25")
    make_older(connection, 25)
    cli("enqueue", *QUESTION, "--id", "fresh")

    assert cli("sweep", "--limit", "10", "--dry-run").stdout.startswith(
        "would delete 10 rows older than 1 d, and up to 100 entries of the trail older than 30 d"
    )
    dry = document(cli("sweep", "--limit", "10", "--dry-run", "-o", "json"))
    assert (dry["deleted"], dry["would_delete"], dry["remaining"], count(connection)) == (0, 10, 25, 26)
    first = document(cli("sweep", "--limit", "10", "--batch-size", "4", "-o", "json"))
    assert first == {
        "deleted": 10,
        "batches": 3,
        "trail_deleted": 0,
        "streams_deleted": 0,
        "ring": "not_due",
        "limits_deleted": 0,
        "remaining": 15,
        "remaining_capped": False,
        "undelivered": 0,
    }
    named = document(cli("sweep", "--limit", "1", "--ids", "-o", "json"))
    assert named["ids"][0].startswith("q-")
    assert "deleted 14 rows" in cli("sweep", "--all").stdout
    assert document(cli("sweep", "--all", "-o", "json"))["deleted"] == 0
    assert count(connection) == 1


def test_sweep_caps_what_it_counts(cli: Cli, connection: psycopg.Connection) -> None:
    connection.execute(
        "insert into pending_interactions "
        "(id, organization_id, connection_id, expected_user_id, entry_payload, created_at) "
        "select n::text, 'acme', 'c', 'u', '{}', now() - interval '2 days' from generate_series(1, 10005) as n"
    )

    capped = document(cli("sweep", "--limit", "1", "-o", "json"))
    exact = document(cli("sweep", "--limit", "4", "-o", "json"))

    assert (capped["remaining"], capped["remaining_capped"]) == (10_000, True)
    assert (exact["remaining"], exact["remaining_capped"]) == (10_000, False)
    assert document(cli("sweep", "--all", "--dry-run", "-o", "json"))["would_delete"] == 10_000


@pytest.mark.parametrize(
    "options",
    [
        ("--limit", "0"),
        ("--limit", "-5"),
        ("--batch-size", "0"),
        ("--max-age", "1w"),
        ("--max-age", "0s"),
        ("--max-age", "-1h"),
        ("--max-age", "99999999999d"),
        ("-o", "xml"),
    ],
)
def test_an_impossible_value_is_a_usage_error(cli: Cli, options: tuple[str, ...]) -> None:
    assert "sweep --help" in complaint(cli("sweep", *options), 2)


@pytest.mark.law(8)
def test_an_ended_questions_age_counts_from_its_end(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    make_older(connection, 30)
    cli("claim", "q", *SCOPE, "--value", "yes", "--take")

    assert document(cli("sweep", "-o", "json"))["deleted"] == 0
    make_older(connection, 30)
    assert document(cli("sweep", "-o", "json"))["deleted"] == 1


def test_a_quiet_sweep_prints_nothing_when_all_went_well(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "2")
    make_older(connection, 30)

    result = cli("sweep", "--quiet")

    assert (result.output, result.exit_code, count(connection)) == ("", 0, 0)


def test_a_quiet_sweep_reports_answers_that_nobody_took_and_failures(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    cli("claim", "q", *SCOPE, "--value", "yes")
    make_older(connection, 30)

    assert "1 stale answer is not delivered yet" in cli("sweep", "--quiet").stdout
    complaint(cli("sweep", "--quiet", "--dsn", "host=/nowhere"), 3)
    complaint(cli("sweep", "--quiet", "--ids"), 2)
    complaint(cli("sweep", "--quiet", "--dry-run"), 2)


def test_sweep_takes_either_all_or_a_limit(cli: Cli) -> None:
    complaint(cli("sweep", "--all", "--limit", "5"), 2)
