"""pendingctl answer: an operator answers in the place of the person who was asked, and everybody sees that."""

from __future__ import annotations

import getpass
import socket

import psycopg
import pytest

from tests.commands import QUESTION, SCOPE, Cli, complaint, document

BY_ANNA = ("--reason", "U1 is on holiday", "--operator", "anna")


def test_an_operators_answer_is_left_to_the_pods_in_the_operators_name(
    cli: Cli, connection: psycopg.Connection
) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--application", "billing")

    answered = document(cli("answer", "q", "--value", "no", *BY_ANNA, "-o", "json"))

    assert (answered["answered"], answered["answered_by"]) == (True, "operator:anna")
    shown = document(cli("show", "q", "-o", "json"))
    assert (shown["state"], shown["answer"], shown["answered_by"]) == ("undelivered", "no", "operator:anna")
    assert (shown["expected_user_id"], shown["application"]) == ("U1", "billing")
    trail = connection.execute("select user_id, detail from pending_trail where step = 'answered'").fetchall()
    assert trail == [("operator:anna", "U1 is on holiday")]


def test_unless_named_the_operator_is_whoever_runs_the_command(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    answered = cli("answer", "q", "--value", "no", "--reason", "U1 is on holiday")

    me = f"{getpass.getuser()}@{socket.gethostname()}"
    assert answered.stdout == f"answered q as the operator {me}; the answer will be delivered\n"


@pytest.mark.law(1)
def test_a_click_and_an_operator_lose_against_each_other_and_learn_to_whom(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "2")
    cli("answer", "q-1", "--value", "no", *BY_ANNA)
    cli("claim", "q-2", *SCOPE, "--value", "yes")

    assert cli("claim", "q-1", *SCOPE, "--value", "yes").stdout.startswith(
        "refused: already answered by the operator anna with 'no' at "
    )
    refused = cli("answer", "q-2", "--value", "no", *BY_ANNA)
    assert (refused.stdout.startswith("refused: already answered with 'yes' at "), refused.exit_code) == (True, 1)
    assert document(cli("show", "q-2", "-o", "json"))["answered_by"] == "U1"


def test_only_an_option_is_an_answer(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    refused = cli("answer", "q", "--value", "perhaps", *BY_ANNA, "-o", "json")

    assert document(refused) == {
        "answered": False,
        "id": "q",
        "reason": "invalid_answer",
        "options": ["yes", "no"],
    }
    assert refused.exit_code == 1
    assert document(cli("show", "q", "-o", "json"))["state"] == "pending"
    trail = connection.execute("select user_id, detail from pending_trail where step = 'refused'").fetchall()
    assert trail == [("operator:anna", "invalid_answer")]


def test_without_a_reason_nothing_is_answered(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    assert "--reason" in complaint(cli("answer", "q", "--value", "no"), 2)
    for reason in ("", " ", "x" * 1_001):
        assert "needs a reason" in complaint(cli("answer", "q", "--value", "no", "--reason", reason), 2)
    assert document(cli("show", "q", "-o", "json"))["state"] == "pending"


def test_a_question_that_is_unknown_or_not_in_the_given_scope_is_not_answered(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    no = ("--value", "no", *BY_ANNA)

    assert "no question nowhere" in complaint(cli("answer", "nowhere", *no), 1)
    # As much of an id as no other begins with is not enough.
    cli("enqueue", *QUESTION, "--id", "deploy-42")
    assert "no question deploy" in complaint(cli("answer", "deploy", *no), 1)
    for part in (("--org", "globex"), ("--connection", "teams"), ("--user", "U2"), ("--org", "")):
        assert "does not exist in this scope" in complaint(cli("answer", "q", *no, *part), 1)
    assert cli("answer", "q", *no, *SCOPE).exit_code == 0


def test_an_asker_gets_an_operators_answer(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    connection.execute(
        "update pending_interactions set awaited_by = gen_random_uuid(), awaited_until = now() + interval '1 min'"
    )

    assert cli("answer", "q", "--value", "no", *BY_ANNA).exit_code == 0
    due = connection.execute("select delivery_due_at = awaited_until from pending_interactions").fetchone()
    assert due == (True,)
