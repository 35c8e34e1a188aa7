"""Folds objects that are missing only because another one is missing: the index of a missing table or column. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from .model import CatalogObject, Key, Name
from .renames import likely_renames

# What other objects belong to and cannot exist without.
_OWNERS = frozenset({"table", "foreign table", "view", "materialized view", "domain", "composite type"})


@dataclass(frozen=True, slots=True)
class Folding:
    """The keys left to compare, what is folded into which of them, and the likely renames, both ways."""

    keys: Sequence[Key]
    counts: Mapping[Key, Mapping[str, int]]
    renames: Mapping[Key, Key]


@dataclass(frozen=True, slots=True)
class _Side:
    """One side's objects, and the keys that the other side lacks."""

    objects: Mapping[Key, CatalogObject]
    unmatched: Set[Key]
    unmatched_owners: Mapping[Name, Key]

    def owner(self, key: Key) -> Key | None:
        """Return the unmatched table, or the like, to which this object belongs."""
        item = self.objects.get(key)
        return None if item is None or item.name == item.table else self.unmatched_owners.get(item.table)

    def column(self, key: Key, except_for: Set[Key]) -> Key | None:
        """Return an unmatched column on which this unmatched object is defined."""
        columns = self.objects[key].columns if key in self.unmatched else ()
        candidates = (("column", (*self.objects[key].table, column)) for column in columns if column is not None)
        return next((each for each in candidates if each in self.unmatched and each not in except_for), None)

    def only(self, keys: Iterable[Key]) -> Mapping[Key, CatalogObject]:
        """Return those of the objects that the other side lacks."""
        return {key: self.objects[key] for key in keys if key in self.unmatched}

    def parts(self) -> Mapping[Name, list[CatalogObject]]:
        """Return what belongs to each table."""
        parts: dict[Name, list[CatalogObject]] = {}
        for item in self.objects.values():
            if item.name != item.table:
                parts.setdefault(item.table, []).append(item)
        return parts


def fold_missing(keys: Iterable[Key], left: Mapping[Key, CatalogObject], right: Mapping[Key, CatalogObject]) -> Folding:
    """Fold the parts of missing tables into the tables, then what is defined on missing columns into the columns."""
    sides = ours, theirs = _side(left, right), _side(right, left)
    counts: dict[Key, Counter[str]] = {}
    compared = [key for key in keys if not _is_implied(key, left, right)]
    remaining = _fold(compared, counts, lambda key: [side.owner(key) for side in sides])
    renames = likely_renames(ours.only(remaining), theirs.only(remaining), ours.parts(), theirs.parts())
    # A renamed column is not missing, and nothing follows from it.
    renamed = renames.keys() | renames.values()
    remaining = _fold(remaining, counts, lambda key: [side.column(key, renamed) for side in sides])
    return Folding(remaining, counts, {**renames, **{new: old for old, new in renames.items()}})


def _side(objects: Mapping[Key, CatalogObject], others: Mapping[Key, CatalogObject]) -> _Side:
    unmatched = objects.keys() - others.keys()
    return _Side(objects, unmatched, {name: (kind, name) for kind, name in unmatched if kind in _OWNERS})


def _fold(
    keys: Iterable[Key], counts: dict[Key, Counter[str]], causes_of: Callable[[Key], Iterable[Key | None]]
) -> list[Key]:
    """Count each key at its causes, and return the keys without any."""
    remaining: list[Key] = []
    for key in keys:
        causes = [cause for cause in causes_of(key) if cause is not None]
        for cause in causes:
            counts.setdefault(cause, Counter())[key[0]] += 1
        if not causes:
            remaining.append(key)
    return remaining


def _is_implied(key: Key, left: Mapping[Key, CatalogObject], right: Mapping[Key, CatalogObject]) -> bool:
    """Whether a difference between two columns covers this object, on each side that has it."""
    sides = ((left, right), (right, left))
    return all(_is_sequence_of_lost_identity(side[key], other) for side, other in sides if key in side)


def _is_sequence_of_lost_identity(item: CatalogObject, others: Mapping[Key, CatalogObject]) -> bool:
    """Whether it is the sequence of an identity column that is a column without identity on the other side."""
    if item.kind != "sequence" or not (item.attributes["owned_by"] or "").startswith("identity of "):
        return False
    column = others.get(("column", (*item.table, str(item.columns[0]))))
    return column is not None and column.attributes["identity"] is None
