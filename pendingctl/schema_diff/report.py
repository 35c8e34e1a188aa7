"""The text of a result: one line per difference, and annotations for GitHub. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

from .model import Difference, SchemaDiff

NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Line:
    """The text of one difference, in the parts that a terminal colours. `line` is as in Difference."""

    line: int | None
    what: str
    expected: str
    actual: str
    hint: str = ""

    def text(self, file: str) -> str:
        """Return the whole text; `file` is the name of schema.sql."""
        return f"{self.what}: {file} says {self.expected} / database says {self.actual}{self.hint}"


def lines(compared: SchemaDiff) -> Iterator[Line]:
    """Yield a line for each difference, and a single one for the two halves of a likely rename."""
    paired = {(each.kind, each.renamed_to) for each in compared.differences if each.renamed_to is not None}
    for each in compared.differences:
        if each.renamed_to is not None:
            what, hint = f"{each.kind} {each.object} name", f", likely renamed{_followers(each)}"
            yield Line(each.line, what, each.object, each.renamed_to, hint)
        elif each.renamed_from is None or (each.kind, each.object) not in paired:
            what, expected, actual = f"{each.kind} {each.object} {each.attribute}", each.expected, each.actual
            if expected is not None and actual is not None and "\n" in expected and "\n" in actual:
                number, expected, actual = _first_differing_line(expected, actual)
                what += f" line {number}"
            hint = "" if each.attribute == "presence" else _followers(each)
            yield Line(each.line, what, _value(expected, each), _value(actual, each), hint)


def place(file: str, line: int | None) -> str:
    """Return the beginning of a line: the file, and the line in it if it is known."""
    return f"{file}: " if line is None else f"{file}:{line}: "


def github(compared: SchemaDiff, file: Path) -> Iterator[str]:
    """Yield GitHub's workflow commands: an error per difference, a warning for what was not compared."""
    for each in lines(compared):
        yield annotation("error", each.text(file.name), file, each.line)
    for left in compared.uncompared:
        yield annotation("warning", left.sentence, file, None)


def annotation(level: str, message: str, file: Path, line: int | None) -> str:
    """Return one workflow command, with a relative path if possible: GitHub starts from the root of the checkout."""
    shown = file.relative_to(Path.cwd()) if file.is_absolute() and file.is_relative_to(Path.cwd()) else file
    where = f"file={_property(shown.as_posix())}" + ("" if line is None else f",line={line}")
    return f"::{level} {where}::{_data(message)}"


def _first_differing_line(expected: str, actual: str) -> tuple[int, str | None, str | None]:
    """Return the number of the first line in which two texts differ, and that line of each."""
    pairs = zip_longest(expected.split("\n"), actual.split("\n"))
    return next((number, ours, theirs) for number, (ours, theirs) in enumerate(pairs, start=1) if ours != theirs)


def _value(value: str | None, difference: Difference) -> str:
    if value is None:
        return NOTHING
    if difference.attribute == "presence" and difference.folded:
        return f"{value} with {_counted(difference.folded)}"
    return value


def _followers(difference: Difference) -> str:
    return f", and so {_counted(difference.folded)}" if difference.folded else ""


def _counted(folded: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {kind if number == 1 else _plural(kind)}" for kind, number in folded.items())


def _plural(kind: str) -> str:
    if kind.endswith("y"):
        return kind[:-1] + "ies"
    return kind + ("es" if kind.endswith(("x", "s")) else "s")


# The runner's own escapes (actions/toolkit, packages/core/src/command.ts).
def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
