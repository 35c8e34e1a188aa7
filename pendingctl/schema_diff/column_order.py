"""Finds the tables whose columns are in another order. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .model import Catalog, Name
from .names import format_name


@dataclass(frozen=True, slots=True)
class ReorderedTable:
    """A table and the order of the columns that both sides have, as text."""

    table: Name
    expected: str
    actual: str


def reordered_tables(expected: Catalog, actual: Catalog) -> Iterator[ReorderedTable]:
    """Yield each table whose common columns are in another order."""
    left, right = _columns(expected), _columns(actual)
    for table in sorted(left.keys() & right.keys()):
        common = set(left[table]) & set(right[table])
        ours, theirs = ([name for name in side[table] if name in common] for side in (left, right))
        if ours != theirs:
            yield ReorderedTable(table, _listed(ours), _listed(theirs))


def _columns(catalog: Catalog) -> Mapping[Name, list[str]]:
    columns: dict[Name, list[str]] = {}
    for item in catalog.objects:
        if item.kind == "column":
            columns.setdefault(item.table, []).append(item.name[-1])
    return columns


def _listed(names: list[str]) -> str:
    return ", ".join(format_name((name,)) for name in names)
