"""A result as annotations of a pull request, which are GitHub's workflow commands. Only paths are looked at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .model import Difference, SchemaDiff
from .report import lines

# GitHub shows so many annotations of each level for a step, and drops the others without a word (docs.github.com,
# "Workflow commands" and the limits of the Checks API).
SHOWN = 10

# What decides over who sees which row: where the database lacks it, rows are visible that must not be.
_PROTECTION_KINDS = frozenset({"policy"})
_PROTECTION = frozenset({"forced_row_security", "grants", "row_security", "security"})
# What changes the result of no statement.
_TUNING = frozenset(
    {
        "access_method",
        "clustered",
        "column_order",
        "comment",
        "compression",
        "cost",
        "index_comment",
        "not_null_comment",
        "not_null_name",
        "rows",
        "statistics_target",
        "statistics_targets",
        "storage",
        "storage_parameters",
        "tablespace",
    }
)


@dataclass(frozen=True, slots=True)
class _Annotation:
    message: str
    file: Path | None
    line: int | None


def workflow_commands(compared: SchemaDiff, root: Path) -> Iterator[str]:
    """Yield an error per difference, the worst first, and a warning for what was not compared.

    Of each, at most ten, with a notice that counts the others. Paths are relative to `root`, the repository's.
    """
    worst_first = sorted(lines(compared), key=lambda line: _rank(line.difference))
    given = compared.schema_files[0] if len(compared.schema_files) == 1 else None
    # A folder has no lines to annotate.
    whole = given if given is not None and not given.is_dir() else None
    errors = [
        _Annotation(line.sentence, Path(each.file) if each.file else whole, each.line)
        for line in worst_first
        for each in [line.difference]
    ]
    warnings = [_Annotation(left.sentence, whole, None) for left in compared.uncompared]
    yield from _limited("error", errors, "differences", root)
    yield from _limited("warning", warnings, "kinds of objects that are not compared", root)


def annotation(level: str, message: str, file: Path | None, line: int | None, root: Path) -> str:
    """Return one workflow command. A file outside of `root` keeps its path as given."""
    if file is None:
        return f"::{level}::{_data(message)}"
    # The file itself may be a link of the repository; its folder may be reached through another one.
    located = file.parent.resolve() / file.name
    shown = located.relative_to(root.resolve()) if located.is_relative_to(root.resolve()) else file
    where = f"file={_property(shown.as_posix())}" + ("" if line is None else f",line={line}")
    return f"::{level} {where}::{_data(message)}"


def repository_root(file: Path, workspace: Path | None) -> Path:
    """Return the root that GitHub's paths start from: the nearest folder above with a `.git`, or the workspace.

    `workspace` is GITHUB_WORKSPACE, in a part of which the repository may be checked out. Where the file is in neither,
    the current directory is returned.
    """
    folder = file.parent.resolve()
    above = (folder, *folder.parents)
    roots = (each for each in above if (each / ".git").exists() or (workspace and each == workspace.resolve()))
    return next(roots, Path.cwd())


def _limited(level: str, found: Sequence[_Annotation], what: str, root: Path) -> Iterator[str]:
    for each in found[:SHOWN]:
        yield annotation(level, each.message, each.file, each.line, root)
    if len(found) > SHOWN:
        more = len(found) - SHOWN
        message = f"{more} more of {len(found)} {what}: GitHub shows {SHOWN}, the log of this step has all of them"
        yield annotation("notice", message, None, None, root)


def _rank(difference: Difference) -> int:
    if difference.attribute in _TUNING:
        return 2
    lacking = difference.attribute == "presence" and difference.actual is None
    protects = difference.kind in _PROTECTION_KINDS or difference.attribute in _PROTECTION
    return 0 if lacking or protects else 1


# The runner's own escapes (actions/toolkit, packages/core/src/command.ts).
def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
