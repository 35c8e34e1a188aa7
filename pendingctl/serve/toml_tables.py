"""Typed reading of a TOML file: each problem is a line with the path of its key, and all of them are found at once.

A value that is wrong is reported, and its fallback stands for it, so that the rest is read too: whoever reads a file
uses nothing of it while there are problems. What stands where a secret is expected is never quoted.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType
from typing import Self, TypeAlias, TypeVar

from ..errors import InvalidInput
from ..printable import printable
from ..words import read_duration

_MOST_SECRET_BYTES = 64 * 1024
_MOST_FILE_BYTES = 1024 * 1024
# Above it the system's own calls fail, such as that which raises the limit of files for so many clients.
_MOST_NUMBER = 2**31 - 1
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")

# What tomllib returns (docs.python.org, "tomllib", section "Conversion Table").
TomlValue: TypeAlias = "str | int | float | bool | date | time | Sequence[TomlValue] | Mapping[str, TomlValue]"
Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Source:
    """Where the secrets of a file come from, and what is wrong with it so far."""

    folder: Path
    environ: Mapping[str, str] = field(repr=False)
    problems: list[str] = field(default_factory=list)


class Table:
    """A table of the file, to be read in a `with` block; at its end the keys that nobody has read are reported."""

    def __init__(self, source: Source, values: Mapping[str, TomlValue], path: str = "") -> None:
        self._source = source
        self._values = values
        self.path = path
        self._known: dict[str, None] = {}
        self._before = 0

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __enter__(self) -> Self:
        self._before = len(self._source.problems)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Ahead of the others of this table, since a mistyped key may be why another is missing.
        unknown = [key for key in self._values if key not in self._known]
        self._source.problems[self._before : self._before] = [
            f"{self._at(key)}: there is no such key; {self._suggestion(key)}" for key in unknown
        ]

    def report(self, key: str, problem: str, *, index: int | None = None) -> None:
        """Note what is wrong with a key, or with one value of its list."""
        self._source.problems.append(f"{self._at(key, index)}: {printable(problem)}")

    def find(self, key: str, *, is_required: bool = False) -> TomlValue | None:
        """Return a key's value as it is, None where there is none."""
        self._known[key] = None
        if is_required and key not in self._values:
            self.report(key, "is missing")
        return self._values.get(key)

    def read(self, key: str, parse: Callable[[TomlValue], Read], fallback: Read, *, is_required: bool = False) -> Read:
        """Return what `parse` makes of a key's value.

        It is the fallback where there is none, and where `parse` raises ValueError or InvalidInput, which is reported.
        """
        value = self.find(key, is_required=is_required)
        return fallback if value is None else self._parsed(key, None, parse, value, fallback)

    def read_list(
        self, key: str, parse: Callable[[TomlValue], Read], *, least: int = 0, most: int | None = None
    ) -> tuple[Read, ...]:
        """Return what `parse` makes of each value of a list, which is empty where there is none."""
        values = self.find(key, is_required=least > 0)
        if values is None:
            return ()
        if not isinstance(values, list):
            self.report(key, unexpected("a list", values))
            return ()
        if len(values) < least:
            self.report(key, "is empty; name one at least")
        if most is not None and len(values) > most:
            self.report(key, f"has {len(values)} values; {most} at most are allowed")
        parsed = [self._parsed(key, index, parse, value, None) for index, value in enumerate(values)]
        return tuple(each for each in parsed if each is not None)

    def table(self, key: str, *, is_required: bool = False) -> Table:
        """Return the table of a key, an empty one where there is none."""
        value = self.find(key, is_required=is_required)
        if value is not None and not isinstance(value, Mapping):
            self.report(key, unexpected("a table", value))
            # Whatever is read from it now is no further problem.
            return Table(Source(self._source.folder, {}), {}, self._at(key))
        return Table(self._source, value or {}, self._at(key))

    def names(self, parse: Callable[[TomlValue], str]) -> tuple[str, ...]:
        """Return the keys where they are names that the file chooses; those that `parse` refuses are reported."""
        self._known.update(dict.fromkeys(self._values))
        return tuple(key for key in self._values if self._parsed(key, None, parse, key, None) is not None)

    def secret(self, value: TomlValue) -> str:
        """Return what a string, `{ env = "NAME" }` or `{ file = "/path" }` stands for. Raises ValueError.

        A file's path is relative to the folder of the configuration; one line end at its end is dropped.
        """
        match value:
            case str():
                return _checked_secret(value, "the secret")
            case {"env": str(name), **rest} if not rest:
                if name not in self._source.environ:
                    raise ValueError(f"the environment variable {name} is not set")
                return _checked_secret(self._source.environ[name], f"the environment variable {name}")
            case {"file": str(name), **rest} if not rest:
                path = self._source.folder / name
                content = read_text(path, _MOST_SECRET_BYTES)
                return _checked_secret(re.sub(r"\r?\n\Z", "", content), f"the file {path}")
        raise ValueError(unexpected('a string, { env = "NAME" } or { file = "/path" }', value))

    def file(self, value: TomlValue) -> Path:
        """Return the path of a file, relative to the configuration's folder. Raises ValueError if it cannot be read."""
        path = self._source.folder / text(value)
        try:
            with path.open("rb") as file:
                file.read(1)
        except (OSError, ValueError) as error:
            raise ValueError(f"the file {path} cannot be read: {_reason(error)}") from None
        return path

    def _parsed(
        self, key: str, index: int | None, parse: Callable[[TomlValue], Read], value: TomlValue, fallback: Read
    ) -> Read:
        try:
            return parse(value)
        except (ValueError, InvalidInput) as error:
            self.report(key, str(error), index=index)
            return fallback

    def _at(self, key: str, index: int | None = None) -> str:
        written = key if _BARE_KEY.fullmatch(key) else f'"{printable(key)}"'
        path = f"{self.path}.{written}" if self.path else written
        return path if index is None else f"{path}[{index}]"

    def _suggestion(self, key: str) -> str:
        unused = [known for known in self._known if known not in self._values]
        if near := get_close_matches(key, unused, n=1):
            return f"is {near[0]!r} meant?"
        return f"known here are {', '.join(self._known)}" if self._known else "this table has none"


