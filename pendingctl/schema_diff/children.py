"""Matches the indexes of partitions under the names that the server picked for them. Pure.

Where an index or a key of a partitioned table is created, the server creates one on each partition, with a name made of
the partition and the columns, and a number where that is taken: which index has which number depends on the order in
which they were created. Such a name is nobody's choice. There is at most one such index on a partition for each of the
parent's, and by that it is found on the other side.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from .model import Catalog, CatalogObject, Key, Name

# The kind, the partition, and the parent's index or constraint.
_Place: TypeAlias = tuple[str, Name, Key]

_HEAD = re.compile(r'^(CREATE (?:UNIQUE )?INDEX )("(?:[^"]|"")*"|\S+)(?= ON )')


def with_names_of(expected: Catalog, actual: Catalog) -> Catalog:
    """Return the actual side with the expected side's names for the children of the same parents."""
    ours, theirs = _children(expected), _children(actual)
    renames: dict[Key, CatalogObject] = {}
    # A child of a partition's index has that one, which may be renamed, as its parent: one level at a time.
    waiting = {(item.kind, item.name): parent for (_, _, parent), item in theirs.items()}
    while level := {key: parent for key, parent in waiting.items() if parent not in waiting}:
        for (kind, table, parent), item in theirs.items():
            place = (kind, table, _renamed(parent, renames))
            if (kind, item.name) in level and place in ours:
                renames[kind, item.name] = ours[place]
        waiting = {key: parent for key, parent in waiting.items() if key not in level}
    renames = {key: item for key, item in renames.items() if key[1] != item.name}
    if not renames:
        return actual
    renames |= _out_of_the_way(theirs, renames)
    taken = {(item.kind, item.name) for item in actual.objects} - renames.keys()
    renames = {key: item for key, item in renames.items() if (item.kind, item.name) not in taken}
    return replace(actual, objects=tuple(_with_names(item, renames) for item in actual.objects))


def _out_of_the_way(
    children: Mapping[_Place, CatalogObject], renames: Mapping[Key, CatalogObject]
) -> Mapping[Key, CatalogObject]:
    """Return new names, which the renamed ones no longer need, for children without a match that have theirs."""
    wanted = {(kind, item.name) for (kind, _), item in renames.items()}
    free: dict[tuple[str, Name], list[Name]] = {}
    for place, item in children.items():
        if (item.kind, item.name) in renames.keys() - wanted:
            free.setdefault(place[:2], []).append(item.name)
    return {
        (item.kind, item.name): replace(item, name=free[place[:2]].pop())
        for place, item in children.items()
        if (item.kind, item.name) in wanted - renames.keys() and free.get(place[:2])
    }


def _children(catalog: Catalog) -> Mapping[_Place, CatalogObject]:
    return {
        (item.kind, item.table, item.depends_on[0]): item
        for item in catalog.objects
        if item.has_generated_name and item.depends_on
    }


def _renamed(key: Key, renames: Mapping[Key, CatalogObject]) -> Key:
    return (key[0], renames[key].name) if key in renames else key


def _with_names(item: CatalogObject, renames: Mapping[Key, CatalogObject]) -> CatalogObject:
    """Return an object under its new name, attached to its parent under the parent's."""
    match = renames.get((item.kind, item.name))
    depends_on = tuple(_renamed(key, renames) for key in item.depends_on)
    if match is None and depends_on == item.depends_on:
        return item
    if match is None:
        return replace(item, depends_on=depends_on)
    head = _HEAD.match(match.definition)
    return replace(
        item,
        name=match.name,
        depends_on=depends_on,
        attributes={**item.attributes, "attached_to": match.attributes["attached_to"]},
        definition=_HEAD.sub(lambda _: head[0], item.definition) if head else item.definition,
    )
