"""Which differences follow from another one: those are counted at it, and not told. Pure.

A partition has what its parent has, a view's columns have the types of what it reads, and the sequence of a serial
column that of the column. Only what differs in the same way as what it follows from is folded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from .model import CatalogObject, Difference, Key

Found: TypeAlias = tuple[Key, Difference]

# The types of a view's columns, and what of a column they come from.
_OF_A_VIEW = "columns_and_types"
_TYPES = frozenset({"type", "collation", _OF_A_VIEW})
# What a partition has of its own, whatever its parent has.
_OWN = frozenset(
    {
        "attached_to",
        "clustered",
        "comment",
        "grants",
        "index_comment",
        "not_null_comment",
        "options",
        "owner",
        "server_options",
        "statistics_targets",
        "storage_parameters",
        "tablespace",
        "validity",
    }
)
# A sequence's bounds follow from its type unless they are given (manual, CREATE SEQUENCE).
_LARGEST = {"smallint": 2**15 - 1, "integer": 2**31 - 1, "bigint": 2**63 - 1}


def without_following(
    found: Sequence[Found], left: Mapping[Key, CatalogObject], right: Mapping[Key, CatalogObject]
) -> list[Found]:
    """Return the differences that follow from no other, each with the count of what follows from it."""
    of_object: dict[Key, list[int]] = {}
    for place, (key, _) in enumerate(found):
        of_object.setdefault(key, []).append(place)
    causes: dict[int, int] = {}
    for place, (key, difference) in enumerate(found):
        sides = [side[key] for side in (left, right) if key in side]
        for other in (other for side in sides for one in side.follows for other in of_object.get(one, ())):
            # Two views may read each other, as no query ever can: one of them must be told.
            if _follows(difference, found[other][1], sides) and _root(other, causes) != place:
                causes[place] = other
                break
    folded: dict[int, Counter[str]] = {}
    for place in causes:
        key, difference = found[place]
        counted = folded.setdefault(_root(place, causes), Counter())
        counted.update(difference.folded)
        if place == next(each for each in of_object[key] if each in causes):
            counted[key[0]] += 1
    return [
        (key, replace(difference, folded={**Counter(difference.folded) + folded.get(place, Counter())}))
        for place, (key, difference) in enumerate(found)
        if place not in causes
    ]


def _root(place: int, causes: Mapping[int, int]) -> int:
    """Return what it follows from in the end: what a parent follows from, its partitions follow from as well."""
    while place in causes:
        place = causes[place]
    return place


def _follows(difference: Difference, other: Difference, sides: Sequence[CatalogObject]) -> bool:
    if difference.kind in ("view", "materialized view"):
        return difference.attribute == _OF_A_VIEW and other.attribute in _TYPES
    if difference.kind == "sequence":
        return other.attribute == "type" and _is_of_the_type(difference, other, sides)
    if difference.attribute == "presence" or other.attribute == "presence":
        return difference.attribute == other.attribute and _fate(difference) == _fate(other)
    if difference.kind in ("table", "foreign table") or difference.attribute in _OWN:
        return False
    return _said(difference) == _said(other)


def _said(difference: Difference) -> tuple[str, str | None, str | None]:
    return difference.attribute, difference.expected, difference.actual


def _fate(difference: Difference) -> tuple[bool, str | None, str | None]:
    """Which side lacks it, and what the other one calls it, without the table's name."""
    names = (difference.renamed_to, difference.renamed_from)
    to, of = (None if name is None else name.rpartition(".")[2] for name in names)
    return difference.expected is None, to, of


def _is_of_the_type(difference: Difference, column: Difference, sides: Sequence[CatalogObject]) -> bool:
    types = [str(side.attributes["type"]) for side in sides]
    if types != [column.expected, column.actual]:
        return False
    bounds = {
        "type": types,
        "maximum": [str(_LARGEST[each]) for each in types],
        "minimum": [str(-_LARGEST[each] - 1) for each in types],
    }
    return bounds.get(difference.attribute) == [difference.expected, difference.actual]
