"""The files of a schema: those that the caller names, those of a folder, and those that psql's `\\i` includes.

Nothing outside of the folders of the named files is read: a schema file may come from a stranger's pull request, and
an error message quotes the line at which a file does not parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInput

# Files that include each other several times over would otherwise be read without end.
MAXIMUM_FILES = 10_000
MAXIMUM_CHARACTERS = 200_000_000
MAXIMUM_DEPTH = 100

# To the end of the line; psql removes a semicolon after the path.
_INCLUDE = re.compile(
    r"\\(?P<command>i|ir|include|include_relative)[ \t]+"
    r"(?:'(?P<quoted>(?:[^'\n]|'')+)'|(?P<plain>[^\s';\\]+))[ \t]*;?[ \t]*(?:--[^\n]*)?\r?(?=\n|\Z)"
)


@dataclass(frozen=True, slots=True)
class Include:
    """A command of psql that includes a file: where it ends, the path as written, and whether `\\ir` was written."""

    end: int
    path: str
    relative: bool


def include_at(text: str, offset: int) -> Include | None:
    """Return the command at this offset, if one stands there."""
    found = _INCLUDE.match(text, offset)
    if found is None:
        return None
    path = found["plain"] or found["quoted"].replace("''", "'")
    return Include(found.end(), path, found["command"] in ("ir", "include_relative"))


class Folders:
    """The folders in which files may be included, and how much has been read from them."""

    def __init__(self, given: Sequence[Path]) -> None:
        self._roots = tuple(dict.fromkeys(each if each.is_dir() else each.parent for each in given))
        self._files = 0
        self._characters = 0

    def count(self, path: Path, characters: int) -> None:
        """Count a file that is read. Raises InvalidInput when it is one too many."""
        self._files += 1
        self._characters += characters
        if self._files > MAXIMUM_FILES or self._characters > MAXIMUM_CHARACTERS:
            raise InvalidInput(
                f"{path} is one too many: with what they include, the files are more than {MAXIMUM_FILES}, "
                f"or longer than {MAXIMUM_CHARACTERS} characters"
            )

    def included(self, include: Include, by: Path, above: Sequence[Path]) -> Path:
        """Return the file that a command in the file `by` includes; `above` are the files that included that one.

        As in psql, `\\ir` is relative to the including file and `\\i` to the current directory; for `\\i` the folders
        of the named files are tried too, from which psql may have been run. Raises ValueError that says what is wrong.
        """
        bases = (by.parent,) if include.relative else (Path(), *self._roots)
        inside = [each for base in bases if self._is_inside(each := _joined(base, include.path))]
        if not inside:
            roots = " and ".join("the current directory" if root == Path() else str(root) for root in self._roots)
            raise ValueError(
                f"{include.path} is outside of {roots}, and nothing else is read; give its folder with --schema too"
            )
        found = next((each for each in inside if each.is_file()), None)
        if found is None:
            raise ValueError(f"{inside[0]} is no file")
        if found.resolve() in (by.resolve(), *above):
            raise ValueError(f"{found} would include itself")
        if len(above) >= MAXIMUM_DEPTH:
            raise ValueError(f"files include each other more than {MAXIMUM_DEPTH} deep")
        return found

    def _is_inside(self, path: Path) -> bool:
        # After symbolic links, which may lead outside.
        return any(path.resolve().is_relative_to(root.resolve()) for root in self._roots)


def named_files(given: Sequence[Path]) -> Iterator[Path]:
    """Yield the files to read: a folder's `.sql` files by name, those of its folders among them, none that is hidden.

    Raises InvalidInput for a folder without any.
    """
    for each in given:
        if not each.is_dir():
            yield each
            continue
        found = [
            path
            for path in sorted(each.rglob("*.sql"), key=lambda path: path.relative_to(each).parts)
            if path.is_file() and not any(part.startswith(".") for part in path.relative_to(each).parts)
        ]
        if not found:
            raise InvalidInput(f"{each} is a folder without .sql files")
        for path in found:
            if not path.resolve().is_relative_to(each.resolve()):
                raise InvalidInput(f"{path} is a link that leads out of {each}; nothing outside of it is read")
            yield path


def _joined(base: Path, path: str) -> Path:
    """Return a path as people write it, without the `..` in the middle."""
    parts: list[str] = []
    for part in (base / path).parts:
        if part == ".." and parts and parts[-1] not in ("..", "/"):
            parts.pop()
        else:
            parts.append(part)
    return Path(*parts)
