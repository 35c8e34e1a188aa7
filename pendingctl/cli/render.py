"""How a command prints: text for people, JSON, JSON lines or CSV for programs.

Machine formats print nothing but data on stdout; notes and progress go to stderr. Text from the database is data:
it is never read as markup, and control characters in it are shown, not obeyed. rich is imported where it is used, so
that commands may import this module at their start.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from ..errors import InvalidInput
from ..printable import printable
from .options import Output

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Row: TypeAlias = Mapping[str, object]

# Wider than any line: a table in a pipe is as wide as its content and never cut.
_PIPE_WIDTH = 1_000_000


def show_document(output: Output, document: Row, text: RenderableType, *, rows: Sequence[Row] | None = None) -> None:
    """Print a result: `text` for people, `document` as JSON, `rows` (else the document) as JSON lines or CSV.

    Raises InvalidInput when stdout is closed or full.
    """
    records = [document] if rows is None else rows
    with _written():
        match output:
            case Output.TABLE:
                sys.stdout.write(_rendered(text))
            case Output.JSON:
                sys.stdout.write(_json(document, indent=2))
            case Output.JSONL:
                sys.stdout.writelines(map(_json, records))
            case Output.CSV:
                _write_csv(records)


@contextmanager
def console() -> Iterator[Console]:
    """Lend a console on stdout to code that prints by itself."""
    printing = _console()
    with _written():
        with printing.capture() as captured:
            yield printing
        sys.stdout.write(_trimmed(captured.get()))


def stdout_width() -> int:
    """Return how many columns stdout has; a pipe or a file has more than any line needs."""
    return _console().width


def note(text: str) -> None:
    """Print a remark beside the result, on stderr."""
    sys.stderr.write(f"note: {printable(text)}\n")


@contextmanager
def progress(label: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on stderr if that is a terminal; yields a function that adds a number of things done."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done: bar.advance(task, done)


def one_line(value: object) -> str:
    """Return a text as one line of a table can hold it."""
    return printable(value).replace("\n", " ")


def _console() -> Console:
    from rich.console import Console

    console = Console(markup=False, highlight=False, emoji=False)
    # Colours may be forced on a pipe (FORCE_COLOR); rich then takes it for a terminal of 80 columns.
    if not sys.stdout.isatty():
        console.width = _PIPE_WIDTH
    return console


def _rendered(text: RenderableType) -> str:
    if isinstance(text, str):
        return printable(text) + "\n"
    console = _console()
    with console.capture() as captured:
        console.print(text, crop=False)
    return _trimmed(captured.get())


def _trimmed(text: str) -> str:
    """Drop the spaces that pad a table's lines: they are in the way of whoever copies or compares it."""
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


@contextmanager
def _written() -> Iterator[None]:
    """Flush what the block writes to stdout. When the reader of a pipe is gone, the command goes on to its exit code.

    Raises InvalidInput when stdout is closed or full; what the command did stays done.
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
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
