"""Finds the differences that follow from another one: they are counted in that one and not listed. Pure.

A partition has what its parent has, a view's columns have the types of the columns that it reads, and the sequence of
a serial column has the type of the column. A difference follows only from one of the same kind: the same change in
a partition as in its parent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from .model import CatalogObject, Difference, Key

# A difference and the key of its object.
KeyedDifference: TypeAlias = tuple[Key, Difference]

# The types of a view's columns, and the attributes that they depend on.
_VIEW_COLUMNS = "columns_and_types"
_TYPES = frozenset({"type", "collation", _VIEW_COLUMNS})
# What a partition does not take from its parent.
_NOT_INHERITED = frozenset(
    {
        "attached_to",
        "clustered",
        "comment",
        "constraint_comment",
        "depends_on_extensions",
        "extension",
        "grants",
        "index_comment",
        "index_depends_on_extensions",
        "not_null_comment",
        "options",
        "owner",
        "row_type_comment",
        "server_options",
        "statistics_targets",
        "storage_parameters",
        "tablespace",
        "validity",
    }
)
# A sequence's bounds follow from its type unless they are given (manual, CREATE SEQUENCE).
_LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


def without_consequences(
    found: Sequence[KeyedDifference], left: Mapping[Key, CatalogObject], right: Mapping[Key, CatalogObject]
) -> list[KeyedDifference]:
    """Return the differences that follow from no other, each with a count of those that follow from it."""
    positions: dict[Key, list[int]] = {}
    for position, (key, _) in enumerate(found):
        positions.setdefault(key, []).append(position)
    causes: dict[int, int] = {}
    for position, (key, difference) in enumerate(found):
        sides = [side[key] for side in (left, right) if key in side]
        for other in (other for side in sides for one in side.depends_on for other in positions.get(one, ())):
            # Two views may read each other, though no query of them can run: one of them must be reported.
            if _follows(difference, found[other][1], sides) and _root(other, causes) != position:
                causes[position] = other
                break
    folded: dict[int, Counter[str]] = {}
    for position in causes:
        key, difference = found[position]
        counted = folded.setdefault(_root(position, causes), Counter())
        counted.update(difference.folded)
        if position == next(each for each in positions[key] if each in causes):
            counted[key[0]] += 1
    return [
        (key, replace(difference, folded={**Counter(difference.folded) + folded.get(position, Counter())}))
        for position, (key, difference) in enumerate(found)
        if position not in causes
    ]


def _root(position: int, causes: Mapping[int, int]) -> int:
    """Return the last in the chain of causes: a partition of a partition follows from the topmost parent."""
    while position in causes:
        position = causes[position]
    return position


def _follows(difference: Difference, other: Difference, sides: Sequence[CatalogObject]) -> bool:
    if difference.kind in ("view", "materialized view"):
        return difference.attribute == _VIEW_COLUMNS and other.attribute in _TYPES
    if difference.kind == "sequence":
        return other.attribute == "type" and _follows_from_type(difference, other, sides)
    if difference.attribute == "presence" or other.attribute == "presence":
        return difference.attribute == other.attribute and _absence(difference) == _absence(other)
    if difference.kind in ("table", "foreign table") or difference.attribute in _NOT_INHERITED:
        return False
    return _change(difference) == _change(other)


def _change(difference: Difference) -> tuple[str, str | None, str | None]:
    return difference.attribute, difference.expected, difference.actual


def _absence(difference: Difference) -> tuple[bool, str | None, str | None]:
    """Return whether schema.sql is the side that lacks it, and its other names, without the table's."""
    names = (difference.renamed_to, difference.renamed_from)
    renamed_to, renamed_from = (None if name is None else name.rpartition(".")[2] for name in names)
    return difference.expected is None, renamed_to, renamed_from


def _follows_from_type(difference: Difference, column: Difference, sides: Sequence[CatalogObject]) -> bool:
    types = [str(side.attributes["type"]) for side in sides]
    if types != [column.expected, column.actual]:
        return False
    bounds = {
        "type": types,
        "maximum": [str(_LARGEST[each]) for each in types],
        "minimum": [str(-_LARGEST[each] - 1) for each in types],
    }
    return bounds.get(difference.attribute) == [difference.expected, difference.actual]
