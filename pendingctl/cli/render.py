"""How a command prints: text for people, JSON, JSON lines or CSV for programs.

Machine formats print nothing but data on stdout; notes and progress go to stderr. Text from the database is data:
it is never read as markup, and no format holds a character in it that could steer a terminal. rich is imported where it
is used, so that commands may import this module at their start.
"""

from __future__ import annotations

import csv
import errno
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, TypeAlias

from ..errors import InvalidInput
from ..printable import printable, printable_lines
from .options import Output

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Row: TypeAlias = Mapping[str, object]
# A line, several lines, or what rich lays out.
Text: TypeAlias = "Sequence[str] | RenderableType"

# Wider than any line: a table in a pipe is as wide as its content and never cut.
PIPE_WIDTH = 1_000_000

# Where a spreadsheet takes a cell for a formula, and what keeps it from that
# (owasp.org/www-community/attacks/CSV_Injection; the wide forms are read like the narrow ones).
_FORMULA_BEGINS = tuple("=+-@\t\r\n＝＋－＠")
_TEXT_BEGINS = "'"


def show_document(output: Output, document: Row, text: Text, *, rows: Sequence[Row] | None = None) -> None:
    """Print a result: `text` for people, `document` as JSON, `rows` (else the document) as JSON lines or CSV.

    Raises InvalidInput when stdout is closed or full.
    """
    with _written():
        _write(output, document, text, [document] if rows is None else rows)


@contextmanager
def streamed(output: Output) -> Iterator[Callable[[Sequence[Row]], None]]:
    """Lend a function that prints rows as JSON lines or CSV, again and again, and keeps none of them.

    The block ends early where the reader of a pipe is gone. Raises InvalidInput when stdout is closed or full.
    """
    with_header = True

    def write(rows: Sequence[Row]) -> None:
        nonlocal with_header
        if output is Output.CSV:
            _write_csv(rows, with_header=with_header)
        else:
            _write(output, {}, "", rows)
        with_header = with_header and not rows
        sys.stdout.flush()

    with _written():
        yield write


@contextmanager
def streamed_lines() -> Iterator[Callable[[Sequence[str]], None]]:
    """Lend a function that prints lines for people, again and again; as `streamed` does."""

    def write(lines: Sequence[str]) -> None:
        _write(Output.TABLE, {}, lines, [])
        sys.stdout.flush()

    with _written():
        yield write


@contextmanager
def streamed_document(output: Output, rest: Callable[[], Row]) -> Iterator[Callable[[Sequence[Row]], None]]:
    """Lend a function that prints the `rows` of a result, again and again, and keeps none of them.

    `rest` returns the fields after them, in JSON, which is whole also where the block ends early. JSON lines and CSV
    have the rows alone, and a table none. Where the reader of a pipe is gone the block goes on. Raises InvalidInput
    when stdout is closed or full.
    """
    with_header, is_first = True, True

    def write(rows: Sequence[Row]) -> None:
        nonlocal with_header, is_first
        with _written():
            match output:
                case Output.TABLE:
                    pass
                case Output.JSON:
                    for row in rows:
                        sys.stdout.write(f"{'' if is_first else ','}\n    {json_text(row)}")
                        is_first = False
                case Output.JSONL:
                    _write(output, {}, "", rows)
                case Output.CSV:
                    _write_csv(rows, with_header=with_header)
                    with_header = with_header and not rows

    if output is not Output.JSON:
        yield write
        return
    with _written():
        sys.stdout.write('{\n  "rows": [')
    try:
        yield write
    finally:
        with _written():
            further = "".join(f",\n  {json_text(name)}: {json_text(value)}" for name, value in rest().items())
            sys.stdout.write(("]" if is_first else "\n  ]") + further + "\n}\n")


def hand_over(output: Output, document: Row, text: Text) -> None:
    """Print a result that counts as handed over once stdout has taken it. Raises OSError when it has not."""
    if sys.stdout is None:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))
    try:
        _write(output, document, text, [document])
        sys.stdout.flush()
    except BaseException:
        _drop_stdout()
        raise


def _write(output: Output, document: Row, text: Text, records: Sequence[Row]) -> None:
    match output:
        case Output.TABLE:
            sys.stdout.write(_rendered(text))
        case Output.JSON:
            sys.stdout.write(json_text(document, indent=2) + "\n")
        case Output.JSONL:
            sys.stdout.writelines(f"{json_text(record)}\n" for record in records)
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


def stderr_width() -> int:
    """Return how many columns stderr has; 80 where it is no terminal, since what stands there is read in a log."""
    from rich.console import Console

    return Console(file=sys.stderr).width if sys.stderr.isatty() else 80


def show_beside(text: RenderableType) -> None:
    """Print what rich lays out beside the result, on stderr."""
    from rich.console import Console

    console = Console(file=sys.stderr, markup=False, highlight=False, emoji=False)
    if not sys.stderr.isatty():
        console.width = PIPE_WIDTH
    with console.capture() as captured:
        console.print(text, crop=False)
    sys.stderr.write(_trimmed(captured.get()))


def stdout_has_colours() -> bool:
    """Whether what is printed on stdout may have colours, and characters that draw."""
    console = _console()
    return console.color_system is not None and not console.no_color


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
    return printable(str(value).replace("\n", " "))


def _console() -> Console:
    from rich.console import Console

    console = Console(markup=False, highlight=False, emoji=False)
    # Colours may be forced on a pipe (FORCE_COLOR); rich then takes it for a terminal of 80 columns.
    if not sys.stdout.isatty():
        console.width = PIPE_WIDTH
    return console


def _rendered(text: Text) -> str:
    if isinstance(text, str):
        return f"{printable(text)}\n"
    if isinstance(text, Sequence):
        return "".join(f"{printable(line)}\n" for line in text)
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
        _drop_stdout()
        if not isinstance(error, BrokenPipeError):
            raise InvalidInput(f"the result could not be written to stdout: {error.strerror}") from error


def _drop_stdout() -> None:
    """Let what is left in stdout's buffer go nowhere, or the interpreter would fail on it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def json_text(value: object, indent: int | None = None) -> str:
    """Return JSON that is as readable as can be: characters that do not print are escaped, and no others.

    Where stdout's encoding is none of Unicode's, which lacks some, all but ASCII is escaped.
    """
    encoding = "utf-8" if sys.stdout is None else (sys.stdout.encoding or "utf-8")
    text = json.dumps(value, default=_plain, ensure_ascii=not encoding.lower().startswith("utf"), indent=indent)
    return re.sub(r"[^\n -~]", lambda found: found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1], text)


def _write_csv(rows: Sequence[Row], *, with_header: bool = True) -> None:
    if not rows:
        return
    writer = csv.writer(sys.stdout, lineterminator="\n")
    if with_header:
        writer.writerow(rows[0])
    for row in rows:
        writer.writerow(_cell(value) for value in row.values())


def _cell(value: object) -> object:
    if isinstance(value, (list, tuple, dict)):
        return json_text(value)
    plain = _plain(value)
    if not isinstance(plain, str):
        return plain
    return printable_lines(f"{_TEXT_BEGINS}{plain}" if plain.startswith(_FORMULA_BEGINS) else plain)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.isoformat()
    return value if value is None or isinstance(value, (bool, int, float)) else str(value)
