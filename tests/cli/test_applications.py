"""--application: commands ask, answer, deliver and show an application's own questions."""

from __future__ import annotations

import pytest

from tests.commands import QUESTION, SCOPE, Cli, complaint, document

CLAIM = ("claim", "q", *SCOPE, "--value", "yes")


def ids(cli: Cli, *options: str) -> list[str]:
    return [row["id"] for row in document(cli("list", "-o", "json", *options))["rows"]]


@pytest.mark.law(15)
def test_an_applications_question_is_answered_in_its_name_alone(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--application", "billing")

    refused = cli(*CLAIM, "-o", "json")
    assert (document(refused)["reason"], refused.exit_code) == ("other_application", 1)
    assert "--application" in cli(*CLAIM).stdout
    assert document(cli("show", "q", "-o", "json"))["state"] == "pending"
    assert cli(*CLAIM, "--application", "billing").exit_code == 0


@pytest.mark.law(15)
def test_an_id_is_not_stored_again_by_another_application(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--application", "billing")

    assert "another application" in complaint(cli("enqueue", *QUESTION, "--id", "q"), 1)
    assert document(cli("show", "q", "-o", "json"))["application"] == "billing"


@pytest.mark.law(15)
def test_an_answer_is_delivered_again_for_its_application_alone(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--application", "billing")
    cli(*CLAIM, "--application", "billing")

    assert "another application" in complaint(cli("redeliver", "q", "--yes"), 1)
    again = document(cli("redeliver", "q", "--yes", "--application", "billing", "-o", "json"))
    assert again == {"redelivered": ["q"]}


def test_list_and_stats_show_all_applications_or_one(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "mine")
    cli("enqueue", *QUESTION, "--id", "bill", "--application", "billing")

    assert sorted(ids(cli)) == ["bill", "mine"]
    assert (ids(cli, "--application", "billing"), ids(cli, "--application", "")) == (["bill"], ["mine"])
    assert document(cli("stats", "-o", "json"))["pending"] == 2
    assert document(cli("stats", "--application", "billing", "-o", "json"))["pending"] == 1


@pytest.mark.parametrize("command", ["withdraw", "delete"])
def test_whoever_names_the_whole_scope_ends_a_question_of_any_application(cli: Cli, command: str) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--application", "billing")

    assert cli(command, "q", *SCOPE, "--yes").exit_code == 0
