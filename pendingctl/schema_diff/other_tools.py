"""Recognises the folders of migration tools other than yoyo, which must not be run as yoyo's.

Only the names and the first lines of files are looked at: the files of Alembic and Django are programs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidInput

_LOOKED_AT_FILES = 50
_LOOKED_AT_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class _Tool:
    """A migration tool: how its folder is recognised, and the command that applies the folder to a database.

    One of `entries` in the folder, as a shell pattern, is enough, or `text` in one of the files that `text_in` matches.
    """

    name: str
    command: str
    entries: tuple[str, ...] = ()
    text_in: str = "*.sql"
    text: re.Pattern[str] | None = None


_TOOLS = (
    _Tool(
        "Alembic",
        "alembic upgrade head",
        ("script.py.mako", "alembic.ini", "versions/*.py"),
        "*.py",
        re.compile(r"^down_revision\b.*=|^from alembic import", re.MULTILINE),
    ),
    _Tool(
        "Django", "manage.py migrate", (), "*.py", re.compile(r"^from django\.db import .*\bmigrations\b", re.MULTILINE)
    ),
    _Tool("Prisma", "prisma migrate deploy", ("migration_lock.toml", "schema.prisma", "*/migration.sql")),
    _Tool("Sqitch", "sqitch deploy", ("sqitch.plan", "sqitch.conf")),
    _Tool("Atlas", "atlas migrate apply", ("atlas.sum",)),
    _Tool("Drizzle", "drizzle-kit migrate", ("meta/_journal.json",)),
    _Tool("Rails", "rails db:migrate", ("[0-9]*_*.rb",)),
    _Tool("dbmate", "dbmate up", text=re.compile(r"^--[ \t]*migrate:up\b", re.MULTILINE)),
    _Tool("goose", "goose up", text=re.compile(r"^--[ \t]*\+goose\b", re.MULTILINE)),
    _Tool("sql-migrate", "sql-migrate up", text=re.compile(r"^--[ \t]*\+migrate\b", re.MULTILINE)),
    _Tool("Liquibase", "liquibase update", text=re.compile(r"^--[ \t]*liquibase formatted sql", re.MULTILINE)),
    _Tool("Flyway", "flyway migrate", ("V[0-9]*__*.sql", "R__*.sql")),
    _Tool("golang-migrate", "migrate up", ("*.up.sql",)),
)
# What a folder of yoyo's own is recognised by, whatever else is in it.
_YOYO = re.compile(r"^from yoyo import|^import yoyo", re.MULTILINE)


def refuse_other_tools(directory: Path) -> None:
    """Raise InvalidInput for a folder that another tool's migrations are in, and for one without any migrations.

    A folder that cannot be read is left to whoever reads it next.
    """
    if not directory.is_dir():
        return
    programs, scripts = _contents(directory, "*.py"), _contents(directory, "*.sql")
    if any(_YOYO.search(text) for text in programs):
        return
    for tool in _TOOLS:
        if _is_made_by(tool, directory, programs if tool.text_in == "*.py" else scripts):
            raise InvalidInput(
                f"{directory} has migrations of {tool.name}, and only those of yoyo are run here; apply them to a "
                f"database ({tool.command}) and compare with that: diff-schema --dsn DSN --without bookkeeping"
            )
    if not any(directory.glob("*.sql")) and not any(directory.glob("*.py")):
        raise InvalidInput(f"{directory} has no migrations of yoyo, which are files *.sql and *.py")


def _is_made_by(tool: _Tool, directory: Path, texts: Iterable[str]) -> bool:
    if any(True for entry in tool.entries for _ in directory.glob(entry)):
        return True
    return tool.text is not None and any(tool.text.search(text) for text in texts)


def _contents(directory: Path, pattern: str) -> list[str]:
    texts: list[str] = []
    for path in sorted(directory.glob(pattern))[:_LOOKED_AT_FILES]:
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                texts.append(file.read(_LOOKED_AT_CHARACTERS))
        except OSError:
            continue
    return texts
