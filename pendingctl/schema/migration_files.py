"""The files of a folder of migrations: yoyo reads and orders them; its gaps are closed here."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from yoyo import ancestors, read_migrations
from yoyo import exceptions as yoyo_exceptions
from yoyo.migrations import (
    MigrationStep,
    StepGroup,
    Transactionless,
    TransactionWrapper,
    parse_metadata_from_sql_comments,
    topological_sort,
)
from yoyo.topologicalsort import CycleError

from ..errors import InvalidInput
from .sql_text import split_statements, unix_line_ends, within_one_transaction

if TYPE_CHECKING:
    from yoyo.migrations import Migration

# A sequence number: two of them say that two branches were merged, and nobody has decided which one comes first. Dates,
# versions and yoyo's own names (20260101_01_a1b2C) may be followed by anything.
_NUMBER = re.compile(r"(?:0\d*|\d{1,3})(?=[_-](?!\d)|$)")

# In a rollback file: what can be had back by no further migration.
_LOSES = re.compile(r"^-- loses: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Status:
    """Which migrations a database has; `unknown` ones were applied by a newer version of pendingctl.

    In the order of the files, but for `latest`: the applied ones, the one applied last first.
    """

    applied: tuple[str, ...]
    pending: tuple[str, ...]
    unknown: tuple[str, ...]
    latest: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Step:
    """What would run, as SQL (the path of the file for one written in Python).

    A hook is one of yoyo's post-apply files: it runs whenever a migration was applied, and is never pending.
    """

    id: str
    sql: str
    is_hook: bool = False


class MigrationFiles:
    """The migrations of one folder, loaded and in the order of their dependencies, and the hooks after them.

    Raises InvalidInput when a file does not load, or when it is left to chance which of two comes first.
    """

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise InvalidInput(f"{directory} is not a folder of migrations")
        try:
            found = read_migrations(glob.escape(str(directory)))
        except yoyo_exceptions.MigrationConflict as conflict:
            raise InvalidInput(f"{directory} has both {conflict}.sql and {conflict}.py; rename one") from None
        for migration in (*found, *found.post_apply):
            _load(migration, {each.id: each for each in found})
        _check_numbers(found)
        try:
            self.by_id: dict[str, Migration] = {migration.id: migration for migration in topological_sort(found)}
        except CycleError as error:
            circle = ", ".join(each.id for each in error.args[1])
            raise InvalidInput(f"these migrations depend on each other in a circle: {circle}") from None
        self.hooks: tuple[Migration, ...] = tuple(found.post_apply)

    def status(self, applied: dict[str, str]) -> Status:
        """Return the state of a database, given its ids and the hashes of their contents, the latest last.

        Raises InvalidInput when an applied file was edited.
        """
        for id, recorded in applied.items():
            if id in self.by_id and recorded != self.content_sha256(id):
                raise InvalidInput(
                    f"migration {id} was edited after it had been applied; "
                    "restore the file and put the change into a new one"
                )
        return Status(
            applied=tuple(id for id in self.by_id if id in applied),
            pending=tuple(id for id in self.by_id if id not in applied),
            unknown=tuple(id for id in applied if id not in self.by_id),
            latest=tuple(id for id in reversed(applied) if id in self.by_id),
        )

    def up_to(self, pending: tuple[str, ...], to: str | None) -> tuple[str, ...]:
        """Return the pending ones up to and including `to`. Raises InvalidInput when there is no such file."""
        if to is None:
            return pending
        if to not in self.by_id:
            raise InvalidInput(f"there is no migration {to}; there are: {', '.join(self.by_id)}")
        order = list(self.by_id)
        return tuple(id for id in pending if order.index(id) <= order.index(to))

    def latest(self, status: Status, count: int) -> list[str]:
        """Return the ids applied last, the latest first. Raises InvalidInput when one of them has no rollback."""
        if status.unknown:
            raise InvalidInput(
                f"a newer pendingctl applied {', '.join(status.unknown)}; "
                "roll back with that version, which has the files"
            )
        chosen = list(status.latest[:count])
        for id in chosen:
            migration = self.by_id[id]
            if migration.is_raw_sql() and not _rollback_file(migration).is_file():
                raise InvalidInput(f"migration {id} has no {_rollback_file(migration).name}; nothing was rolled back")
        return chosen

    def steps(self, ids: Sequence[str]) -> list[Step]:
        """Return what applying these would run, the hooks included."""
        hooks = self.hooks if ids else ()
        return [_step(self.by_id[id]) for id in ids] + [_step(hook, is_hook=True) for hook in hooks]

    def content_sha256(self, id: str) -> str:
        """Return the hash of a file's content; a checkout that rewrites line ends has not edited it."""
        content = Path(self.by_id[id].path).read_bytes().replace(b"\r\n", b"\n")
        return hashlib.sha256(content).hexdigest()

    def losses(self, ids: Sequence[str]) -> list[str]:
        """Return each rollback file's `-- loses:` line."""
        files = [_rollback_file(self.by_id[id]) for id in ids]
        found = [_LOSES.search(_read(file)) for file in files if file.is_file()]
        return [match[1] for match in found if match is not None and match[1] != "nothing"]


