"""The text of a script, and the files and lines that its parts are from. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, field

_EXCERPT_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a text that is from one file: where it begins, in the text and in the file."""

    start: int
    label: str
    first_line: int


@dataclass(frozen=True, slots=True)
class Source:
    """A text that is from one file or from several, and the places of its offsets in them."""

    text: str
    parts: tuple[Part, ...]
    _line_starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        starts = (0, *(found.end() for found in re.finditer("\n", self.text)))
        object.__setattr__(self, "_line_starts", starts)

    def line(self, offset: int) -> int:
        """Return the line of the text, from 1, of an offset in characters."""
        return bisect_right(self._line_starts, offset)

    def place(self, line: int) -> tuple[str, int]:
        """Return the file that has this line of the text, and its number there."""
        start = self._line_starts[line - 1]
        part = self.parts[max(bisect_right(self.parts, start, key=lambda each: each.start) - 1, 0)]
        return part.label, part.first_line + line - self.line(part.start)

    def mention(self, offset: int) -> str:
        """Return how a note names the line of an offset; the file only where there are several."""
        label, line = self.place(self.line(offset))
        return f"line {line}" if len(self.parts) == 1 else f"{label} line {line}"

    def complaint(self, offset: int, message: str) -> str:
        """Return `file:line:column: message`, followed by the line and a caret below it."""
        offset = min(max(offset, 0), len(self.text.rstrip()))
        line = self.line(offset)
        start = self._line_starts[line - 1]
        label, line = self.place(line)
        text = self.text[start:].partition("\n")[0].rstrip("\r")
        column = offset - start
        first = max(0, column - _EXCERPT_CHARACTERS // 2)
        excerpt = text[first : first + _EXCERPT_CHARACTERS]
        indent = "".join(character if character == "\t" else " " for character in text[first:column])
        return f"{label}:{line}:{column + 1}: {message}\n  {excerpt}\n  {indent}^"
