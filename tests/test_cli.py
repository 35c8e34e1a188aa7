"""The command line as people, scripts and CI use it: what is printed where, and with which exit code."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
import sys
import tomllib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from typer.testing import CliRunner, Result

from pendingctl import __version__, migrations
from pendingctl.cli.app import app
from pendingctl.cli.render import age

Cli: TypeAlias = Callable[..., Result]

SCOPE = ("--org", "acme", "--connection", "slack", "--user", "U1")
QUESTION = (*SCOPE, "--question", "Deploy?", "--option", "yes", "--option", "no")


@pytest.fixture
def cli(dsn: str, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs a command on the migrated database."""
    monkeypatch.setenv("PENDINGCTL_DSN", dsn)
    return run


def run(*arguments: str, input: str | bytes | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=input)


def document(result: Result) -> dict[str, Any]:
    """The one JSON document on stdout, with nothing beside it."""
    assert result.stderr == "", result.stderr
    parsed = json.loads(result.stdout)
    assert isinstance(parsed, dict)
    return parsed


def complaint(result: Result, exit_code: int) -> str:
    """The one line on stderr, with nothing on stdout."""
    assert result.exit_code == exit_code, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr


def make_older(connection: psycopg.Connection, hours: int) -> None:
    connection.execute("update pending_interactions set created_at = created_at - %s", (timedelta(hours=hours),))


def count(connection: psycopg.Connection) -> int:
    row = connection.execute("select count(*) from pending_interactions").fetchone()
    assert row is not None
    return int(row[0])


# migrate


