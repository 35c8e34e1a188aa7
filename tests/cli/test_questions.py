"""enqueue, claim and delete."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from pendingctl.postgres.time_limits import Purpose
from tests.commands import QUESTION, SCOPE, Cli, complaint, count, document

# enqueue


def test_enqueue_stores_one_question(cli: Cli, connection: psycopg.Connection) -> None:
    result = document(cli("enqueue", *QUESTION, "--id", "q1", "-o", "json"))

    assert result["ids"] == ["q1"]
    assert connection.execute("select id, entry_payload from pending_interactions").fetchall() == [
        ("q1", {"question": {"text": "Deploy?", "options": ["yes", "no"]}})
    ]


def test_enqueue_stores_many_alike(cli: Cli) -> None:
    assert document(cli("enqueue", *QUESTION, "--id", "q", "--count", "3", "-o", "json"))["ids"] == [
        "q-1",
        "q-2",
        "q-3",
    ]
    generated = document(cli("enqueue", *QUESTION, "--count", "1500", "-o", "json"))["ids"]
    assert len(set(generated)) == 1500


OUTCOMES = ("created", "refreshed", "superseded", "reopened", "already_answered", "withdrawn")


@pytest.mark.parametrize(
    ("before", "again", "outcome"),
    [
        ((), (), "refreshed"),
        ((), ("--question", "Deploy to production?"), "superseded"),
        (("claim", "--value", "yes", "--take"), (), "reopened"),
        (("claim", "--value", "yes", "--take"), ("--if-answered", "keep"), "already_answered"),
        (("claim", "--value", "yes"), (), "already_answered"),
        (("withdraw", "--yes"), (), "reopened"),
        (("withdraw", "--yes"), ("--if-answered", "keep"), "withdrawn"),
    ],
    ids=["same", "another question", "answered", "answered, keep", "undelivered", "withdrawn", "withdrawn, keep"],
)
def test_enqueue_reports_what_became_of_a_question_that_is_stored_again(
    cli: Cli, before: tuple[str, ...], again: tuple[str, ...], outcome: str
) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    if before:
        command, *options = before
        assert cli(command, "q", *SCOPE, *options).exit_code == 0

    result = document(cli("enqueue", *QUESTION, "--id", "q", *again, "-o", "json"))

    assert {name: result[name] for name in OUTCOMES} == {name: int(name == outcome) for name in OUTCOMES}


@pytest.mark.law(12)
def test_an_id_that_comes_back_after_a_delete_has_a_greater_ask_number(cli: Cli) -> None:
    numbers = []
    for _ in range(3):
        cli("enqueue", *QUESTION, "--id", "q")
        numbers.append(document(cli("show", "q", "-o", "json"))["ask_number"])
        cli("delete", "q", *SCOPE, "--yes")

    assert numbers == sorted(set(numbers))


def test_enqueue_for_a_missing_organization_names_the_option_that_creates_it(cli: Cli) -> None:
    options = (*QUESTION, "--org", "initech")
    assert "--create-org" in complaint(cli("enqueue", *options), 1)
    assert cli("enqueue", *options, "--create-org").exit_code == 0


def test_enqueue_leaves_an_applications_own_organizations_to_it(cli: Cli, connection: psycopg.Connection) -> None:
    connection.execute("alter table organization add column plan text not null default 'x'")
    connection.execute("alter table organization alter column plan drop default")

    assert "plan" in complaint(cli("enqueue", *QUESTION, "--org", "initech", "--create-org"), 2)
    assert count(connection) == 0


@pytest.mark.law(3)
def test_enqueue_never_takes_over_anothers_id(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    assert "another scope" in complaint(cli("enqueue", *QUESTION, "--id", "q", "--org", "globex"), 1)


def test_enqueue_reads_a_file(cli: Cli, tmp_path: Path, connection: psycopg.Connection) -> None:
    line = {"organization_id": "acme", "connection_id": "slack", "expected_user_id": "U1", "question": "Go?"}
    lines = [
        json.dumps({**line, "id": "a", "options": ["yes"], "conversation_id": "C1", "ticket": {"n": 7}}),
        "",
        json.dumps({**line, "question": "¿Ir? 🚀"}, ensure_ascii=False),
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(lines), encoding="utf-8")

    ids = document(cli("enqueue", "--file", str(file), "-o", "json"))["ids"]

    assert len(ids) == 2
    assert connection.execute("select entry_payload from pending_interactions where id = 'a'").fetchone() == (
        {"question": {"text": "Go?", "options": ["yes"], "conversation_id": "C1"}, "ticket": {"n": 7}},
    )
    assert document(cli("show", ids[1], "-o", "json"))["question"] == "¿Ir? 🚀"


GOOD = b'{"id": "a", "organization_id": "acme", "connection_id": "c", "expected_user_id": "u", "question": "?"}\n'


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", '"organization_id" is missing'),
        (b'\xff{"a": 1}', "not UTF-8"),
        (GOOD.replace(b'"?"', b"7"), '"question" is not a string'),
        (GOOD.replace(b'"?"', b'"?", "options": "yes"'), '"options" is not an array'),
        (GOOD.replace(b'"?"', b'"?", "options": [null]'), '"options" is not an array of strings'),
        (GOOD.replace(b'"?"', b'"?", "options": null'), '"options" is not an array of strings'),
        (GOOD.replace(b'"?"', b'"?", "n": NaN'), "NaN"),
        (GOOD.replace(b'"?"', b'"\\u0000"').replace(b'"a"', b'"b"'), "NUL"),
        (GOOD.replace(b'"?"', b'"\\ud800"').replace(b'"a"', b'"b"'), "surrogate"),
        (GOOD.replace(b'"a"', b'""'), "id is empty"),
        (GOOD.replace(b'"u"', b'"' + b"u" * 256 + b'"'), "at most 255"),
        (GOOD.replace(b'"?"', b'"' + b"x" * 10_000_000 + b'"'), "at most 262,144"),
        (b"[" * 100_000, "JSON"),
        (GOOD, "already"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_bad_line_is_named_and_nothing_is_stored(
    cli: Cli, connection: psycopg.Connection, line: bytes, reason: str
) -> None:
    result = cli("enqueue", "--file", "-", input=GOOD + b"\n" + line)

    error = complaint(result, 2)
    assert "stdin:3: " in error
    assert reason in error
    assert len(error) < 300
    assert count(connection) == 0


@pytest.mark.parametrize(
    "options",
    [
        ("--file", "-", "--org", "acme"),
        ("--file", "-", "--count", "2"),
        ("--file", "/nowhere/x"),
        ("--org", "acme"),
        (),
    ],
)
def test_enqueue_wants_either_a_question_or_a_file(cli: Cli, options: tuple[str, ...]) -> None:
    complaint(cli("enqueue", *options), 2)


# claim and delete


def test_claim_wins_once(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    won = document(cli("claim", "q", *SCOPE, "--value", "yes", "-o", "json"))
    lost = cli("claim", "q", *SCOPE, "--value", "no", "-o", "json")

    assert (won["claimed"], won["id"], won["payload"]["question"]["text"]) == (True, "q", "Deploy?")
    assert lost.exit_code == 1
    assert (
        document(lost).items() >= {"claimed": False, "id": "q", "reason": "already_answered", "answer": "yes"}.items()
    )


@pytest.mark.parametrize(
    ("options", "text", "state"),
    [
        ((), "claimed q; the answer will be delivered\n", "undelivered"),
        (("--take",), "claimed q; the answer is yours\n", "claimed"),
    ],
)
def test_a_claim_is_a_click_whose_answer_the_pods_deliver_unless_it_is_taken(
    cli: Cli, options: tuple[str, ...], text: str, state: str
) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    assert cli("claim", "q", *SCOPE, "--value", "yes", *options).stdout == text
    assert document(cli("show", "q", "-o", "json"))["state"] == state


def test_a_claim_of_what_is_no_option_names_the_options(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    refused = cli("claim", "q", *SCOPE, "--value", "maybe")

    assert (refused.stdout, refused.exit_code) == ("refused: not one of the options: yes, no\n", 1)
    as_json = document(cli("claim", "q", *SCOPE, "--value", "maybe", "-o", "json"))
    assert as_json["options"] == ["yes", "no"]


def test_claim_with_the_same_key_is_the_same_click(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    same = ("claim", "q", *SCOPE, "--value", "yes", "--delivery-key", "k", "-o", "json")

    assert [document(cli(*same))["repeated"] for _ in range(2)] == [False, True]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (("--user", "U2"), "not_yours"),
        (("--connection", "teams"), "unknown_or_expired"),
        (("--org", "globex"), "unknown_or_expired"),
    ],
)
@pytest.mark.law(2)
def test_claim_by_somebody_else_is_refused(cli: Cli, changed: tuple[str, str], reason: str) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    refused = cli("claim", "q", *SCOPE, *changed, "-o", "json")

    assert (refused.exit_code, document(refused)) == (1, {"claimed": False, "id": "q", "reason": reason})


@pytest.mark.law(16)
def test_a_claim_of_a_row_that_somebody_holds_gives_up_and_says_so(
    cli: Cli, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of the two limits the one on the lock passes first, on a slow machine as well.
    monkeypatch.setattr(Purpose.CLAIM, "lock_timeout", "50ms")
    monkeypatch.setattr(Purpose.CLAIM, "seconds", 30.0)
    cli("enqueue", *QUESTION, "--id", "q")
    with psycopg.connect(dsn) as holding:
        holding.execute("select from pending_interactions for update")
        error = complaint(cli("claim", "q", *SCOPE, "--value", "yes"), 3)

    assert "lock" in error


def test_delete_is_scoped_and_asks_for_confirmation(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    assert "--yes" in complaint(cli("delete", "q", *SCOPE), 2)
    assert document(cli("delete", "q", *SCOPE, "--dry-run", "-o", "json"))["would_delete"] is True
    foreign = cli("delete", "q", *SCOPE, "--user", "U2", "--yes", "-o", "json")
    assert (foreign.exit_code, document(foreign)) == (1, {"deleted": False, "id": "q"})
    assert count(connection) == 1
    assert document(cli("delete", "q", *SCOPE, "--yes", "-o", "json")) == {"deleted": True, "id": "q"}
    assert cli("delete", "q", *SCOPE, "--yes").exit_code == 1


@pytest.mark.parametrize(
    ("scope", "include", "obstacle"),
    [
        ((*SCOPE, "--user", "U2"), (), "q does not exist in this scope"),
        (SCOPE, (), "the answer of q is not delivered yet; --include-undelivered deletes it too"),
        (SCOPE, ("--include-undelivered",), None),
    ],
    ids=["another scope", "undelivered", "undelivered is included"],
)
def test_a_dry_run_of_delete_names_what_would_keep_the_question(
    cli: Cli, connection: psycopg.Connection, scope: tuple[str, ...], include: tuple[str, ...], obstacle: str | None
) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    connection.execute("update pending_interactions set claimed_at = now(), delivery_due_at = now()")

    dry = cli("delete", "q", *scope, *include, "--dry-run")

    assert dry.stdout == f"{obstacle or 'would delete q'}\n"
    assert document(cli("delete", "q", *scope, *include, "--dry-run", "-o", "json")) == {
        "deleted": False,
        "id": "q",
        "would_delete": obstacle is None,
    }
