"""Guesses which object of one side is one of the other side under another name. Pure, and only a hint."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from .model import CatalogObject, Key, Name

_Signature: TypeAlias = tuple[object, ...]

# For these the name is the identity, or too little else distinguishes one from another.
_NEVER = frozenset({"cast", "extension", "operator", "schema"})


def likely_renames(
    left: Mapping[Key, CatalogObject],
    right: Mapping[Key, CatalogObject],
    left_parts: Mapping[Name, Sequence[CatalogObject]],
    right_parts: Mapping[Name, Sequence[CatalogObject]],
) -> dict[Key, Key]:
    """Pair objects that only one side has: of the same kind and table, and equal in everything but the name.

    The parts are what belongs to each table. Where several objects would match, none is paired.
    """
    ours, theirs = _by_signature(left, left_parts), _by_signature(right, right_parts)
    return {
        ours[signature][0]: theirs[signature][0]
        for signature in ours.keys() & theirs.keys()
        if len(ours[signature]) == len(theirs[signature]) == 1
    }


def _by_signature(
    objects: Mapping[Key, CatalogObject], parts: Mapping[Name, Sequence[CatalogObject]]
) -> dict[_Signature, list[Key]]:
    found: dict[_Signature, list[Key]] = {}
    for key, item in objects.items():
        if item.kind not in _NEVER:
            found.setdefault(_signature(item, parts), []).append(key)
    return found


def _signature(item: CatalogObject, parts: Mapping[Name, Sequence[CatalogObject]]) -> _Signature:
    is_table = item.name == item.table
    belonging = parts.get(item.name, ()) if is_table else ()
    # Constraints and indexes are mostly named after their table; columns are not.
    listed = sorted(
        repr((part.kind, part.name[-1] if part.kind == "column" else None, _attributes(part, item.name)))
        for part in belonging
    )
    return (item.kind, () if is_table else item.table, _attributes(item, item.name), tuple(listed))


def _attributes(item: CatalogObject, name: Name) -> tuple[tuple[str, str | None], ...]:
    """Return the attributes of an object, with this name blanked out."""
    attributes = item.attributes or {"definition": item.definition}
    qualified = re.compile(r'(?<![\w".])' + r"\.".join(f'"?{re.escape(part)}"?' for part in name) + r'(?![\w"$])')
    return tuple((attribute, value and qualified.sub("…", value)) for attribute, value in sorted(attributes.items()))