def read_toml(path: Path) -> Mapping[str, TomlValue]:
    """Return the content of a TOML file. Raises ValueError, with line and column where there is one."""
    content = read_text(path, _MOST_FILE_BYTES)
    try:
        return tomllib.loads(content)
    except RecursionError:
        raise ValueError("is nested too deeply") from None


def read_text(path: Path, most_bytes: int) -> str:
    """Return the content of a file of UTF-8. Raises ValueError, which quotes nothing of it."""
    try:
        with path.open("rb") as file:
            content = file.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        raise ValueError(f"the file {path} cannot be read: {_reason(error)}") from None
    if len(content) > most_bytes:
        raise ValueError(f"the file {path} is over {most_bytes // 1024} KiB")
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise ValueError(f"the file {path} is not UTF-8") from None


def text(value: TomlValue) -> str:
    """Return text as it is. Raises ValueError for another type."""
    if not isinstance(value, str):
        raise ValueError(unexpected("text", value))
    return value


def whole_number(least: int) -> Callable[[TomlValue], int]:
    """Return what reads a whole number from the least to 2³¹ - 1. It raises ValueError for anything else."""

    def parse(value: TomlValue) -> int:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ValueError(unexpected("a whole number", value))
        if value < least:
            raise ValueError(f"is {value}; it must be at least {least}")
        if value > _MOST_NUMBER:
            raise ValueError(f"is over {_MOST_NUMBER:,}; choose a smaller one")
        return value

    return parse


def duration(value: TomlValue) -> timedelta:
    """Return the length of time that `90s`, `30m`, `24h` or `7d` means. Raises ValueError for anything else."""
    if not isinstance(value, str):
        raise ValueError(unexpected('a duration such as "90s"', value))
    return read_duration(value)


def unexpected(expected: str, value: TomlValue) -> str:
    """Say that a value is of another type; the value itself is left out, since it may be a secret."""
    match value:
        case str():
            found = "text"
        case bool():
            found = "true" if value else "false"
        case int():
            found = "a whole number"
        case float():
            found = "a number"
        case date() | time():
            found = "a date or a time"
        case Mapping():
            found = "another table" if "{" in expected else "a table"
        case _:
            found = "a list"
    return f"expected {expected}, not {found}"


def _checked_secret(value: str, name: str) -> str:
    if not value.strip():
        raise ValueError(f"{name} is empty")
    # What a variable holds that is not UTF-8 has lone surrogates here.
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"{name} is not UTF-8")
    return value


def _reason(error: OSError | ValueError) -> str:
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else "its name is no path"
