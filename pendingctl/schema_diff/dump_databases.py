"""The database that a dump is for, where it creates it, or holds the other databases of its server too. Pure."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pglast.ast import RawStmt

# One of them connects to the database that the file is for; a file with several is for several databases, unless it is
# pg_dumpall's and only one of them has objects.
CONNECT = re.compile(
    r"""^\\(?:connect|c)\b(?:[ \t]+-reuse-previous=\w+)?[ \t]*"?(?:dbname=)?['"]?(?P<name>[^\n\r]*?)['" \t\r]*$""",
    re.MULTILINE | re.IGNORECASE,
)
_OF_SERVER = re.compile(r"\A(?:\s|--[^\n]*\n)*?-- PostgreSQL database cluster dump", re.MULTILINE)

_DATABASE_STATEMENTS = ("AlterDatabaseSetStmt", "AlterDatabaseStmt", "CreatedbStmt", "DropdbStmt")
_TABLESPACE_STATEMENTS = ("AlterTableSpaceOptionsStmt", "CreateTableSpaceStmt", "DropTableSpaceStmt")
_WITHOUT_OBJECTS = (
    "AlterRoleSetStmt",
    "CommentStmt",
    "SelectStmt",
    "VariableSetStmt",
    *_DATABASE_STATEMENTS,
    *_TABLESPACE_STATEMENTS,
)


class Databases:
    """The databases to which a file connects. `cleaned` is its text without psql's own lines."""

    def __init__(self, original: str, cleaned: str) -> None:
        # Within a function's body a line may look like one, and is not blanked out.
        found = [each for each in CONNECT.finditer(original) if cleaned[each.start()] != "\\"]
        self._starts = [each.start() for each in found]
        self._names = {each["name"] for each in found}
        self._of_server = is_of_server(original)

    def second(self, parsed: Sequence[RawStmt]) -> int | None:
        """Return the offset at which the objects of a second database begin, if there are any.

        What comes before the first connection, such as roles, is for all of them.
        """
        if not self._of_server:
            return None
        sections = {
            bisect_right(self._starts, raw.stmt_location or 0) for raw in parsed if not _is_without_objects(raw.stmt)
        }
        with_objects = sorted(sections - {0})
        return self._starts[with_objects[1] - 1] if len(with_objects) > 1 else None

    def is_about_one(self, kind: str, tree: Any) -> bool:
        """Whether a statement creates, changes or drops the database that the scratch database stands for.

        In the dump of a server, a tablespace too: those that objects name are created anyway.
        """
        if kind in _TABLESPACE_STATEMENTS or _unmarks_template(tree):
            return self._of_server
        if kind in _DATABASE_STATEMENTS:
            return tree.dbname in self._names
        if kind == "AlterOwnerStmt" and tree.objectType.name == "OBJECT_DATABASE":
            return tree.object.sval in self._names
        return False


def _is_without_objects(tree: Any) -> bool:
    kind = type(tree).__name__
    # The owner and the grants of a database stand before the connection to it.
    about = {"AlterOwnerStmt": "objectType", "GrantStmt": "objtype"}.get(kind)
    if about is not None and getattr(tree, about).name == "OBJECT_DATABASE":
        return True
    return kind in _WITHOUT_OBJECTS or _unmarks_template(tree)


def _unmarks_template(tree: Any) -> bool:
    # pg_dumpall --clean, before it drops a template.
    return type(tree).__name__ == "UpdateStmt" and tree.relation.relname == "pg_database"


def is_of_server(text: str) -> bool:
    """Whether this is the output of pg_dumpall."""
    return _OF_SERVER.match(text) is not None
