"""Compares two catalogs. Pure: no files, no database."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from .children import with_names_of
from .column_order import reordered_tables
from .consequences import KeyedDifference, without_consequences
from .folding import Folding, fold_missing
from .model import Catalog, CatalogObject, Difference, Key, Uncompared
from .names import format_name

# Given the object (schema.sql's own where both sides have it), whether schema.sql has it, and the attribute.
LineOf: TypeAlias = Callable[[CatalogObject, bool, str], int | None]


def compare(
    expected: Catalog, actual: Catalog, line_of: LineOf, *, column_order: bool = False
) -> tuple[Difference, ...]:
    """Return every difference; those of a table are adjacent, and the table itself is first.

    What follows from another difference is counted in that one's `folded` and not listed. Attributes are compared
    one by one; `definition` is reported only where it differs although every attribute agrees.
    """
    actual = with_names_of(expected, actual)
    left, right = _by_key(expected), _by_key(actual)
    ranks = {kind: rank for rank, kind in enumerate(dict.fromkeys(kind for kind, _ in [*left, *right]))}
    folding = fold_missing(sorted(left.keys() | right.keys(), key=lambda key: (ranks[key[0]], key[1])), left, right)
    found: list[KeyedDifference] = [
        (key, difference)
        for key in folding.keys
        for difference in _object_differences(key, left.get(key), right.get(key), folding, line_of)
    ]
    if column_order:
        found += _column_order_differences(expected, actual, left, line_of)

    def position(item: KeyedDifference) -> tuple[object, ...]:
        shown = left[item[0]] if item[0] in left else right[item[0]]
        return shown.table, ranks[shown.kind], shown.name

    return tuple(difference for _, difference in sorted(without_consequences(found, left, right), key=position))


def column_order_notes(expected: Catalog, actual: Catalog) -> Iterator[str]:
    """Yield a sentence for each table whose columns are in another order."""
    for each in reordered_tables(expected, actual):
        yield f"{format_name(each.table)}: its columns stand in another order, which is not compared (--column-order)"


def uncompared_kinds(expected: Catalog, actual: Catalog, other: str = "the database") -> Iterator[Uncompared]:
    """Yield each kind of which a side has objects and which is not compared; `other` names the side of the database."""
    for kind in sorted(expected.uncompared.keys() | actual.uncompared.keys()):
        ours, theirs = expected.uncompared.get(kind, 0), actual.uncompared.get(kind, 0)
        yield Uncompared(kind, f"{kind} are not compared (schema.sql has {ours}, {other} {theirs})")


def _by_key(catalog: Catalog) -> Mapping[Key, CatalogObject]:
    return {(item.kind, item.name): item for item in catalog.objects}


def _object_differences(
    key: Key, one: CatalogObject | None, other: CatalogObject | None, folding: Folding, line_of: LineOf
) -> Iterator[Difference]:
    if one is not None and other is not None:
        yield from _attribute_differences(one, other, line_of)
        return
    shown = one or other
    assert shown is not None
    renamed = format_name(folding.renames[key][1]) if key in folding.renames else None
    yield Difference(
        kind=shown.kind,
        object=format_name(shown.name),
        attribute="presence",
        expected=None if one is None else one.definition,
        actual=None if other is None else other.definition,
        line=line_of(shown, one is not None, "presence"),
        folded=dict(folding.counts.get(key, {})),
        renamed_to=renamed if other is None else None,
        renamed_from=renamed if one is None else None,
    )


def _attribute_differences(one: CatalogObject, other: CatalogObject, line_of: LineOf) -> Iterator[Difference]:
    names = dict.fromkeys((*one.attributes, *other.attributes))
    differing = [name for name in names if one.attributes.get(name) != other.attributes.get(name)]
    # Of an extension's member other attributes are read than of a user's own object.
    differing = ["extension"] if "extension" in differing else differing
    values = [(name, one.attributes.get(name), other.attributes.get(name)) for name in differing]
    # A column's definition is assembled from its attributes and adds nothing to them.
    if not values and one.definition != other.definition:
        values = [("definition", one.definition, other.definition)]
    for name, ours, theirs in values:
        yield Difference(one.kind, format_name(one.name), name, ours, theirs, line_of(one, True, name))


def _column_order_differences(
    expected: Catalog, actual: Catalog, left: Mapping[Key, CatalogObject], line_of: LineOf
) -> Iterator[KeyedDifference]:
    for each in reordered_tables(expected, actual):
        key = next(key for kind in ("table", "foreign table") if (key := (kind, each.table)) in left)
        line = line_of(left[key], True, "column_order")
        yield key, Difference(key[0], format_name(each.table), "column_order", each.expected, each.actual, line)
