"""Recognizes texts that differ and mean the same, by bringing them into a normal form.

Most of what the catalogs hold can be compared as it is, but not what a server's deparser wrote: an expression, a query,
a statement. Two such texts may mean the same and yet differ, because the deparser of another major version wrote one
of them, or because the server parsed one of them from its own output. Each rule brings the syntax tree of a text into
a form that is the same for both, and applies only where it cannot change the meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, TypeAlias

from .grants import may_come_from_versions
from .model import Difference, SettingType, Uncompared
from .parameters import plain_parameters, plain_settings

Rule: TypeAlias = Callable[[Any], None]

# Attributes with the deparsed text of a whole query or statement, which differs between versions.
_QUERIES = frozenset({"action", "body", "definition"})
# Attributes with the deparsed text of a part of one. Any other text is the user's own and compared literally.
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
_RIGHTS = frozenset({"column_grants", "grants", "owner"})
# Statements in which such a part can be parsed.
_STATEMENTS = ("{}", "select {}", "alter table t add {}", "create table t partition of p {}")

# Attributes with what the user wrote, of which a checkout may have rewritten the line ends.
_WRITTEN = frozenset({"body", "column_comment", "comment", "index_comment", "not_null_comment"})
# Attributes with parameters, whose values the server keeps as they were written, by kind where another kind has an
# attribute of the same name with values of another sort.
_PARAMETERS = frozenset({"column_settings", "operator_class_options", "options", "storage_parameters"})
_WITHOUT_PARAMETERS = frozenset({"foreign-data wrapper", "foreign server", "text search dictionary"})

# Attributes that older versions do not store, and which therefore cannot differ: the version that introduced them.
_SINCE = {
    ("column", "not_null_comment"): 18,
    ("column", "not_null_declared"): 18,
    ("column", "not_null_name"): 18,
    ("domain", "not_null_comment"): 17,
    ("domain", "not_null_name"): 17,
}


def classify(
    differences: Iterable[Difference],
    expected_major: int,
    actual_major: int,
    setting_types: Mapping[str, SettingType] = MappingProxyType({}),
) -> tuple[tuple[Difference, ...], tuple[Uncompared, ...]]:
    """Return the real differences, and those that cannot be decided; drop those that only look like one.

    Between two versions a query that differs even in normal form may be drift or may come from the versions: that
    cannot be decided. `setting_types` are those of the server.
    """
    kept: list[Difference] = []
    uncompared: list[Uncompared] = []
    same_version = expected_major == actual_major
    for each in differences:
        if min(expected_major, actual_major) < _SINCE.get((each.kind, each.attribute), 0):
            continue
        if each.attribute in _RIGHTS and may_come_from_versions(each, expected_major, actual_major):
            why = "the two know other rights"
            uncompared.append(_between_versions(each, expected_major, actual_major, why))
        elif each.expected is None or each.actual is None or each.attribute == "presence":
            kept.append(each)
        elif each.attribute in _WRITTEN and _unix(each.expected) == _unix(each.actual):
            continue
        elif each.attribute in _PARAMETERS and each.kind not in _WITHOUT_PARAMETERS:
            if plain_parameters(each.expected) != plain_parameters(each.actual):
                kept.append(each)
        elif each.attribute == "settings":
            if plain_settings(each.expected, setting_types) != plain_settings(each.actual, setting_types):
                kept.append(each)
        elif _is_query(each) and not same_version:
            if not _same(each.expected, each.actual, (*EVERYWHERE, *ACROSS_VERSIONS)):
                why = "each writes it in its own way"
                uncompared.append(_between_versions(each, expected_major, actual_major, why))
        elif not (_is_query(each) or each.attribute in _PARTS) or not _same(each.expected, each.actual, EVERYWHERE):
            kept.append(each)
    return tuple(kept), tuple(uncompared)


def push_array_casts_to_elements(tree: Any) -> None:
    """Write `(ARRAY[a, b])::text[]` as `ARRAY[a::text, b::text]`.

    The server stores `x IN ('a', 'b')` on a varchar column as the first, and parses the first as the second: it
    passes the type of a cast on to the elements of an ARRAY[] (transformTypeCast in its parse_expr.c). A restored
    dump would therefore always differ from its source.
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
                    # A nested array has the same type as the array around it.
                    TypeCast(arg=each, typeName=whole if isinstance(each, A_ArrayExpr) else element)
                    for each in array.elements or ()
                )
            )

    Casts()(tree)


def flatten_conditions(tree: Any) -> None:
    """Write `(a AND b) AND c` as `a AND b AND c`, and OR likewise.

    The server stores `x BETWEEN 1 AND 9 AND y` as the first, and parses the first as the second.
    """
    # Inner nodes first: _nodes yields them after the outer ones.
    for node in reversed(list(_nodes(tree))):
        if _is(node, "BoolExpr") and node.boolop.name != "NOT_EXPR":
            within = [_is(each, "BoolExpr") and each.boolop == node.boolop for each in node.args]
            parts = [each.args if same else (each,) for each, same in zip(node.args, within, strict=True)]
            node.args = tuple(part for each in parts for part in each)


def sort_sets(tree: Any) -> None:
    """Sort the values of a list partition, and the columns that a foreign key sets on delete."""
    for node in _nodes(tree):
        if _is(node, "PartitionBoundSpec") and node.listdatums:
            node.listdatums = tuple(sorted(node.listdatums, key=repr))
        elif _is(node, "Constraint") and node.fk_del_set_cols:
            node.fk_del_set_cols = tuple(sorted(node.fk_del_set_cols, key=repr))


def drop_qualifiers_of_single_relation(tree: Any) -> None:
    """Write `SELECT t.a FROM t`, as before 16, like `SELECT a FROM t`, as since 16.

    Subqueries keep their qualifiers on every version, since a column may belong to an outer query. In ORDER BY and
    GROUP BY a column without a qualifier could be an output name instead.
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
    push_array_casts_to_elements,
    flatten_conditions,
    sort_sets,
)
ACROSS_VERSIONS: tuple[Rule, ...] = (drop_qualifiers_of_single_relation,)


def _unix(text: str) -> str:
    return text.replace("\r\n", "\n")


def _is_query(difference: Difference) -> bool:
    """Whether the text is a deparsed query, as a function's body is in its SQL-standard form alone."""
    if difference.attribute not in _QUERIES:
        return False
    texts = (difference.expected or "", difference.actual or "")
    return difference.attribute != "body" or any(text.startswith(("BEGIN ATOMIC", "RETURN ")) for text in texts)


def _between_versions(difference: Difference, expected_major: int, actual_major: int, why: str) -> Uncompared:
    what = f"{difference.kind} {difference.object} {difference.attribute}"
    return Uncompared(
        what,
        f"{what} cannot be compared: schema.sql was loaded on PostgreSQL {expected_major}, the database "
        f"is on {actual_major}, and {why}",
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
    """Return the tree of a statement, or of a part within a statement, or None if the text is neither."""
    from pglast.parser import ParseError, parse_sql

    for statement in _STATEMENTS:
        try:
            return parse_sql(statement.format(text))
        except ParseError:
            continue
    return None


def _is(node: object, kind: str) -> bool:
    # By name, as in parse.py: pglast's type hints declare every field of a node as None.
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
