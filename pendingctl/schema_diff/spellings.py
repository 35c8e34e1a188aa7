"""What the server writes differently for the same thing, and the rules that undo it.

The queries on the catalogs read facts. What is left is text that a server's deparser wrote: an expression, a query, a
statement. Two such texts may differ and mean the same, since the deparser of another major version wrote one of them,
or since the server read one of them from its own words. Each rule takes the syntax tree of such a text to a form that
is the same for both, and only where it cannot change what the text means.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from .model import Difference, Uncompared

Rule: TypeAlias = Callable[[Any], None]

# The attributes that hold the deparser's text of a whole query or statement, which is what differs by version.
_QUERIES = frozenset({"action", "body", "definition"})
# Those that hold its text of parts of one. Any other text is the user's own and compared to the letter.
_PARTS = frozenset(
    {
        "column_defaults",
        "condition",
        "default",
        "expression",
        "generated",
        "keys",
        "partition_bound",
        "partition_key",
        "predicate",
        "using",
        "when",
        "with_check",
    }
)
# What makes a statement of such a part.
_STATEMENTS = ("{}", "select {}", "alter table t add {}", "create table t partition of p {}")

_PARAMETERS = frozenset({"options", "storage_parameters"})
# Parameters of storage and of views that are boolean; the server keeps the word that it was given.
_BOOLEAN = re.compile(
    r"((?:^|, )(?:toast\.)?(?:autosummarize|autovacuum_enabled|deduplicate_items|fastupdate|security_barrier"
    r"|security_invoker|user_catalog_table|vacuum_truncate))=(?:(on|true|yes|1)|off|false|no|0)(?=,|$)",
    re.IGNORECASE,
)

# What an older version does not keep, so that it cannot differ from it: the version that brought it.
_SINCE = {
    ("column", "not_null_comment"): 18,
    ("column", "not_null_declared"): 18,
    ("column", "not_null_name"): 18,
    ("domain", "not_null_comment"): 17,
    ("domain", "not_null_name"): 17,
}


def told_apart(
    differences: Iterable[Difference], expected_major: int, actual_major: int
) -> tuple[tuple[Difference, ...], tuple[Uncompared, ...]]:
    """Return the differences that are surely ones, and what cannot be compared.

    Between two versions a query that still differs may be drift or may be the version, and is the latter.
    """
    kept: list[Difference] = []
    uncompared: list[Uncompared] = []
    same_version = expected_major == actual_major
    for each in differences:
        if min(expected_major, actual_major) < _SINCE.get((each.kind, each.attribute), 0):
            continue
        if each.expected is None or each.actual is None or each.attribute == "presence":
            kept.append(each)
        elif each.attribute in _PARAMETERS:
            if _without_words(each.expected) != _without_words(each.actual):
                kept.append(each)
        elif _is_query(each) and not same_version:
            if not _same(each.expected, each.actual, (*EVERYWHERE, *ACROSS_VERSIONS)):
                uncompared.append(_between_versions(each, expected_major, actual_major))
        elif not (_is_query(each) or each.attribute in _PARTS) or not _same(each.expected, each.actual, EVERYWHERE):
            kept.append(each)
    return tuple(kept), tuple(uncompared)


def cast_of_an_array_is_one_of_its_elements(tree: Any) -> None:
    """Write `(ARRAY[a, b])::text[]` as `ARRAY[a::text, b::text]`.

    The server stores `x IN ('a', 'b')` on a varchar column as the first, and reads the first as the second: to an
    ARRAY[] that is cast it hands the type down (transformTypeCast in its parse_expr.c). So a dump that was loaded
    would differ from what was dumped for ever.
    """
    from pglast.ast import A_ArrayExpr, TypeCast, TypeName
    from pglast.visitors import Visitor

    class Casts(Visitor):
        def visit_TypeCast(self, _ancestors: object, node: Any) -> Any:  # noqa: N802
            array, whole = node.arg, node.typeName
            if not isinstance(array, A_ArrayExpr) or not whole.arrayBounds:
                return None
            element = TypeName(**{**{slot: getattr(whole, slot) for slot in whole}, "arrayBounds": None})
            return A_ArrayExpr(
                elements=tuple(
                    # An array of arrays has the type of its elements at every depth.
                    TypeCast(arg=each, typeName=whole if isinstance(each, A_ArrayExpr) else element)
                    for each in array.elements or ()
                )
            )

    Casts()(tree)


def joined_conditions_need_no_parentheses(tree: Any) -> None:
    """Write `(a AND b) AND c` as `a AND b AND c`, and OR likewise.

    The server stores `x BETWEEN 1 AND 9 AND y` as the first and reads the first as the second.
    """
    # What stands inside comes after what it stands in.
    for node in reversed(list(_nodes(tree))):
        if _is(node, "BoolExpr") and node.boolop.name != "NOT_EXPR":
            within = [_is(each, "BoolExpr") and each.boolop == node.boolop for each in node.args]
            parts = [each.args if same else (each,) for each, same in zip(node.args, within, strict=True)]
            node.args = tuple(part for each in parts for part in each)


def sets_have_no_order(tree: Any) -> None:
    """Sort the values of a partition, and the columns that a foreign key sets when the other row is deleted."""
    for node in _nodes(tree):
        if _is(node, "PartitionBoundSpec") and node.listdatums:
            node.listdatums = tuple(sorted(node.listdatums, key=repr))
        elif _is(node, "Constraint") and node.fk_del_set_cols:
            node.fk_del_set_cols = tuple(sorted(node.fk_del_set_cols, key=repr))


def one_relation_needs_no_qualifier(tree: Any) -> None:
    """Since 16 a query of one relation is written `SELECT a FROM t`, before `SELECT t.a FROM t`.

    Queries inside keep their qualifiers on every version, and need them, as those could lead outwards. In ORDER BY
    and GROUP BY a bare column could be an output name instead.
    """
    query = tree[0].stmt
    if not _is(query, "SelectStmt") or len(query.fromClause or ()) != 1:
        return
    relation = query.fromClause[0]
    name = relation.alias.aliasname if getattr(relation, "alias", None) else getattr(relation, "relname", None)
    inner = [each for each in _nodes(query) if each is not query and _is(each, "SelectStmt")]
    inside = {id(node) for each in inner for node in _nodes(each)}
    output = {each.name for each in query.targetList or ()}
    sorting = {id(each) for each in _nodes((query.sortClause, query.groupClause))}
    for node in _nodes(query):
        if _is(node, "ColumnRef") and len(node.fields) == 2 and id(node) not in inside:
            first, last = node.fields
            bare = _is(last, "String") and not (id(node) in sorting and last.sval in output)
            if bare and first.sval == name:
                node.fields = (last,)


EVERYWHERE: tuple[Rule, ...] = (
    cast_of_an_array_is_one_of_its_elements,
    joined_conditions_need_no_parentheses,
    sets_have_no_order,
)
ACROSS_VERSIONS: tuple[Rule, ...] = (one_relation_needs_no_qualifier,)


def _without_words(parameters: str) -> str:
    return _BOOLEAN.sub(lambda found: f"{found[1]}={found[2] is not None}", parameters)


def _is_query(difference: Difference) -> bool:
    """Whether the text is the deparser's; a function's body is a string of the user's own but in one form."""
    if difference.attribute not in _QUERIES:
        return False
    texts = (difference.expected or "", difference.actual or "")
    return difference.attribute != "body" or any(text.startswith(("BEGIN ATOMIC", "RETURN ")) for text in texts)


def _between_versions(difference: Difference, expected_major: int, actual_major: int) -> Uncompared:
    what = f"{difference.kind} {difference.object} {difference.attribute}"
    return Uncompared(
        what,
        f"{what} cannot be compared: schema.sql was loaded on PostgreSQL {expected_major}, the database "
        f"is on {actual_major}, and each writes it in its own way",
    )


def _same(one: str, other: str, rules: Sequence[Rule]) -> bool:
    trees = [_parsed(text) for text in (one, other)]
    if None in trees:
        return False
    for tree in trees:
        for rule in rules:
            rule(tree)
    return bool(trees[0] == trees[1])


def _parsed(text: str) -> Any:
    """Return the tree of a statement, or of a part of one as that of a statement, or None where it is neither."""
    from pglast.parser import ParseError, parse_sql

    for statement in _STATEMENTS:
        try:
            return parse_sql(statement.format(text))
        except ParseError:
            continue
    return None


def _is(node: object, kind: str) -> bool:
    # By name, as parse.py does: pglast's types say None of whatever the grammar has.
    return type(node).__name__ == kind


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
