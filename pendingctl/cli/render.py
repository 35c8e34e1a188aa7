"""What a command prints: tables for people, JSON, JSON lines or CSV for programs. Imports rich, as race_report does.

Machine formats print nothing but data on stdout; notes and progress go to stderr. Text from the database is data:
it is never read as markup, and control characters in it are shown, not obeyed.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, TypeAlias

from ..errors import InvalidInput
from ..model import Counts, PendingInteraction, PendingSummary
from ..printable import printable
from .options import Output

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

Row: TypeAlias = Mapping[str, object]

# Wider than any row: a table in a pipe is as wide as its content and never cut.
PIPE_WIDTH = 100_000


def show_document(output: Output, document: Row, text: RenderableType) -> None:
    """Print one result; `text` is what a person reads, a plain string for most."""
    with _written():
        match output:
            case Output.TABLE:
                sys.stdout.write(_rendered(text))
            case Output.JSON:
                sys.stdout.write(_json(document, indent=2))
            case Output.JSONL:
                sys.stdout.write(_json(document))
            case Output.CSV:
                _write_csv([document])


def show_rows(
    output: Output, rows: Sequence[Row], further: Row, table: Callable[[Sequence[Row]], RenderableType]
) -> None:
    """Print a list; the JSON document holds it as `rows`, with the `further` fields beside it."""
    with _written():
        match output:
            case Output.TABLE:
                sys.stdout.write(_rendered(table(rows)))
            case Output.JSON:
                sys.stdout.write(_json({"rows": rows, **further}, indent=2))
            case Output.JSONL:
                sys.stdout.writelines(map(_json, rows))
            case Output.CSV:
                _write_csv(rows)


@contextmanager
def console() -> Iterator[Console]:
    """A console on stdout for what prints by itself."""
    printing = _console()
    with _written():
        with printing.capture() as captured:
            yield printing
        sys.stdout.write(_trimmed(captured.get()))


def note(text: str) -> None:
    """Say something beside the result, on stderr."""
    sys.stderr.write(f"note: {printable(text)}\n")


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr while a terminal watches; yields what to call with each number of things done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.advance(task, done)


def one_line(value: object) -> str:
    """Make a text fit for one line of a table."""
    return printable(value).replace("\n", " ")


def age(length: timedelta | float) -> str:
    """Say a length of time as people do: 45 s, 3 min, 5 h 20 min, 2 d 4 h."""
    seconds = int(length.total_seconds() if isinstance(length, timedelta) else length)
    for unit, smaller, size in (("d", "h", 86_400), ("h", "min", 3_600), ("min", "s", 60)):
        if seconds >= size:
            parts = {"h": 3_600, "min": 60, "s": 1}[smaller]
            rest = seconds % size // parts
            return f"{seconds // size} {unit}" + (f" {rest} {smaller}" if rest else "")
    return f"{max(seconds, 0)} s"


def counted(number: int, one: str, many: str) -> str:
    """Say how many there are: 1 row, 2 rows."""
    return f"{number:,} {one if number == 1 else many}"


def summary(row: PendingSummary) -> dict[str, object]:
    """A row as list prints it in JSON."""
    return {
        "id": row.id,
        "organization_id": row.organization_id,
        "connection_id": row.connection_id,
        "expected_user_id": row.expected_user_id,
        "state": row.state.value,
        "created_at": row.created_at,
        "claimed_at": row.claimed_at,
        "age_seconds": round(row.age_seconds, 3),
        "question": row.question,
        "ask_number": row.ask_number,
    }


def interaction(row: PendingInteraction) -> dict[str, object]:
    """A row as show prints it in JSON."""
    return {
        **summary(row),
        "answer": row.answer,
        "answered_by": row.answered_by,
        "delivery_key": row.delivery_key,
        "pod": row.pod,
        "delivery_attempts": row.delivery_attempts,
        "delivery_error": row.delivery_error,
        "delivered_at": row.delivered_at,
        "withdrawn_at": row.withdrawn_at,
        "posted_at": row.posted_at,
        "card": row.card,
        "payload": row.payload,
    }


def summaries_table(rows: Sequence[Row]) -> RenderableType:
    """The rows of list: ids whole whatever the width, the question cut where a terminal is too narrow."""
    from rich.text import Text

    if not rows:
        return "no questions"
    table = new_table()
    for heading in ("id", "organization", "connection", "user"):
        table.add_column(heading, overflow="fold")
    table.add_column("state", no_wrap=True)
    table.add_column("age", no_wrap=True, justify="right")
    table.add_column("question", overflow="ellipsis", no_wrap=True)
    for row in rows:
        ids = ("id", "organization_id", "connection_id", "expected_user_id")
        table.add_row(
            *(Text(one_line(row[name])) for name in ids),
            Text(str(row["state"]), style=_STATE_STYLES[str(row["state"])]),
            Text(age(float(str(row["age_seconds"])))),
            Text(one_line(row["question"] or "")),
        )
    return table


def fields_table(fields: Row) -> RenderableType:
    """One row, a line each field."""
    from rich.text import Text

    table = new_table(show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in fields.items():
        match value:
            case None:
                shown = "—"
            case float() if name == "age_seconds":
                shown = age(value)
            case datetime() | str() | int() | float():
                shown = str(_plain(value))
            case _:
                shown = json.dumps(value, default=_plain, ensure_ascii=False, indent=2)
        table.add_row(Text(name.removesuffix("_seconds")), Text(printable(shown)))
    return table


def stats_table(counts: Counts) -> RenderableType:
    """The totals, then a line each organization."""
    from rich.console import Group
    from rich.text import Text

    table = new_table(show_footer=True)
    table.add_column("organization", footer="all", overflow="fold")
    for name in ("pending", "stale", "undelivered", "stuck"):
        table.add_column(name, footer=f"{getattr(counts, name):,}", justify="right")
    for each in counts.organizations:
        waiting = (each.pending, each.stale, each.undelivered, each.stuck)
        table.add_row(Text(one_line(each.organization_id)), *(f"{number:,}" for number in waiting))
    said = [f"{counts.claimed:,} claimed", f"{counts.withdrawn:,} withdrawn"]
    if counts.oldest_pending_seconds is not None:
        said.append(f"the oldest question waits for {age(counts.oldest_pending_seconds)}")
    if counts.oldest_undelivered_seconds is not None:
        said.append(f"the oldest answer is undelivered for {age(counts.oldest_undelivered_seconds)}")
    return Group(table, Text(", ".join(said)))


def plain_table(rows: Sequence[Row]) -> RenderableType:
    """Rows of one shape, a column each field."""
    from rich.text import Text

    table = new_table()
    for name in rows[0] if rows else ():
        table.add_column(name.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line("" if value is None else _plain(value))) for value in row.values()))
    return table


_STATE_STYLES = {
    "stuck": "bold red",
    "undelivered": "magenta",
    "withdrawn": "dim",
    "claimed": "green",
    "stale": "red",
    "pending": "yellow",
}


def new_table(*, show_header: bool = True, show_footer: bool = False) -> Table:
    from rich import box
    from rich.table import Table

    return Table(
        box=box.SIMPLE_HEAD if show_header else None,
        show_header=show_header,
        show_footer=show_footer,
        show_edge=False,
        pad_edge=False,
        header_style="bold",
    )


def _console() -> Console:
    from rich.console import Console

    console = Console(markup=False, highlight=False, emoji=False)
    if not console.is_terminal:
        console.width = PIPE_WIDTH
    return console


def _rendered(text: RenderableType) -> str:
    if isinstance(text, str):
        return printable(text) + "\n"
    console = _console()
    with console.capture() as captured:
        console.print(text, crop=False)
    return _trimmed(captured.get())


def _trimmed(text: str) -> str:
    """Without the spaces that fill a table's lines up: they are in the way of whoever copies or compares it."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


@contextmanager
def _written() -> Iterator[None]:
    """Write to stdout at once. When nobody reads a pipe any more, the command goes on to its own exit code.

    Raises InvalidInput where stdout is closed or takes no more; what the command did stays done.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        # What is buffered still would fail once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            raise InvalidInput(f"the result could not be written to stdout: {error.strerror}") from error


def _json(document: Row, indent: int | None = None) -> str:
    return json.dumps(document, default=_plain, ensure_ascii=False, indent=indent) + "\n"


def _write_csv(rows: Sequence[Row]) -> None:
    if not rows:
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(rows[0])
    for row in rows:
        writer.writerow(_cell(value) for value in row.values())


def _cell(value: object) -> object:
    if isinstance(value, (list, tuple, dict)):
        return json.dumps(value, default=_plain, ensure_ascii=False)
    return _plain(value)


def _plain(value: object) -> object:
    match value:
        case datetime():
            return value.isoformat()
        case PendingSummary():
            return asdict(value)
        case _:
            return value if value is None or isinstance(value, (bool, int, float)) else str(value)
