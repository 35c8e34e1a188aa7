"""What two major versions of the server write differently for the same thing, and the rules that undo it.

The queries on the catalogs read the same facts on every version. What is left is text that a server's deparser
wrote whole: each rule takes the syntax tree of such a text to a form that is the same on all versions, and only
if it cannot change what the text means. What still differs may be drift or may be the version, and is told as not
compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from .model import Difference, Uncompared

# The attributes that hold the deparser's text of a whole query or statement.
_DEPARSED = frozenset({"definition", "query"})


def across(
    differences: Iterable[Difference], expected_major: int, actual_major: int
) -> tuple[tuple[Difference, ...], tuple[Uncompared, ...]]:
    """Part the differences between two versions into those that are surely ones and what cannot be compared."""
    if expected_major == actual_major:
        return tuple(differences), ()
    kept: list[Difference] = []
    uncompared: list[Uncompared] = []
    for each in differences:
        if each.attribute not in _DEPARSED or each.expected is None or each.actual is None:
            kept.append(each)
        elif not _same(each.expected, each.actual):
            what = f"{each.kind} {each.object} {each.attribute}"
            uncompared.append(
                Uncompared(
                    what,
                    f"{what} cannot be compared: schema.sql was loaded on PostgreSQL {expected_major}, the database "
                    f"is on {actual_major}, and each writes it in its own way",
                )
            )
    return tuple(kept), tuple(uncompared)


def _same(one: str, other: str) -> bool:
    from pglast.parser import ParseError, parse_sql

    try:
        trees = [parse_sql(text) for text in (one, other)]
    except ParseError:
        return False
    for tree in trees:
        for rule in RULES:
            rule(tree)
    return bool(trees[0] == trees[1])


def one_relation_needs_no_qualifier(tree: object) -> None:
    """Since 16 a query of one relation is written `SELECT a FROM t`, before `SELECT t.a FROM t`.

    Only where no other query stands inside or around it, where the qualifier could lead outwards, and where
    ORDER BY and GROUP BY have no output name that the bare column could mean instead.
    """
    queries = [node for node in _nodes(tree) if type(node).__name__ == "SelectStmt"]
    if len(queries) != 1 or len(queries[0].fromClause or ()) != 1:
        return
    if (queries[0].sortClause or queries[0].groupClause) and any(each.name for each in queries[0].targetList or ()):
        return
    relation = queries[0].fromClause[0]
    if type(relation).__name__ != "RangeVar":
        return
    name = relation.alias.aliasname if relation.alias is not None else relation.relname
    for node in _nodes(queries[0]):
        if type(node).__name__ == "ColumnRef" and len(node.fields) == 2:
            first = node.fields[0]
            if type(first).__name__ == "String" and first.sval == name:
                node.fields = node.fields[1:]


RULES: tuple[Callable[[object], None], ...] = (one_relation_needs_no_qualifier,)


def _nodes(tree: object) -> Iterator[Any]:
    """Yield each node of a syntax tree."""
    from pglast.ast import Node

    if isinstance(tree, Node):
        yield tree
        for slot in tree:
            yield from _nodes(getattr(tree, slot))
    elif isinstance(tree, (tuple, list)):
        for each in tree:
            yield from _nodes(each)
