"""why: what has happened to a question or to a user's presses, the likely cause, and what mends it."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta

import psycopg
import pytest

from pendingctl.cli import why
from tests.commands import QUESTION, SCOPE, Cli, complaint, document
from tests.trails import write

SHOWN = (*QUESTION, "--conversation", "C7", "--show")
PRESS: dict[str, object] = {"user_id": "U2", "connection_id": "slack", "application": ""}


@pytest.fixture
def question(cli: Cli, connection: psycopg.Connection) -> int:
    """The number of an asking of q42 that was posted, and that the wrong user has pressed three times."""
    cli("enqueue", *SHOWN, "--id", "q42")
    row = connection.execute(
        "update pending_interactions set posted_at = now(), card = '\"1\"', post_due_at = null returning ask_number"
    ).fetchone()
    assert row is not None
    number = int(row[0])
    connection.execute("delete from pending_trail")
    asks = {"user_id": "U1", "connection_id": "slack", "application": "", "request_key": "event-1"}
    refusal: dict[str, object] = {"detail": "not_yours", "presses": 3, "pod": "bot-2", **PRESS}
    # At one moment by the clock.
    with connection.transaction():
        write(connection, "q42", "asked", seconds_ago=10_900, ask_number=number, detail="created", **asks)
        write(connection, "q42", "posted", seconds_ago=10_899, ask_number=number)
        write(connection, "q42", "refused", seconds_ago=7_200, ask_number=number, **refusal)
    return number


def test_time_line_and_cause_are_shown(cli: Cli, question: int) -> None:
    result = cli("why", "q42")

    assert (result.exit_code, result.stderr) == (0, "")
    title, *lines = result.stdout.splitlines()
    # After midnight the time line has a second day.
    lines = [title, *lines[:4], *(line for line in lines[4:] if not line.endswith("(UTC)"))]
    assert lines[0].startswith("q42   pending   asked ")
    assert lines[1] == "Deploy?"
    assert lines[3] == f"asking {question}"
    steps = [line.split() for line in lines[5:8]]
    assert [words[1] for words in steps] == ["asked", "+1", "+1"]
    assert lines[5].endswith("asks U1, over acme/slack, request event-1, pod bot-1")
    assert lines[7].endswith("refused      U2, 3 times, not yours, over acme/slack, pod bot-2")
    assert lines[9] == "warn  it asks U1, and somebody else pressed: U2 pressed 3 times, the last time 2 h ago"
    assert lines[-1] == "      → pendingctl withdraw q42 --org acme --connection slack --user U1"


@pytest.mark.usefixtures("question")
def test_on_a_terminal_nothing_is_wider_than_it_is_and_nothing_is_cut(
    cli: Cli, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(connection, "q42", "not_posted", seconds_ago=5, attempt=3, detail="no such channel " * 20)
    monkeypatch.setattr(why, "_width", lambda: 80)

    lines = cli("why", "q42").stdout.splitlines()

    assert max(len(line) for line in lines) <= 80
    assert " ".join(lines).count("channel") == 20


def test_json_has_the_time_line_and_the_verdict(cli: Cli, question: int) -> None:
    found = document(cli("why", "q42", "-o", "json"))

    assert (found["id"], found["verdict"], found["left_out"]) == ("q42", "warn", 0)
    assert found["finding"].startswith("it asks U1, and somebody else pressed")
    assert found["remedies"][1] == "pendingctl withdraw q42 --org acme --connection slack --user U1"
    assert found["row"]["state"] == "pending"
    assert [step["step"] for step in found["timeline"]] == ["asked", "posted", "refused"]
    assert found["timeline"][2]["presses"] == 3
    assert {step["ask_number"] for step in found["timeline"]} == {question}


def test_json_has_the_pod_that_delivers_and_until_when_no_other_does(
    cli: Cli, connection: psycopg.Connection, question: int
) -> None:
    assert document(cli("why", "q42", "-o", "json"))["lease"] is None
    cli("claim", "q42", *SCOPE, "--value", "yes")
    connection.execute(
        "update pending_interactions set lease_token = gen_random_uuid(), delivery_due_at = now() + interval '25 s'"
    )
    write(connection, "q42", "leased", seconds_ago=1, ask_number=question, attempt=1, pod="bot-2")

    found = document(cli("why", "q42", "-o", "json"))

    lease = found["lease"]
    assert 0 < lease.pop("seconds_left") <= 25
    (since,) = [step["at"] for step in found["timeline"] if step["step"] == "leased"]
    until = found["row"]["delivery_due_at"]
    assert lease == {"what": "delivery", "pod": "bot-2", "since": since, "until": until}
    assert re.search(r"pod bot-2 delivers that, for \d+ s now", found["finding"])


@pytest.mark.usefixtures("question")
def test_a_step_is_a_line_of_json_and_of_csv(cli: Cli) -> None:
    as_json = [json.loads(line) for line in cli("why", "q42", "-o", "jsonl").stdout.splitlines()]
    as_csv = list(csv.DictReader(io.StringIO(cli("why", "q42", "-o", "csv").stdout)))

    assert [step["step"] for step in as_json] == [step["step"] for step in as_csv] == ["asked", "posted", "refused"]


def test_what_was_swept_is_explained(cli: Cli, connection: psycopg.Connection, question: int) -> None:
    connection.execute("delete from pending_interactions")
    write(connection, "q42", "swept", seconds_ago=3_600, ask_number=question, detail="open", pod="cron@db1")

    result = cli("why", "q42")

    assert result.exit_code == 0
    assert result.stdout.startswith("q42   no longer there\n")
    assert "it was swept 1 h ago by cron@db1: nobody had answered for 2 h 1 min" in result.stdout


def test_the_beginning_of_an_id_is_enough_also_of_what_was_swept(cli: Cli, connection: psycopg.Connection) -> None:
    """The rows and the trail together say whether another id begins so."""
    cli("enqueue", *QUESTION, "--id", "deploy-42")
    connection.execute("delete from pending_trail")
    for id in ("deploy-5", "deploy-51", "deploy-5", "other"):
        write(connection, id, "swept", seconds_ago=5, detail="open")

    assert cli("why", "deploy-4").stdout.startswith("deploy-42   pending")
    assert cli("why", "deploy-5").stdout.startswith("deploy-5   no longer there")
    as_json = cli("why", "oth", "-o", "json")
    assert json.loads(as_json.stdout)["id"] == "other"
    assert as_json.stderr == "note: 'oth' is the beginning of this id alone: other\n"
    several = complaint(cli("why", "deploy"), 1)
    assert "several questions begin with 'deploy'; write more of the id: deploy-42, deploy-5, deploy-51\n" in several


@pytest.mark.usefixtures("question")
def test_an_unknown_question_is_exit_code_1_with_what_to_check(cli: Cli) -> None:
    result = cli("why", "x")

    assert result.exit_code == 1
    assert result.stdout.startswith("x   not known here\n")
    assert "unknown  nothing is known of 'x'" in result.stdout
    assert "pendingctl doctor" in result.stdout


def test_a_question_of_which_only_presses_are_known_is_not_called_gone(
    cli: Cli, connection: psycopg.Connection
) -> None:
    write(connection, "x", "refused", seconds_ago=5, detail="unknown_or_expired", **PRESS)

    assert cli("why", "x").stdout.startswith("x   not known here\n")


def test_a_row_of_which_the_trail_has_nothing_is_explained_by_itself(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "old")
    cli("claim", "old", *SCOPE, "--value", "yes", "--take")
    connection.execute("delete from pending_trail")

    result = cli("why", "old")

    assert result.exit_code == 0
    assert "of which the trail has nothing; its row says:" in result.stdout
    # After midnight the time line has a second day.
    lines = result.stdout.splitlines()[5:]
    steps = [" ".join(line.split()[1:]) for line in lines if not line.endswith("(UTC)")][:3]
    assert steps[0] == "asked asks U1"
    assert {"answered", "delivered"} <= {word for step in steps[1:] for word in step.split()}
    assert "ok  nothing is wrong: it was answered by U1" in result.stdout


def test_of_very_many_steps_the_first_and_the_last_are_shown(cli: Cli, connection: psycopg.Connection) -> None:
    connection.execute(
        "insert into pending_trail (question_id, organization_id, step, attempt, ask_number) "
        "select 'q42', 'acme', 'leased', n, 1 from generate_series(1, 5000) as n"
    )

    found = document(cli("why", "q42", "-o", "json"))

    attempts = [step["attempt"] for step in found["timeline"]]
    assert attempts == [*range(1, 101), *range(4901, 5001)]
    assert found["left_out"] == 4800
    assert "  … 4,800 steps left out …\n" in cli("why", "q42").stdout


def test_the_presses_of_a_user_are_listed_also_the_refused_ones(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q42")
    write(connection, "q42", "refused", seconds_ago=7200, detail="superseded", **PRESS)
    write(connection, "other", "answered", seconds_ago=1800, **{**PRESS, "organization_id": "globex"})
    write(connection, "q42", "refused", seconds_ago=10, detail="not_yours", presses=3, pod="bot-2", **PRESS)

    result = cli("why", "--user", "U2")

    assert result.exit_code == 0
    steps = [line for line in result.stdout.splitlines() if "pod bot" in line]
    assert [line.split()[1] for line in steps] == ["answered", "refused"]
    assert "q42, asks U1, 3 times, not yours, over acme/slack, pod bot-2" in steps[1]
    assert "U2 pressed 3 times on q42, which asks U1; the last time" in result.stdout
    assert "superseded" in cli("why", "--user", "U2", "--since", "3h").stdout
    of_acme = document(cli("why", "--user", "U2", "--org", "acme", "-o", "json"))
    assert [press["question_id"] for press in of_acme["presses"]] == ["q42"]
    assert (of_acme["verdict"], of_acme["open"], of_acme["truncated"]) == ("warn", [], False)


@pytest.mark.usefixtures("question")
def test_rows_and_trail_are_all_that_a_question_is_explained_by(cli: Cli, connection: psycopg.Connection) -> None:
    connection.execute("drop table sweep_cycle")

    assert cli("why", "q42").exit_code == 0
    assert cli("why", "--user", "U2", "--since", "3h").exit_code == 0


@pytest.mark.usefixtures("question")
def test_a_user_whose_press_never_arrived_learns_where_to_look(cli: Cli) -> None:
    """The question is there, and no press is."""
    result = cli("why", "--user", "U1", "--since", "30m")

    assert result.exit_code == 0
    assert "open, and asking U1:\n  q42   pending   asked" in result.stdout
    assert "no press of U1 has arrived for 30 min: the platform did not deliver it" in result.stdout
    assert "→ pendingctl why q42" in result.stdout
    nobody = cli("why", "--user", "U7")
    assert (nobody.exit_code, "no press of U7 has arrived" in nobody.stdout) == (1, True)


@pytest.mark.usefixtures("question")
def test_the_presses_of_an_unknown_organization_are_no_silence(cli: Cli) -> None:
    assert "there is no organization 'acm'" in complaint(cli("why", "--user", "U2", "--org", "acm"), 1)


@pytest.mark.parametrize("arguments", [(), ("q", "--user", "U1"), ("q", "--since", "1h"), ("q", "--org", "acme")])
def test_a_question_and_a_user_are_not_explained_at_once(cli: Cli, arguments: tuple[str, ...]) -> None:
    assert "--user ID" in complaint(cli("why", *arguments), 2)


def test_what_is_stored_steers_no_terminal(cli: Cli, connection: psycopg.Connection) -> None:
    write(
        connection,
        "q42",
        "failed",
        seconds_ago=timedelta(hours=1).total_seconds(),
        detail="\x1b[2J\nok  nothing is wrong",
    )

    lines = cli("why", "q42").stdout

    assert "\x1b" not in lines
    assert not any(line.startswith("ok  nothing") for line in lines.splitlines())
