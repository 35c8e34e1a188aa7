"""What is stored is data in every format: it steers no terminal, forges no line, and is no formula."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from contextlib import redirect_stdout
from datetime import UTC, datetime

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pendingctl.cli import render
from pendingctl.cli.options import Output
from pendingctl.printable import printable, printable_lines
from tests.commands import QUESTION, SCOPE, Cli, document

# C0, delete, C1, the bidirectional controls, and the line ends of Unicode.
STEERING = "\x1b[2J\x07\r\x7f\x85\x9b31m\u200e\u202e\u2066\u2028\u2029"
HOSTILE = f"q\nerror: forged\n{STEERING}"
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


def steers(text: str) -> bool:
    return any(unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp") and c != "\n" for c in text)


def printed(output: Output, document: dict[str, object]) -> str:
    with redirect_stdout(io.StringIO()) as out:
        render.show_document(output, document, "")
    return out.getvalue()


@given(TEXTS)
@example(HOSTILE)
def test_printable_text_is_one_line_that_steers_nothing(text: str) -> None:
    assert printable(text).isprintable()
    assert not steers(printable_lines(text))
    assert printable_lines(text).count("\n") == text.count("\n")


@given(st.recursive(st.none() | st.integers() | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
@example(HOSTILE)
@example("\U0001f469\u200d\U0001f680\U000e0041")
def test_json_means_the_same_and_holds_no_character_that_steers(value: object) -> None:
    for output in (Output.JSON, Output.JSONL):
        text = printed(output, {"value": value})
        assert json.loads(text) == {"value": value}
        assert not steers(text)
    assert text.count("\n") == 1


def test_json_stays_readable() -> None:
    assert printed(Output.JSONL, {"text": "¿Ir? 部署 🚀\u202e"}) == '{"text": "¿Ir? 部署 🚀\\u202e"}\n'


@given(TEXTS)
@example("=HYPERLINK(0)")
@example("\t=1")
@example("\n=1")
@example("＝1")
@example(HOSTILE)
def test_csv_holds_neither_a_formula_nor_a_character_that_steers(text: str) -> None:
    written = printed(Output.CSV, {"a": text, "b": [text]})
    (row,) = csv.DictReader(io.StringIO(written, newline=""))

    assert not steers(written)
    assert not row["a"].startswith(tuple("=+-@\t\r\n＝＋－＠"))
    assert json.loads(row["b"]) == [text]
    assert row["a"] in (printable_lines(text), "'" + printable_lines(text))


def test_csv_leaves_numbers_and_harmless_texts_as_they_are() -> None:
    row = {"age": -1.5, "number": -3, "text": 'a "b", c\nd', "none": None}
    assert printed(Output.CSV, row) == 'age,number,text,none\n-1.5,-3,"a ""b"", c\nd",\n'


def test_an_id_that_begins_like_a_formula_is_text_in_csv(cli: Cli) -> None:
    cli("enqueue", *SCOPE, "--question", "=1+1", "--id", "+49 30")

    (row,) = csv.DictReader(io.StringIO(cli("list", "-o", "csv").stdout))

    assert (row["id"], row["question"]) == ("'+49 30", "'=1+1")


HOSTILE_SCOPE = ("--org", f"{HOSTILE}o", "--connection", f"{HOSTILE}c", "--user", f"{HOSTILE}u")
HOSTILE_QUESTION = (*HOSTILE_SCOPE, "--question", f"=1{HOSTILE}", "--option", f"{HOSTILE}y", "--option", "n")
EVERY_COMMAND: list[tuple[str, ...]] = [
    ("enqueue", *HOSTILE_QUESTION, "--id", HOSTILE),
    ("enqueue", *HOSTILE_QUESTION, "--id", HOSTILE, "--org", f"other {HOSTILE}"),
    ("list",),
    ("list", "--org", HOSTILE),
    ("show", HOSTILE),
    ("show", f"no {HOSTILE}"),
    ("stats",),
    ("withdraw", HOSTILE, *HOSTILE_SCOPE, "--dry-run"),
    ("delete", HOSTILE, *HOSTILE_SCOPE, "--dry-run"),
    ("claim", HOSTILE, *HOSTILE_SCOPE, "--value", "no option"),
    ("answer", HOSTILE, "--value", "no option", "--reason", HOSTILE),
    ("claim", HOSTILE, *HOSTILE_SCOPE, "--user", "another"),
    ("claim", HOSTILE, *HOSTILE_SCOPE, "--value", f"{HOSTILE}y"),
    ("claim", HOSTILE, *HOSTILE_SCOPE, "--value", "n"),
    ("ask", *HOSTILE_QUESTION, "--id", HOSTILE, "--timeout", "1s"),
    ("ask", *HOSTILE_QUESTION, "--id", f"{HOSTILE}2", "--timeout", "1s"),
    ("ask", *HOSTILE_QUESTION, "--expect", HOSTILE),
    ("redeliver", "--org", HOSTILE, "--yes"),
    ("redeliver", "--org", f"{HOSTILE}o", "--dry-run"),
    ("redeliver", "--org", f"{HOSTILE}o", "--yes"),
    ("repair-cards", HOSTILE),
    ("repair-cards", f"no {HOSTILE}"),
    ("extend", "--by", "1h", "--org", f"{HOSTILE}o", "--yes"),
    ("withdraw", "--org", f"{HOSTILE}o", "--yes"),
    ("answer", f"no {HOSTILE}", "--value", "n", "--reason", HOSTILE),
    ("answer", HOSTILE, "--value", "n", "--reason", HOSTILE, "--operator", HOSTILE),
    ("redeliver", HOSTILE, "--yes"),
    ("redeliver", HOSTILE, f"no {HOSTILE}", "--yes"),
    ("withdraw", HOSTILE, *HOSTILE_SCOPE, "--yes"),
    ("delete", HOSTILE, *HOSTILE_SCOPE, "--yes"),
    ("delete", HOSTILE, *HOSTILE_SCOPE, "--yes", "--include-undelivered"),
    ("delete", HOSTILE, *HOSTILE_SCOPE, "--yes"),
    ("sweep", "--all", "--max-age", "1s", "--ids"),
    ("migrate", "--to", HOSTILE),
    ("enqueue", "--file", HOSTILE),
    ("diff-schema", "--schema", HOSTILE),
    ("check-history", HOSTILE),
    (HOSTILE,),
    ("list", f"--{HOSTILE}"),
    ("list", "--state", HOSTILE),
    ("sweep", "--max-age", HOSTILE),
]


@pytest.mark.parametrize("output", list(Output))
def test_no_command_prints_a_character_that_steers_or_a_line_that_is_forged(cli: Cli, output: Output) -> None:
    stored = cli("enqueue", *HOSTILE_QUESTION, "--create-org", "--id", HOSTILE)
    assert stored.exit_code == 0, stored.output
    for arguments in EVERY_COMMAND:
        result = cli(*arguments, "-o", output.value)
        assert result.exit_code != 70, (arguments, result.output)
        assert not steers(result.output), (arguments, result.output)
        assert "\nerror: forged" not in result.stderr, (arguments, result.stderr)
        if output in (Output.JSON, Output.JSONL):
            assert "\nerror: forged" not in result.stdout
            for document in [result.stdout] if output is Output.JSON else result.stdout.splitlines():
                if document:
                    json.loads(document)


def test_an_id_with_a_line_end_stays_on_its_line_in_a_table(cli: Cli) -> None:
    forged = "q\ndeleted 7 rows in 1 batch; 0 remain"
    cli("enqueue", *QUESTION, "--id", forged)

    for arguments in (("list",), ("delete", forged, *SCOPE, "--dry-run"), ("delete", forged, *SCOPE, "--yes")):
        (line,) = [line for line in cli(*arguments).stdout.splitlines() if "deleted 7 rows" in line]
        assert "q\\ndeleted 7 rows" in line


# Times that a row may hold and Python cannot.


@pytest.mark.parametrize("time", ["infinity", "-infinity", "294276-01-01 00:00+00", "4000-01-01 00:00+00 BC"])
@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Pacific/Kiritimati"])
def test_times_out_of_pythons_range_are_shown_as_the_nearest_that_it_has(
    cli: Cli, connection: psycopg.Connection, time: str, zone: str
) -> None:
    connection.execute(f"alter database {connection.info.dbname} set timezone = '{zone}'")
    ids = ("open", "answered", "withdrawn", "shown")
    for id in ids:
        cli("enqueue", *QUESTION, "--id", id)
    connection.execute("update pending_interactions set created_at = %(time)s, posted_at = %(time)s", {"time": time})
    connection.execute(
        "update pending_interactions set posted_at = null, post_due_at = %(time)s, escalate_at = %(time)s, "
        "escalated_at = %(time)s, remind_every = '200000 years' where id = 'shown'",
        {"time": time},
    )
    connection.execute(
        "update pending_interactions set claimed_at = %(time)s, answer = 'yes', answered_by = 'U1', "
        "delivered_at = %(time)s, withdrawn_at = case when id = 'withdrawn' then %(time)s::timestamptz end "
        "where id not in ('open', 'shown')",
        {"time": time},
    )
    # The year that is shown, where a zone may be a day ahead or behind.
    years = {"infinity": {9999}, "294276-01-01 00:00+00": {9999}}.get(time, {1})

    for output in Output:
        for arguments in [
            ["list"],
            ["list", "--card", "never-posted"],
            ["stats"],
            ["sweep", "--dry-run"],
            *(["show", id] for id in ids),
        ]:
            result = cli(*arguments, "-o", output.value)
            assert (result.exit_code, result.stderr) == (0, ""), (arguments, output, result.output)
    shown = document(cli("show", "answered", "-o", "json"))
    for name in ("created_at", "claimed_at", "delivered_at", "posted_at"):
        assert datetime.fromisoformat(shown[name]).astimezone(UTC).year in years
    shown = document(cli("show", "shown", "-o", "json"))
    for name in ("escalate_at", "escalated_at"):
        assert datetime.fromisoformat(shown[name]).astimezone(UTC).year in years
    # At infinity nothing is due: that is what was given up.
    assert shown["unposted"] == ("given_up" if time == "infinity" else "to_be_posted")
    assert (shown["post_due_at"] is None) == (time == "infinity")
    assert shown["remind_every"] == "3653d"


@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=TEXTS.filter(lambda text: len(text) < 200))
@example(text=HOSTILE)
@example(text="[/]")
def test_every_format_shows_whatever_text_is_stored(cli: Cli, text: str) -> None:
    cli("enqueue", *SCOPE, "--question", f"={text}", "--id", "q")

    assert document(cli("show", "q", "-o", "json"))["question"] == f"={text}"
    assert json.loads(cli("list", "-o", "jsonl").stdout)["question"] == f"={text}"
    (row,) = csv.DictReader(io.StringIO(cli("list", "-o", "csv").stdout, newline=""))
    assert row["question"] == printable_lines(f"'={text}")
    for shown in (cli("show", "q"), cli("list")):
        assert shown.exit_code == 0
        assert not steers(shown.output)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_is_json_in_whatever_encoding_stdout_has(encoding: str) -> None:
    written = io.BytesIO()
    with redirect_stdout(io.TextIOWrapper(written, encoding=encoding, errors="backslashreplace")):
        render.show_document(Output.JSONL, {"text": "\xe9\U0001f680"}, "")
        assert json.loads(written.getvalue().decode(encoding)) == {"text": "\xe9\U0001f680"}
