"""Creates the tablespaces that a script names, on a throw-away server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg
from psycopg import sql

from .parse import Statement

# The fields of the nodes of a table, an index, a materialized view and a constraint.
_FIELDS = ("tablespacename", "tableSpace", "tableSpaceName", "indexspace")


def create_missing_tablespaces(connection: psycopg.Connection, statements: Iterable[Statement]) -> None:
    """Create the tablespaces that statements name and the server lacks, in its own data folder."""
    existing = {name for (name,) in connection.execute("select spcname from pg_tablespace").fetchall()}
    for name in sorted(_tablespace_names(statements) - existing):
        connection.execute("set allow_in_place_tablespaces = on")
        connection.execute(sql.SQL("create tablespace {} location ''").format(sql.Identifier(name)))


def _tablespace_names(statements: Iterable[Statement]) -> set[str]:
    from pglast.visitors import Visitor

    named: set[str] = set()

    class Tablespaces(Visitor):
        def visit(self, _ancestors: object, node: Any) -> None:
            named.update(filter(None, (getattr(node, field, None) for field in _FIELDS)))

        def visit_AlterTableCmd(self, _ancestors: object, node: Any) -> None:  # noqa: N802
            if node.subtype.name == "AT_SetTableSpace":
                named.add(node.name)

        def visit_VariableSetStmt(self, _ancestors: object, node: Any) -> None:  # noqa: N802
            if node.name == "default_tablespace":
                named.update(each.val.sval for each in node.args or () if each.val.sval)

    find = Tablespaces()
    for statement in statements:
        # Walking through a tree takes longer than parsing it.
        if "tablespace" in statement.text.lower():
            find(statement.tree)
    return named
