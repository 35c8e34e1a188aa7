"""What the caller excludes from the comparison with patterns. Pure.

A pattern is a shell's (`*`, `?`, `[…]`), matched against the ways in which a difference is printed: `object`,
`kind object`, `object.attribute`, `kind object.attribute` or `kind object attribute`. An object that a pattern
matches is removed from both sides, with everything that belongs to it. Patterns also match the names of kinds that
are not compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase

from .model import Catalog, CatalogObject, Difference, Uncompared
from .names import format_name


def without_ignored_objects(catalog: Catalog, patterns: Sequence[str]) -> Catalog:
    """Return a catalog without the objects and the uncompared kinds that a pattern matches."""
    if not patterns:
        return catalog
    ignored = {item.name for item in catalog.objects if item.name == item.table and _object_matches(item, patterns)}
    kept = tuple(item for item in catalog.objects if item.table not in ignored and not _object_matches(item, patterns))
    kinds = {kind: count for kind, count in catalog.uncompared.items() if not _any_matches([kind], patterns)}
    return replace(catalog, objects=kept, uncompared=kinds)


def without_ignored_attributes(differences: Iterable[Difference], patterns: Sequence[str]) -> tuple[Difference, ...]:
    """Return the differences whose attribute no pattern matches."""
    return tuple(
        each
        for each in differences
        if not _any_matches(
            [
                f"{each.object}.{each.attribute}",
                f"{each.kind} {each.object}.{each.attribute}",
                f"{each.kind} {each.object} {each.attribute}",
            ],
            patterns,
        )
    )


def without_ignored_uncompared(uncompared: Iterable[Uncompared], patterns: Sequence[str]) -> tuple[Uncompared, ...]:
    """Return what could not be compared, except for what a pattern matches."""
    return tuple(each for each in uncompared if not _any_matches([each.what], patterns))


def _object_matches(item: CatalogObject, patterns: Sequence[str]) -> bool:
    name = format_name(item.name)
    return _any_matches([name, f"{item.kind} {name}"], patterns)


def _any_matches(texts: Sequence[str], patterns: Sequence[str]) -> bool:
    # Literally too: a pattern copied from the output may contain brackets, as in public.f(integer[]).
    return any(text == pattern or fnmatchcase(text, pattern) for text in texts for pattern in patterns)
