"""limit: a rate limit from a script, and for the person on call."""

from __future__ import annotations

import psycopg

from tests.commands import Cli, complaint, document

KEY = ("deploys", "--org", "acme")
LIMIT = (*KEY, "--rate", "2", "--per", "1h")


def test_a_limit_that_is_used_up_is_exit_code_1(cli: Cli) -> None:
    first = document(cli("limit", "take", *LIMIT, "-o", "json"))
    assert (first["allowed"], first["remaining"], first["retry_after_seconds"]) == (True, 1, 0)
    assert cli("limit", "take", *LIMIT).stdout == "allowed: 0 of 2 units left, all free in 60 min\n"

    denied = cli("limit", "take", *LIMIT)

    assert (denied.exit_code, denied.stderr) == (1, "")
    assert denied.stdout == "denied: 0 of 2 units left, try again in 30 min, all free in 60 min\n"


def test_showing_a_limit_takes_nothing_and_is_no_verdict(cli: Cli) -> None:
    assert cli("limit", "show", *LIMIT).stdout == "would be allowed: 2 of 2 units left\n"
    assert cli("limit", "take", *LIMIT, "--cost", "2").exit_code == 0

    shown = cli("limit", "show", *LIMIT, "-o", "json")

    assert shown.exit_code == 0
    assert (document(shown)["allowed"], document(shown)["burst"]) == (False, 2)


def test_a_key_that_is_reset_is_free_again(cli: Cli, connection: psycopg.Connection) -> None:
    cli("limit", "take", *LIMIT, "--cost", "2")

    assert cli("limit", "reset", *KEY).stdout == "deploys of acme is free again\n"

    assert connection.execute("select from pending_rate_limit").fetchall() == []
    assert document(cli("limit", "reset", *KEY, "-o", "json"))["reset"] is False
    assert cli("limit", "take", *LIMIT).exit_code == 0


def test_what_no_limit_can_be_is_wrong_usage(cli: Cli) -> None:
    assert "above the burst" in complaint(cli("limit", "take", *LIMIT, "--burst", "1", "--cost", "2"), 2)
    assert "the rate of a limit is 0" in complaint(cli("limit", "show", *KEY, "--rate", "0", "--per", "1h"), 2)
    assert "Missing command" in complaint(cli("limit"), 2)
    assert "'take'" in complaint(cli("limit", "tak"), 2)