def _check_numbers(found: Sequence[Migration]) -> None:
    seen: dict[str, list[Migration]] = {}
    for migration in found:
        number = _NUMBER.match(migration.id)
        if number is None:
            continue
        for other in seen.setdefault(number[0], []):
            # One that names the other in `depends` comes after it.
            if migration not in ancestors(other, found) and other not in ancestors(migration, found):
                raise InvalidInput(
                    f"migrations {other.id} and {migration.id} share the number {number[0]}; "
                    "rename one, or name one in the other's depends"
                )
        seen[number[0]].append(migration)


def _load(migration: Migration, found: Mapping[str, Migration]) -> None:
    """Load one file, or raise InvalidInput: yoyo skips a file that does not load and applies the ones after it."""
    try:
        if migration.is_raw_sql():
            _load_sql(migration, found)
            return
        migration.load()
        if migration.use_transactions:
            for step in migration.steps:
                _keep_in_one_transaction(step)
    except (yoyo_exceptions.BadMigration, KeyError, OSError, UnicodeDecodeError) as error:
        reason = error.__cause__ or error.__context__ or error
        raise InvalidInput(f"migration {migration.id} does not load: {reason!r}") from error


def _load_sql(migration: Migration, found: Mapping[str, Migration]) -> None:
    """As Migration.load: that reads the locale's encoding, and makes a line feed of each carriage return."""
    migration.source = _read(Path(migration.path))
    directives, _, _ = parse_metadata_from_sql_comments("\n".join(migration.source.splitlines()))
    migration.use_transactions = {"true": True, "false": False}[directives.get("transactional", "true").lower()]
    missing = [id for id in directives.get("depends", "").split() if id not in found]
    if missing:
        raise yoyo_exceptions.BadMigration(f"it depends on {', '.join(missing)}, which is not there")
    migration._depends = {found[id] for id in directives.get("depends", "").split()}
    rollback = _rollback_file(migration)
    migration.steps = _sql_steps(migration, _read(rollback) if rollback.is_file() else None)


def _sql_steps(migration: Migration, undo: str | None) -> list[Any]:
    if migration.use_transactions:
        # The server takes a transactional file as a whole.
        wanted = within_one_transaction(str(migration.source))
        return [MigrationStep(0, wanted, None if undo is None else within_one_transaction(undo))]
    # As yoyo pairs them: where a statement fails, the rollbacks of those before it are run.
    pairs = zip_longest(_executable(str(migration.source)), reversed(list(_executable(undo or ""))))
    return [Transactionless(MigrationStep(number, *pair)) for number, pair in enumerate(pairs)]


def _executable(text: str) -> Iterator[str]:
    return (each.text for each in split_statements(text) if each.words)


def _keep_in_one_transaction(step: Any) -> None:
    if isinstance(step, TransactionWrapper):
        _keep_in_one_transaction(step.step)
    elif isinstance(step, StepGroup):
        for each in step.steps:
            _keep_in_one_transaction(each)
    else:
        for direction in ("_apply", "_rollback"):
            if isinstance(getattr(step, direction), str):
                setattr(step, direction, within_one_transaction(getattr(step, direction)))


def _step(migration: Migration, *, is_hook: bool = False) -> Step:
    sql = str(migration.source) if migration.is_raw_sql() else f"-- runs {migration.path}\n"
    return Step(migration.id, sql, is_hook)


def _read(path: Path) -> str:
    return unix_line_ends(path.read_bytes().decode("utf-8-sig"))


def _rollback_file(migration: Migration) -> Path:
    # As yoyo names it, whatever other dots the name has.
    return Path(migration.path).with_suffix(".rollback.sql")
