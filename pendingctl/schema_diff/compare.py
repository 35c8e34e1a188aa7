"""Compares two catalogs. Pure: no files, no database."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import TypeAlias

from .following import Found, without_following
from .model import Catalog, CatalogObject, Difference, Key, Name, Uncompared
from .renames import likely_renames

# Given the object, preferably schema.sql's own, whether schema.sql has it, and the attribute.
LineOf: TypeAlias = Callable[[CatalogObject, bool, str], int | None]

# What other objects belong to and cannot be without.
_OWNERS = frozenset({"table", "foreign table", "view", "materialized view", "domain", "composite type"})
_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*|[-+*/<>=~!@#%^&|`?]+")


def compare(
    expected: Catalog, actual: Catalog, line_of: LineOf, *, column_order: bool = False
) -> tuple[Difference, ...]:
    """Return every difference, a table's together, the table itself first.

    What follows from another difference is counted there and not told beside it. Each attribute is compared by
    itself; `definition` is told only where it differs although every attribute of the object agrees.
    """
    left, right = _by_key(expected), _by_key(actual)
    sides = (_side(left, left.keys() - right.keys()), _side(right, right.keys() - left.keys()))
    kinds = {kind: rank for rank, kind in enumerate(dict.fromkeys(kind for kind, _ in [*left, *right]))}
    compared = {
        *(key for key in left if not _told_by_its_column(left[key], right)),
        *(key for key in right if not _told_by_its_column(right[key], left)),
    }
    ordered = sorted(compared, key=lambda key: (kinds[key[0]], key[1]))
    folded: dict[Key, Counter[str]] = {}
    standing = _folded(ordered, folded, lambda key: (side.owner(key) for side in sides))
    ours, theirs = ({key: side.objects[key] for key in standing if key in side.lonely} for side in sides)
    renames = likely_renames(ours, theirs, *(side.belonging() for side in sides))
    # A column that has another name over there is not missing, and nothing follows from it.
    there = renames.keys() | renames.values()
    told = _folded(standing, folded, lambda key: (side.column(key, there) for side in sides))
    renamed = {**renames, **{new: old for old, new in renames.items()}}
    found: list[Found] = []
    for key in told:
        one, other = left.get(key), right.get(key)
        for difference in _differences(one, other, line_of):
            if difference.attribute == "presence":
                twin = written(renamed[key][1]) if key in renamed else None
                difference = replace(  # noqa: PLW2901
                    difference,
                    folded=dict(folded.get(key, {})),
                    renamed_to=twin if other is None else None,
                    renamed_from=twin if one is None else None,
                )
            found.append((key, difference))
    if column_order:
        for table, before, after in _column_orders(expected, actual):
            key = next(each for kind in ("table", "foreign table") if (each := (kind, table)) in left)
            line = line_of(left[key], True, "column_order")
            found.append((key, Difference(key[0], written(table), "column_order", before, after, line)))

    def place(item: Found) -> tuple[Name, int, Name]:
        shown = left[item[0]] if item[0] in left else right[item[0]]
        return (shown.table, kinds[shown.kind], shown.name)

    return tuple(difference for _, difference in sorted(without_following(found, left, right), key=place))


def notes(expected: Catalog, actual: Catalog) -> Iterator[str]:
    """Yield a sentence for each table whose columns stand in another order."""
    for table, _, _ in _column_orders(expected, actual):
        yield f"{written(table)}: its columns stand in another order, which is not compared (--column-order)"


def uncompared(expected: Catalog, actual: Catalog) -> Iterator[Uncompared]:
    """Yield each kind that was met and is not compared."""
    for kind in sorted(expected.uncompared.keys() | actual.uncompared.keys()):
        ours, theirs = expected.uncompared.get(kind, 0), actual.uncompared.get(kind, 0)
        yield Uncompared(kind, f"{kind} are not compared (schema.sql has {ours}, the database {theirs})")


def written(name: Name) -> str:
    """Return a name as people write it: quoted only where it needs to be, argument types after it in parentheses."""
    text = ""
    for part in name:
        if part.startswith("(") and part.endswith(")"):
            text += part
        else:
            quoted = part if _PLAIN.fullmatch(part) else '"' + part.replace('"', '""') + '"'
            text += ("." if text else "") + quoted
    return text


@dataclass(frozen=True, slots=True)
class _Side:
    """One side's objects, and the keys of those that only this side has."""

    objects: Mapping[Key, CatalogObject]
    lonely: Set[Key]
    lonely_owners: Mapping[Name, Key]

    def owner(self, key: Key) -> Key | None:
        """Return the table, or the like, that only this side has and that this object belongs to."""
        item = self.objects.get(key)
        return None if item is None or item.name == item.table else self.lonely_owners.get(item.table)

    def column(self, key: Key, but: Set[Key]) -> Key | None:
        """Return a column that only this side has, as it has this object, which is about the column."""
        columns = self.objects[key].columns if key in self.lonely else ()
        about = (("column", (*self.objects[key].table, column)) for column in columns if column is not None)
        return next((each for each in about if each in self.lonely and each not in but), None)

    def belonging(self) -> Mapping[Name, list[CatalogObject]]:
        """Return what belongs to each table."""
        belonging: dict[Name, list[CatalogObject]] = {}
        for item in self.objects.values():
            if item.name != item.table:
                belonging.setdefault(item.table, []).append(item)
        return belonging


