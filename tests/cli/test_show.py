"""show: state and id first, the card as it stands, what is waited for; the beginning of an id is enough."""

from __future__ import annotations

import psycopg
import pytest

from tests.commands import QUESTION, SCOPE, Cli, complaint, document

SHOWN = (*QUESTION, "--conversation", "C7", "--show", "--id", "deploy-42")
BUTTONS = "[ yes ]  [ no ]"
ANSWERED = "Answered by U1: yes (20"
ERROR = "the worker answered 500"


def shown(cli: Cli, id: str = "deploy-42") -> list[str]:
    result = cli("show", id)
    assert (result.exit_code, result.stderr) == (0, "")
    lines: list[str] = result.stdout.splitlines()
    return lines


def post(connection: psycopg.Connection) -> None:
    connection.execute("update pending_interactions set posted_at = now(), card = '\"1\"', post_due_at = null")


def test_id_and_state_come_first_and_then_the_card(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *SHOWN, "--expires-in", "2h")
    post(connection)

    first, deadline, frame, text, _, buttons, *rest = shown(cli)

    assert first.startswith("deploy-42   pending   asked ")
    assert deadline == "its deadline is in 1 h 59 min"
    assert frame.startswith("╭─ message 1 on slack C7 ─")
    assert text.startswith("│ Deploy?")
    assert BUTTONS in buttons
    groups = [line for line in rest if line and line[0] not in " ╰"]
    assert groups == ["question", "times", "delivery", "card", "further"]
    assert "  conversation_id    C7" in rest


@pytest.mark.parametrize(
    ("changed", "sentences"),
    [
        ("post_attempts = 0", ["its card is to be posted now; 0 attempts so far"]),
        (
            "post_attempts = 2, post_due_at = now() + '90 min', post_error = 'no such channel'",
            ["its card is to be posted in 1 h 29 min; 2 attempts so far", "  last error: no such channel"],
        ),
        (
            "post_attempts = 20, post_due_at = 'infinity', post_error = 'no such channel'",
            [
                "its card could not be posted: 20 attempts so far, and no other before:",
                "  pendingctl repair-cards deploy-42",
                "  last error: no such channel",
            ],
        ),
        ("post_due_at = null", ["whoever stored it shows it; no card of it is known"]),
    ],
)
def test_a_card_that_is_not_there_has_no_buttons(
    cli: Cli, connection: psycopg.Connection, changed: str, sentences: list[str]
) -> None:
    cli("enqueue", *SHOWN)
    connection.execute(f"update pending_interactions set {changed}".encode())

    lines = shown(cli)

    assert lines[1:3] == ["Deploy?", "options: yes, no"]
    assert lines[3 : 3 + len(sentences)] == sentences
    assert not [line for line in lines if "╭" in line or "[ yes ]" in line]


def test_an_answered_card_has_no_buttons_once_it_is_edited(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *SHOWN)
    post(connection)
    cli("claim", "deploy-42", *SCOPE, "--value", "yes", "--take")
    connection.execute("update pending_interactions set card_due_at = now() + '90 min', card_attempts = 3")

    before = shown(cli)
    connection.execute("update pending_interactions set card_due_at = null")
    after = shown(cli)

    assert before[1].startswith(ANSWERED)
    assert before[2].startswith("its card is to be edited in 1 h 29 min; 3 attempts so far; it shows what was so")
    assert any(BUTTONS in line for line in before)
    assert any(ANSWERED in line and line.startswith("│") for line in after)
    assert not any("[ yes ]" in line for line in after)


@pytest.mark.parametrize(
    ("due", "sentences"),
    [
        ("now() + interval '90 min'", ["its ending is to be delivered in 1 h 29 min; 3 attempts so far"]),
        (
            "'infinity'",
            [
                "its ending is stuck: 3 attempts so far, and no other before:",
                "  pendingctl redeliver deploy-42",
            ],
        ),
    ],
)
def test_errors_and_the_next_attempt_stand_above_the_card(
    cli: Cli, connection: psycopg.Connection, due: str, sentences: list[str]
) -> None:
    cli("enqueue", *SHOWN)
    post(connection)
    cli("claim", "deploy-42", *SCOPE, "--value", "yes")
    connection.execute(
        f"update pending_interactions set delivery_due_at = {due}, delivery_attempts = 3, "
        f"delivery_error = '{ERROR}', card_due_at = null".encode()
    )

    lines = shown(cli)

    assert lines[1 : 2 + len(sentences)] == [*sentences, f"  last error: {ERROR}"]
    assert lines[2 + len(sentences)].startswith("╭")


def test_the_beginning_of_an_id_is_enough_where_no_other_begins_so(cli: Cli) -> None:
    for id in ("deploy-42", "deploy-5", "deploy-51"):
        cli("enqueue", *QUESTION, "--id", id)

    assert shown(cli, "deploy-4")[0].startswith("deploy-42   pending")
    assert shown(cli, "deploy-5")[0].startswith("deploy-5   pending")
    assert document(cli("show", "deploy-42", "-o", "json"))["id"] == "deploy-42"
    as_json = cli("show", "deploy-4", "-o", "json")
    assert '"id": "deploy-42"' in as_json.stdout
    assert as_json.stderr == "note: 'deploy-4' is the beginning of this id alone: deploy-42\n"
    several = complaint(cli("show", "deploy"), 1)
    assert "several questions begin with 'deploy'; write more of the id: deploy-42, deploy-5, deploy-51\n" in several
    assert "there is no question 'x', and none that begins so" in complaint(cli("show", "x"), 1)


def test_ten_of_many_candidates_are_listed(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "30")

    several = complaint(cli("show", "q-"), 1)

    assert several.endswith(", …\n")
    assert several.count("q-") == 11
