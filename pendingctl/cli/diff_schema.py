"""pendingctl diff-schema"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DatabaseFailed, InvalidInput
from . import render
from .database import database_of
from .options import DsnOption, Output, OutputOption

if TYPE_CHECKING:
    from ..schema_diff import Group, Options, SchemaDiff


# Where schema.sql is at fault, as the errors of its parser and its load begin.
_FAULT = re.compile(r"(?P<file>[^\n]+?):(?P<line>\d+):(?:\d+:)? (?P<message>[^\n]*)")


def diff_schema(
    context: typer.Context,
    schema: Annotated[
        list[Path] | None,
        typer.Option(
            "--schema",
            metavar="FILE",
            show_default=False,
            help="Compare this file, or a folder's .sql files in the order of their names; else pendingctl's own "
            "schema.sql. Repeatable.",
        ),
    ] = None,
    dsn: DsnOption = None,
    migrations: Annotated[
        Path | None,
        typer.Option(
            "--migrations",
            metavar="DIR",
            show_default=False,
            help="Compare with what these yoyo migrations make of an empty database, instead of a live one.",
        ),
    ] = None,
    schemas: Annotated[
        str | None,
        typer.Option(
            "--schemas", metavar="NAMES", show_default=False, help="Only these schemas, as in public,app; else all."
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(
            "--ignore",
            metavar="PATTERN",
            show_default=False,
            help="Leave out what this matches, as in 'table public.old_*', 'public.t.a.default' or 'sequences'. "
            "Repeatable.",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            "--without",
            metavar="GROUP",
            show_default=False,
            help="Leave out what is made at run time: partitions, bookkeeping (the tables of other migration tools) or "
            "replication (publications and subscriptions). Repeatable.",
        ),
    ] = None,
    scratch: Annotated[
        str,
        typer.Option(
            "--scratch",
            metavar="WHERE",
            help="Where the file is loaded: auto, local, database, embedded, or the DSN of an empty database.",
        ),
    ] = "auto",
    privileges: Annotated[bool, typer.Option("--privileges", help="Compare owners and grants too.")] = False,
    extension_versions: Annotated[
        bool, typer.Option("--extension-versions", help="Compare the versions of extensions too.")
    ] = False,
    column_order: Annotated[
        bool, typer.Option("--column-order", help="Take another order of columns for a difference.")
    ] = False,
    github: Annotated[
        bool, typer.Option("--github", help="Print annotations for a pull request too (stderr with -o json).")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Compare a hand-written schema.sql with the database.

    The database is only read. Exit code 1 is drift, 3 that something could not be compared. With --debug before the
    command, the options that were left out because they are the server's own are listed.

    Example: pendingctl diff-schema --schema schema.sql --migrations migrations/
    """
    from .. import schema_diff

    options = schema_diff.Options(
        schemas=_names(schemas),
        ignore=tuple(ignore or ()),
        without=_groups(without or ()),
        column_order=column_order,
        privileges=privileges,
        extension_versions=extension_versions,
    )
    with _annotated(github):
        compared = _compare(schema or (), dsn, migrations, scratch, options)
    if context.find_root().params.get("debug"):
        for sentence in compared.details:
            render.note(sentence)
    _show(compared, output, github=github)
    if compared.differences:
        raise typer.Exit(1)
    if compared.uncompared:
        raise typer.Exit(DatabaseFailed.exit_code)


def _compare(
    schema: Sequence[Path], dsn: str | None, migrations: Path | None, scratch: str, options: Options
) -> SchemaDiff:
    from .. import schema_diff

    if not scratch.strip():
        raise InvalidInput("--scratch is empty; give auto, local, database, embedded or a connection string")
    if migrations is not None:
        if dsn is not None:
            raise InvalidInput("--dsn and --migrations are two ways to name the other side; give one of them")
        return schema_diff.diff_migrations(migrations, schema, scratch=scratch, options=options)
    with database_of(dsn) as database:
        return schema_diff.diff_schema(database, schema, scratch=scratch, options=options)


def _groups(names: Sequence[str]) -> frozenset[Group]:
    from ..schema_diff import Group

    known = {str(group): group for group in Group}
    for name in names:
        if name not in known:
            raise InvalidInput(f"--without leaves out {', '.join(known)}, not {name}; --ignore takes patterns of names")
    return frozenset(known[name] for name in names)


def _names(text: str | None) -> tuple[str, ...] | None:
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise InvalidInput("--schemas wants names with commas between them, as in public,app")
    return names


def _show(compared: SchemaDiff, output: Output, *, github: bool) -> None:
    from . import drift_report

    for sentence in (*compared.notes, *(each.sentence for each in compared.uncompared)):
        render.note(sentence)
    rows = [asdict(difference) for difference in compared.differences]
    annotations = list(_annotations(compared)) if github else []
    if output is not Output.TABLE:
        sys.stderr.writelines(f"{render.one_line(each)}\n" for each in annotations)
    document = {
        "identical": compared.identical,
        "differences": rows,
        "uncompared": [asdict(each) for each in compared.uncompared],
        "notes": list(compared.notes),
    }
    # Only people's own format needs rich.
    text = drift_report.text(compared, annotations) if output is Output.TABLE else ""
    render.show_document(output, document, text, rows=rows)


def _annotations(compared: SchemaDiff) -> Iterator[str]:
    from ..schema_diff import github

    first = next(iter(compared.schema_files), Path())
    return github.workflow_commands(compared, github.repository_root(first, _workspace()))


@contextmanager
def _annotated(github: bool) -> Iterator[None]:
    """Annotate what keeps the schema from being loaded, at its line if it is known."""
    try:
        yield
    except InvalidInput as error:
        if github:
            _annotate_fault(str(error))
        raise


def _annotate_fault(message: str) -> None:
    from ..printable import printable
    from ..schema_diff import github

    fault = _FAULT.match(message)
    file = None if fault is None else Path(fault["file"])
    line = None if fault is None else int(fault["line"])
    root = github.repository_root(file or Path(), _workspace())
    said = github.annotation("error", message if fault is None else fault["message"], file, line, root)
    sys.stderr.write(f"{printable(said)}\n")


def _workspace() -> Path | None:
    workspace = os.environ.get("GITHUB_WORKSPACE")
    return Path(workspace) if workspace else None
