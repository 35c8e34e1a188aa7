"""Compares two catalogs. Pure: no files, no database."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from .model import Catalog, CatalogObject, Difference, Name

Key: TypeAlias = tuple[str, Name]

# Given the object, preferably schema.sql's own, whether schema.sql has it, and the attribute.
LineOf: TypeAlias = Callable[[CatalogObject, bool, str], int | None]

_PLAIN = re.compile(r"[a-z_][a-z0-9_$]*")


def compare(expected: Catalog, actual: Catalog, line_of: LineOf) -> tuple[Difference, ...]:
    """Return every difference, a table's together, the table itself first.

    What belongs to a table that one side lacks is not told beside the table. Each attribute is compared by
    itself; `definition` is told only where it differs although every attribute of the object agrees.
    """
    left, right = _by_key(expected), _by_key(actual)
    kinds = {kind: rank for rank, kind in enumerate(dict.fromkeys(kind for kind, _ in [*left, *right]))}
    missing_tables = {name for kind, name in left.keys() ^ right.keys() if kind == "table"}
    found: list[tuple[tuple[Name, int, Name], Difference]] = []
    for key in left.keys() | right.keys():
        one, other = left.get(key), right.get(key)
        shown = left[key] if key in left else right[key]
        if shown.kind != "table" and shown.table in missing_tables:
            continue
        place = (shown.table, kinds[shown.kind], shown.name)
        found += [(place, difference) for difference in _differences(one, other, line_of)]
    return tuple(difference for _, difference in sorted(found, key=lambda item: item[0]))


def notes(expected: Catalog, actual: Catalog) -> Iterator[str]:
    """Yield a sentence for each thing that was met and is not compared."""
    for kind in sorted(expected.uncompared.keys() | actual.uncompared.keys()):
        ours, theirs = expected.uncompared.get(kind, 0), actual.uncompared.get(kind, 0)
        yield f"{kind} are not compared (schema.sql has {ours}, the database {theirs})"
    left, right = _columns(expected), _columns(actual)
    for table in sorted(left.keys() & right.keys()):
        common = set(left[table]) & set(right[table])
        if [name for name in left[table] if name in common] != [name for name in right[table] if name in common]:
            yield f"{written(table)}: its columns stand in another order, which is not compared"


def written(name: Name) -> str:
    """Return a name as people write it: quoted only where it needs to be."""
    return ".".join(part if _PLAIN.fullmatch(part) else '"' + part.replace('"', '""') + '"' for part in name)


def _by_key(catalog: Catalog) -> Mapping[Key, CatalogObject]:
    return {(item.kind, item.name): item for item in catalog.objects}


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
