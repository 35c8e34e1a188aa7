"""Which object of one side is likely to be one of the other side under another name. Pure, and only a hint."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from .model import CatalogObject, Key, Name

_Signature: TypeAlias = tuple[object, ...]

# A name is not what makes these what they are for, or the only thing that does.
_NEVER = frozenset({"cast", "extension", "operator", "schema"})


def likely_renames(
    left: Mapping[Key, CatalogObject],
    right: Mapping[Key, CatalogObject],
    left_belonging: Mapping[Name, Sequence[CatalogObject]],
    right_belonging: Mapping[Name, Sequence[CatalogObject]],
) -> dict[Key, Key]:
    """Pair what only one side has with what only the other has: same kind, same table, same in all but the name.

    Where several would fit nobody can tell, and none is paired.
    """
    ours, theirs = _by_signature(left, left_belonging), _by_signature(right, right_belonging)
    return {
        ours[signature][0]: theirs[signature][0]
        for signature in ours.keys() & theirs.keys()
        if len(ours[signature]) == len(theirs[signature]) == 1
    }


def _by_signature(
    objects: Mapping[Key, CatalogObject], belonging: Mapping[Name, Sequence[CatalogObject]]
) -> dict[_Signature, list[Key]]:
    found: dict[_Signature, list[Key]] = {}
    for key, item in objects.items():
        if item.kind not in _NEVER:
            found.setdefault(_signature(item, belonging), []).append(key)
    return found


def _signature(item: CatalogObject, belonging: Mapping[Name, Sequence[CatalogObject]]) -> _Signature:
    own = item.name == item.table
    parts = belonging.get(item.name, ()) if own else ()
    # The names of its constraints and indexes mostly begin with its own; those of its columns do not.
    listed = sorted(
        repr((part.kind, part.name[-1] if part.kind == "column" else None, _attributes(part, item.name)))
        for part in parts
    )
    return (item.kind, () if own else item.table, _attributes(item, item.name), tuple(listed))


def _attributes(item: CatalogObject, name: Name) -> tuple[tuple[str, str | None], ...]:
    """What is said of an object, without the name where it is said."""
    said = item.attributes or {"definition": item.definition}
    qualified = re.compile(r'(?<![\w".])' + r"\.".join(f'"?{re.escape(part)}"?' for part in name) + r'(?![\w"$])')
    return tuple((attribute, value and qualified.sub("…", value)) for attribute, value in sorted(said.items()))
