"""Decides of which extensions the members are compared. Pure.

A user's trigger, index or column on an extension's table is recorded like those that the extension's own script
created. But two databases with the same version of an extension, in the same schema, have the same members, and what
differs in them is a user's. Between two versions it may be the extension's own.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

from .model import Catalog, CatalogObject


def without_other_extensions(expected: Catalog, actual: Catalog) -> tuple[Catalog, Catalog, tuple[str, ...]]:
    """Return the catalogs without the members of extensions that are not the same on both sides.

    The notes name those of which both sides have another version and whose relations could have been changed.
    """
    ours, theirs = expected.extensions, actual.extensions
    same = {name for name, extension in ours.items() if theirs.get(name) == extension}
    other = {_extension(item) for side in (expected, actual) for item in side.objects if item.name == item.table}
    notes = tuple(
        f"what was added to the tables and views of extension {name} is not compared: schema.sql has version "
        f"{ours[name].version}, the database {theirs[name].version}"
        for name in sorted(name for name in other if name is not None)
        if name in ours and name in theirs and ours[name].version != theirs[name].version
    )
    return _only(expected, same), _only(actual, same), notes


def _only(catalog: Catalog, extensions: Set[str]) -> Catalog:
    left_out = {
        item.name for item in catalog.objects if item.name == item.table and not _is_kept(_extension(item), extensions)
    }
    kept = tuple(
        item
        for item in catalog.objects
        if _is_kept(_extension(item), extensions) and (not item.table or item.table not in left_out)
    )
    return replace(catalog, objects=kept)


def _extension(item: CatalogObject) -> str | None:
    return item.attributes.get("extension")


def _is_kept(extension: str | None, extensions: Set[str]) -> bool:
    return extension is None or extension in extensions
