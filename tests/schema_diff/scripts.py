"""The folders of cases/ and equal/: what each says, and whether a server has what its scripts need."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

import pglast
import psycopg

from pendingctl.schema_diff import Difference, Options

HERE = Path(__file__).parent
CASES = sorted((HERE / "cases").iterdir())
EQUAL = sorted((HERE / "equal").iterdir())


@dataclass(frozen=True, slots=True)
class Expected:
    """What a folder's expected.json says; without one there are no differences, and any server will do."""

    differences: tuple[Difference, ...] = ()
    options: Options = field(default_factory=Options)
    oldest_major: int = 0
    needs_icu: bool = False
    needs_extension: str | None = None

    def lacking(self, connection: psycopg.Connection) -> str | None:
        """Return what a server lacks for these scripts, or None."""
        if connection.info.server_version // 10000 < self.oldest_major:
            return f"PostgreSQL {self.oldest_major} introduced this"
        if self.needs_icu:
            icu = connection.execute("select from pg_collation where collname = 'und-x-icu'").fetchone()
            if icu is None:
                return "this server was built without ICU"
        if self.needs_extension is not None:
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(f"create extension {self.needs_extension}".encode())
            except psycopg.errors.UndefinedFile:
                return f"the extension {self.needs_extension} of this server does not load here"
        return None


def expected_of(folder: Path) -> Expected:
    file = folder / "expected.json"
    if not file.exists():
        return Expected()
    fields = json.loads(file.read_text(encoding="utf-8"))
    differences = tuple(Difference(**each) for each in fields.pop("differences", ()))
    return Expected(differences, Options(**fields.pop("options", {})), **fields)


def make(dsn: str, script: Path) -> None:
    """Run a script as psql would, statement by statement."""
    text = script.read_text(encoding="utf-8")
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in pglast.split(text, only_slices=True):
            connection.execute(text[statement].encode())