def _folded(
    keys: Iterable[Key], counts: dict[Key, Counter[str]], causes_of: Callable[[Key], Iterable[Key | None]]
) -> list[Key]:
    """Count each key at what it follows from, and return those that follow from nothing."""
    left: list[Key] = []
    for key in keys:
        causes = [cause for cause in causes_of(key) if cause is not None]
        for cause in causes:
            counts.setdefault(cause, Counter())[key[0]] += 1
        if not causes:
            left.append(key)
    return left


def _told_by_its_column(item: CatalogObject, other: Mapping[Key, CatalogObject]) -> bool:
    """Whether it is the sequence of an identity column that over there is a column without identity."""
    if item.kind != "sequence" or not (item.attributes["owned_by"] or "").startswith("identity of "):
        return False
    column = other.get(("column", (*item.table, str(item.columns[0]))))
    return column is not None and column.attributes["identity"] is None


def _side(objects: Mapping[Key, CatalogObject], lonely: Set[Key]) -> _Side:
    return _Side(objects, lonely, {name: (kind, name) for kind, name in lonely if kind in _OWNERS})


def _by_key(catalog: Catalog) -> Mapping[Key, CatalogObject]:
    return {(item.kind, item.name): item for item in catalog.objects}


def _column_orders(expected: Catalog, actual: Catalog) -> Iterator[tuple[Name, str, str]]:
    """Yield each table whose common columns stand in another order, and both orders."""
    left, right = _columns(expected), _columns(actual)
    for table in sorted(left.keys() & right.keys()):
        common = set(left[table]) & set(right[table])
        ours, theirs = ([name for name in side[table] if name in common] for side in (left, right))
        if ours != theirs:
            yield table, _listed(ours), _listed(theirs)


def _listed(names: list[str]) -> str:
    return ", ".join(written((name,)) for name in names)


def _columns(catalog: Catalog) -> Mapping[Name, list[str]]:
    columns: dict[Name, list[str]] = {}
    for item in catalog.objects:
        if item.kind == "column":
            columns.setdefault(item.table, []).append(item.name[-1])
    return columns


def _differences(one: CatalogObject | None, other: CatalogObject | None, line_of: LineOf) -> Iterator[Difference]:
    if one is None or other is None:
        shown = one or other
        assert shown is not None
        yield Difference(
            kind=shown.kind,
            object=written(shown.name),
            attribute="presence",
            expected=None if one is None else one.definition,
            actual=None if other is None else other.definition,
            line=line_of(shown, one is not None, "presence"),
        )
        return
    differing = [name for name in one.attributes if one.attributes[name] != other.attributes.get(name)]
    values = [(name, one.attributes[name], other.attributes.get(name)) for name in differing]
    # A column's definition is put together from its attributes and says nothing beyond them.
    if not values and one.definition != other.definition:
        values = [("definition", one.definition, other.definition)]
    for name, ours, theirs in values:
        yield Difference(one.kind, written(one.name), name, ours, theirs, line_of(one, True, name))