def test_migrate_applies_reports_and_goes_back(empty_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", empty_dsn)
    ids = ["0001_organization", "0002_pending_interactions", "0003_answer"]

    check = run("migrate", "--check", "-o", "json")
    assert (document(check), check.exit_code) == ({"applied": [], "pending": ids}, 1)
    dry = run("migrate", "--dry-run")
    assert "create table pending_interactions" in dry.stdout
    assert run("migrate", "--dry-run").stdout == dry.stdout
    assert document(run("migrate", "--to", ids[1], "-o", "json")) == {"applied": ids[:2], "pending": ids[2:]}
    assert run("migrate").stdout == "applied 0003_answer\n"
    assert run("migrate").stdout == "nothing is pending\n"
    assert run("migrate", "--check").exit_code == 0

    assert "--yes" in complaint(run("migrate", "--rollback", "1"), 2)
    would = document(run("migrate", "--rollback", "2", "--dry-run", "-o", "json"))
    assert would["would_roll_back"] == ids[:0:-1]
    assert document(run("migrate", "--rollback", "2", "--yes", "-o", "json"))["rolled_back"] == ids[:0:-1]
    assert run("migrate", "--check").exit_code == 1


@pytest.mark.parametrize(
    "options", [("--rollback", "1", "--check"), ("--rollback", "1", "--to", "x"), ("--check", "--dry-run")]
)
def test_options_of_migrate_that_exclude_each_other(cli: Cli, options: tuple[str, ...]) -> None:
    complaint(cli("migrate", *options), 2)


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
    made_up = document(cli("enqueue", *QUESTION, "--count", "1500", "-o", "json"))["ids"]
    assert len(set(made_up)) == 1500


def test_enqueue_says_what_became_of_an_answered_question(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    cli("claim", "q", *SCOPE)

    kept = document(cli("enqueue", *QUESTION, "--id", "q", "--if-answered", "keep", "-o", "json"))
    assert (kept["already_answered"], kept["reopened"]) == (1, 0)
    assert "1 reopened" in cli("enqueue", *QUESTION, "--id", "q").stdout


def test_enqueue_for_a_missing_organization_says_so(cli: Cli) -> None:
    options = (*QUESTION, "--org", "initech")
    assert "--create-org" in complaint(cli("enqueue", *options), 1)
    assert cli("enqueue", *options, "--create-org").exit_code == 0


def test_enqueue_leaves_an_applications_own_organizations_to_it(cli: Cli, connection: psycopg.Connection) -> None:
    connection.execute("alter table organization add column plan text not null default 'x'")
    connection.execute("alter table organization alter column plan drop default")

    assert "plan" in complaint(cli("enqueue", *QUESTION, "--org", "initech", "--create-org"), 2)
    assert count(connection) == 0


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
        (GOOD.replace(b'"?"', b"7"), '"question" is not a text'),
        (GOOD.replace(b'"?"', b'"?", "options": "yes"'), '"options" is not a list'),
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

    said = complaint(result, 2)
    assert "stdin:3: " in said
    assert reason in said
    assert len(said) < 300
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
def test_claim_by_somebody_else_is_refused(cli: Cli, changed: tuple[str, str], reason: str) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    refused = cli("claim", "q", *SCOPE, *changed, "-o", "json")

    assert (refused.exit_code, document(refused)) == (1, {"claimed": False, "id": "q", "reason": reason})


def test_delete_is_scoped_and_asks(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q")

    assert "--yes" in complaint(cli("delete", "q", *SCOPE), 2)
    assert document(cli("delete", "q", *SCOPE, "--dry-run", "-o", "json"))["would_delete"] is True
    foreign = cli("delete", "q", *SCOPE, "--user", "U2", "--yes", "-o", "json")
    assert (foreign.exit_code, document(foreign)) == (1, {"deleted": False, "id": "q"})
    assert count(connection) == 1
    assert document(cli("delete", "q", *SCOPE, "--yes", "-o", "json")) == {"deleted": True, "id": "q"}
    assert cli("delete", "q", *SCOPE, "--yes").exit_code == 1


# list, show, stats


def test_list_has_the_promised_fields(cli: Cli) -> None:
    assert document(cli("list", "-o", "json")) == {"rows": [], "truncated": False}
    cli("enqueue", *QUESTION, "--id", "q")

    (row,) = document(cli("list", "-o", "json"))["rows"]

    assert (
        row.items()
        >= {
            "id": "q",
            "organization_id": "acme",
            "connection_id": "slack",
            "expected_user_id": "U1",
            "state": "pending",
            "claimed_at": None,
            "question": "Deploy?",
        }.items()
    )
    assert datetime.fromisoformat(row["created_at"]).tzinfo is not None
    assert 0 <= row["age_seconds"] < 60


def test_list_filters_and_says_when_it_cut(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "old", "--count", "3")
    make_older(connection, 30)
    cli("enqueue", *QUESTION, "--id", "new", "--org", "globex")
    cli("claim", "old-1", *SCOPE)

    def ids(*options: str) -> list[str]:
        return [row["id"] for row in document(cli("list", "-o", "json", *options))["rows"]]

    assert ids("--state", "stale") == ["old-2", "old-3"]
    assert ids("--state", "claimed") == ["old-1"]
    assert ids("--state", "pending") == ["new"]
    assert ids("--state", "pending", "--max-age", "2d") == ["old-2", "old-3", "new"]
    assert ids("--org", "globex") == ["new"]
    assert ids("--older-than", "29h") == ["old-1", "old-2", "old-3"]
    assert ids("--user", "U2") == ids("--connection", "teams") == []
    assert document(cli("list", "--limit", "2", "-o", "json"))["truncated"] is True
    assert document(cli("list", "--limit", "4", "-o", "json"))["truncated"] is False


def test_every_format_holds_the_same_rows(cli: Cli) -> None:
    cli("enqueue", *SCOPE, "--question", 'a, "b"\nc', "--id", "q", "--count", "2")

    as_json = document(cli("list", "-o", "json"))["rows"]
    as_lines = [json.loads(line) for line in cli("list", "-o", "jsonl").stdout.splitlines()]
    as_csv = list(csv.DictReader(io.StringIO(cli("list", "-o", "csv").stdout)))

    unaged = [{**row, "age_seconds": 0} for row in as_json]
    assert [{**row, "age_seconds": 0} for row in as_lines] == unaged
    assert [(row["id"], row["question"]) for row in as_csv] == [(row["id"], row["question"]) for row in as_json]


def test_tables_in_a_pipe_are_never_cut(cli: Cli) -> None:
    id, text = "i" * 255, "word " * 60
    cli("enqueue", *SCOPE, "--question", text, "--id", id)

    (line,) = [line for line in cli("list").stdout.splitlines() if id in line]
    assert text.strip() in line


def test_text_from_the_database_is_neither_markup_nor_control(cli: Cli) -> None:
    text = "[red]a[/red] [/] :rocket: \x1b[31mred\x07 \u202egpj.exe"
    cli("enqueue", *SCOPE, "--question", text, "--id", "[bold]q")

    for shown in (cli("list").stdout, cli("show", "[bold]q").stdout):
        assert "[red]a[/red] [/] :rocket: \\x1b[31mred\\x07 \\u202egpj.exe" in shown
        assert "[bold]q" in shown
        assert "\x1b" not in shown


def test_show_has_the_payload(cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    cli("claim", "q", *SCOPE, "--value", "yes")

    shown = document(cli("show", "q", "-o", "json"))

    assert shown["payload"] == {"question": {"text": "Deploy?", "options": ["yes", "no"]}}
    assert (shown["state"], shown["answer"]) == ("claimed", "yes")
    assert "[ yes ]  [ no ]" in cli("show", "q").stdout
    assert "nowhere" in complaint(cli("show", "nowhere"), 1)


def test_stats_count_in_all_and_for_each_organization(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--count", "2")
    make_older(connection, 25)
    cli("enqueue", *QUESTION, "--org", "globex", "--id", "q")

    stats = document(cli("stats", "-o", "json"))

    assert (stats["pending"], stats["claimed"], stats["stale"]) == (1, 0, 2)
    assert stats["oldest_pending_seconds"] > 25 * 3600 - 1
    assert stats["organizations"] == [
        {"organization_id": "acme", "pending": 0, "stale": 2},
        {"organization_id": "globex", "pending": 1, "stale": 0},
    ]
    assert "globex" in cli("stats").stdout


# sweep


def test_sweep_is_bounded_and_says_what_remains(cli: Cli, connection: psycopg.Connection) -> None:
    cli("enqueue", *QUESTION, "--id", "q", "--count", "25")
    make_older(connection, 25)
    cli("enqueue", *QUESTION, "--id", "fresh")

    dry = document(cli("sweep", "--limit", "10", "--dry-run", "-o", "json"))
    assert (dry["deleted"], dry["would_delete"], dry["remaining"], count(connection)) == (0, 10, 25, 26)
    first = document(cli("sweep", "--limit", "10", "--batch-size", "4", "-o", "json"))
    assert first == {"deleted": 10, "batches": 3, "remaining": 15, "remaining_capped": False}
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
def test_nonsense_in_an_option_is_a_usage_error(cli: Cli, options: tuple[str, ...]) -> None:
    assert "sweep --help" in complaint(cli("sweep", *options), 2)


def test_sweep_takes_all_or_a_limit(cli: Cli) -> None:
    complaint(cli("sweep", "--all", "--limit", "5"), 2)


# What every command does when the database is not there.

COMMANDS: dict[str, tuple[str, ...]] = {
    "migrate": (),
    "enqueue": QUESTION,
    "claim": ("q", *SCOPE),
    "delete": ("q", *SCOPE, "--yes"),
    "list": (),
    "show": ("q",),
    "stats": (),
    "sweep": (),
    "diff-schema": (),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_no_database_named(command: str) -> None:
    assert "PENDINGCTL_DSN" in complaint(run(command, *COMMANDS[command]), 2)


@pytest.mark.parametrize("command", [*COMMANDS, "simulate-race"])
def test_a_malformed_dsn_is_not_quoted(command: str) -> None:
    arguments = COMMANDS.get(command, ())
    result = run(command, *arguments, "--dsn", "postgresql://u:s3cret@h/d?nosuch=1")

    assert "s3cret" not in result.output
    assert result.exit_code == 2
    assert "malformed" in result.stderr


@pytest.mark.parametrize("command", [*COMMANDS, "simulate-race"])
def test_a_database_that_is_down(command: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dsn = f"host=127.0.0.1 port={taken.getsockname()[1]} password=s3cret"
        result = run(command, *COMMANDS.get(command, ()), "--dsn", dsn)

    assert result.exit_code == 3
    assert "cannot be reached" in result.stderr
    assert "s3cret" not in result.output


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("migrate", "diff-schema")])
def test_a_database_that_nobody_migrated(command: str, empty_dsn: str) -> None:
    assert "run: pendingctl migrate" in complaint(run(command, *COMMANDS[command], "--dsn", empty_dsn), 3)


@pytest.mark.parametrize("command", ["list", "show", "stats"])
def test_inspection_needs_no_right_to_write(cli: Cli, command: str, connection: psycopg.Connection, dsn: str) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    role = f"oncall_{connection.info.dbname}"
    connection.execute(f"create role {role} login")
    connection.execute(f"grant select on pending_interactions to {role}")
    try:
        result = run(command, *COMMANDS[command], "--dsn", make_conninfo(dsn, user=role))
        assert (result.exit_code, result.stderr) == (0, "")
        assert "permission denied" in complaint(run("sweep", "--dsn", make_conninfo(dsn, user=role)), 3)
    finally:
        connection.execute(f"drop owned by {role}")
        connection.execute(f"drop role {role}")


# Optional parts.


def test_a_missing_part_is_named_with_the_line_that_installs_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pglast", None)
    assert "pip install 'pendingctl[schema]'" in complaint(cli("diff-schema"), 2)

    monkeypatch.setattr("pendingctl.embedded.binaries._candidates", lambda: iter(()))
    for arguments in (("simulate-race",), ("list", "--dsn", "embedded")):
        assert "pip install 'pendingctl[embedded]'" in complaint(cli(*arguments), 2)


# The whole.


def test_version_and_help() -> None:
    assert run("--version").stdout == f"pendingctl {__version__}\n"
    project = tomllib.loads((migrations.migrations_directory().parent / "pyproject.toml").read_text("utf-8"))
    assert project["project"]["version"] == __version__
    for command in [*COMMANDS, "simulate-race"]:
        help = run(command, "--help").stdout
        assert re.search(rf"Example: pendingctl {command}", help), help


def test_an_unknown_command_or_option_is_a_usage_error() -> None:
    assert "nonsense" in complaint(run("nonsense"), 2)
    assert "--nonsense" in complaint(run("list", "--nonsense"), 2)
    assert "--org" in complaint(run("claim", "q"), 2)
    assert run("--nonsense").exit_code == 2
    assert "Commands:" in run().output


def test_a_crash_never_reads_as_a_verdict(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    async def crash(*_: object, **__: object) -> None:
        raise RuntimeError("planted [/]")

    monkeypatch.setattr("pendingctl.store.PendingStore.counts", crash)

    assert "internal error: RuntimeError: planted [/]" in complaint(cli("stats"), 70)
    assert isinstance(cli("--debug", "stats").exception, RuntimeError)


@pytest.mark.parametrize(
    ("length", "said"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3_725, "1 h 2 min"), (86_400, "1 d"), (187_000, "2 d 3 h")],
)
def test_ages_are_said_as_people_do(length: float, said: str) -> None:
    assert age(length) == said
