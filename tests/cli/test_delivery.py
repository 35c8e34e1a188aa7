"""The commands around answers: withdraw, redeliver, and the sweep that repeats for ever."""

from __future__ import annotations

import json
import signal
from select import select

import psycopg
import pytest

from tests.commands import QUESTION, SCOPE, Cli, complaint, count, document, make_older, running

UNDELIVERED = (
    "update pending_interactions set claimed_at = now(), answer = 'yes', answered_by = 'U1', pod = 'pod-7', "
    "delivery_due_at = %s, delivery_attempts = 20, delivery_error = 'the worker replied 400 Bad Request' where id = %s"
)


def answer(connection: psycopg.Connection, id: str, due: str) -> None:
    """Leave the answer as a pod does that died after the claim, or (due at infinity) whose worker refused it."""
    connection.execute(UNDELIVERED, (due, id))


# withdraw


def test_a_withdrawn_question_refuses_clicks(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    where = SCOPE

    assert "--yes" in complaint(cli("withdraw", "q", *where), 2)
    assert document(cli("withdraw", "q", *where, "--dry-run", "-o", "json"))["would_withdraw"] is True
    assert cli("withdraw", "q", "--org", "globex", *SCOPE[2:], "--yes").exit_code == 1
    assert document(cli("withdraw", "q", *where, "--yes", "-o", "json"))["outcome"] == "withdrawn"
    assert cli("withdraw", "q", *where, "--yes").exit_code == 0
    refused = cli("claim", "q", *SCOPE, "--value", "yes")
    assert (refused.stdout, refused.exit_code) == ("refused: the question was withdrawn\n", 1)


def test_withdraw_of_an_answered_question_is_refused(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    cli("claim", "q", *SCOPE, "--value", "yes")

    withdrawn = cli("withdraw", "q", *SCOPE, "--yes")

    assert (withdrawn.stdout, withdrawn.exit_code) == ("refused: q is already answered\n", 1)


@pytest.mark.parametrize(
    ("before", "organization", "text"),
    [
        ((), "acme", "would withdraw q"),
        ((), "globex", "q does not exist in this scope"),
        (("claim", "q", *SCOPE, "--value", "yes"), "acme", "refused: q is already answered"),
        (("withdraw", "q", *SCOPE, "--yes"), "acme", "q was already withdrawn"),
    ],
    ids=["pending", "foreign", "answered", "withdrawn"],
)
def test_a_dry_run_of_withdraw_reports_what_would_become_of_the_question(
    cli: Cli, before: tuple[str, ...], organization: str, text: str
) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    if before:
        assert cli(*before).exit_code == 0
    state = document(cli("show", "q", "-o", "json"))["state"]

    assert cli("withdraw", "q", *SCOPE, "--org", organization, "--dry-run").stdout == f"{text}\n"
    assert document(cli("show", "q", "-o", "json"))["state"] == state


def test_a_value_that_is_no_option_is_refused(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    refused = cli("claim", "q", *SCOPE, "--value", "perhaps", "-o", "json")

    assert (document(refused)["reason"], refused.exit_code) == ("invalid_answer", 1)
    assert document(cli("show", "q", "-o", "json"))["state"] == "pending"


# redeliver, and what the person on call sees of it


def test_stuck_and_undelivered_answers_are_seen_and_redelivered(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "3")
    answer(connection, "q-1", "infinity")
    answer(connection, "q-2", "2026-01-01")

    shown = document(cli("show", "q-1", "-o", "json"))
    assert (shown["state"], shown["answer"], shown["answered_by"], shown["pod"]) == ("stuck", "yes", "U1", "pod-7")
    assert (shown["delivery_attempts"], shown["delivery_error"]) == (20, "the worker replied 400 Bad Request")
    stats = document(cli("stats", "-o", "json"))
    assert (stats["stuck"], stats["undelivered"], stats["pending"]) == (1, 1, 1)
    assert stats["oldest_undelivered_seconds"] >= 0
    assert [row["id"] for row in document(cli("list", "--state", "stuck", "-o", "json"))["rows"]] == ["q-1"]

    assert "--yes" in complaint(cli("redeliver", "--all-stuck"), 2)
    complaint(cli("redeliver"), 2)
    complaint(cli("redeliver", "q-1", "--all-stuck"), 2)
    assert "q-3" in complaint(cli("redeliver", "q-1", "q-3", "--yes"), 1)
    assert document(cli("redeliver", "q-1", "--dry-run", "-o", "json"))["would_redeliver"] == ["q-1"]
    foreseen = document(cli("redeliver", "--all-stuck", "--dry-run", "-o", "json"))
    assert [row["id"] for row in foreseen["rows"]] == ["q-1"]
    assert document(cli("show", "q-1", "-o", "json"))["state"] == "stuck"
    assert cli("redeliver", "--all-stuck", "--yes").stdout == "1 question will be delivered again\n"
    assert document(cli("show", "q-1", "-o", "json"))["state"] == "undelivered"
    assert cli("redeliver", "q-2", "--yes").stdout == "q-2\nthe pods will deliver 1 answer again\n"


@pytest.mark.law(6)
def test_an_undelivered_answer_is_deleted_and_swept_only_on_request(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "2")
    answer(connection, "q-1", "infinity")
    answer(connection, "q-2", "infinity")
    make_older(connection, 30)

    assert "not delivered yet" in complaint(cli("delete", "q-1", *SCOPE, "--yes"), 1)
    assert (
        cli("sweep").stdout
        == "deleted 0 rows in 0 batches; 0 remain; 2 stale answers are not delivered yet (pendingctl stats)\n"
    )
    assert count(connection) == 2
    assert cli("delete", "q-1", *SCOPE, "--yes", "--include-undelivered").exit_code == 0
    assert "--yes" in complaint(cli("sweep", "--include-undelivered"), 2)
    assert document(cli("sweep", "--include-undelivered", "--yes", "-o", "json"))["deleted"] == 1


def test_cards_that_are_out_of_date_can_be_listed(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "3")
    connection.execute(
        "update pending_interactions set posted_at = now(), card = '1', card_due_at = now() where id = 'q-1'"
    )
    connection.execute(
        "update pending_interactions set posted_at = now(), card = '1', claimed_at = now(), delivered_at = now(), "
        "answer = 'yes', post_error = 'message_not_found' where id = 'q-3'"
    )

    def ids(card: str) -> list[str]:
        return [row["id"] for row in document(cli("list", "--card", card, "-o", "json"))["rows"]]

    assert (ids("behind"), ids("gone"), ids("never-posted")) == (["q-1"], ["q-3"], ["q-2"])
    assert "message_not_found" in cli("list", "--card", "gone").stdout
    stays = "its card stays as it is, and is not edited again: message_not_found"
    assert stays in cli("show", "q-3").stdout
    assert stays in cli("why", "q-3").stdout


# sweep --every


# Whoever has looked whether a cycle may begin says so.
LOOKED = """
    alter table sweep_cycle rename to cycle;
    create function looked() returns boolean language plpgsql as $$
    begin
        perform pg_notify('looked', pg_backend_pid()::text);
        return true;
    end $$;
    create view sweep_cycle as select * from cycle where looked();
    listen looked;
"""


@pytest.mark.law(8)
def test_of_many_sweepers_one_sweeps_in_each_cycle(cli: Cli, dsn: str, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "10")
    make_older(connection, 30)
    connection.execute(LOOKED)
    every = ("sweep", "--every", "1h", "--limit", "4", "-o", "jsonl")
    with running(dsn, *every) as one, running(dsn, *every) as other, running(dsn, *every) as third:
        sweepers = (one, other, third)
        looked = set[str]()
        for notification in connection.notifies(timeout=60):
            looked.add(notification.payload)
            if len(looked) == len(sweepers):
                break
        else:
            raise TimeoutError(f"{len(looked)} of {len(sweepers)} sweepers have looked")
        # Whoever sweeps says so when it is done.
        assert select([each.stdout for each in sweepers if each.stdout is not None], [], [], 60)[0]
        deleted = []
        for process in sweepers:
            process.send_signal(signal.SIGTERM)
            out, _ = process.communicate(timeout=60)
            assert process.returncode == 143
            deleted += [json.loads(line)["deleted"] for line in out.splitlines()]

    assert (deleted, count(connection)) == ([4], 6)


def test_cycles_follow_each_other(cli: Cli, dsn: str, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "3")
    make_older(connection, 30)
    with running(dsn, "sweep", "--every", "1s", "--limit", "1", "-o", "jsonl") as sweeping:
        assert sweeping.stdout is not None
        remaining = [json.loads(sweeping.stdout.readline())["remaining"] for _ in range(3)]
        sweeping.send_signal(signal.SIGINT)
        sweeping.wait(60)

    assert (remaining, sweeping.returncode) == ([2, 1, 0], 130)


def test_a_sweeper_without_a_database_fails_at_once(cli: Cli) -> None:
    complaint(cli("sweep", "--every", "5m", "--dsn", "host=/nowhere"), 3)
    complaint(cli("sweep", "--every", "5m", "-o", "json"), 2)
    complaint(cli("sweep", "--every", "5m", "--dry-run"), 2)
