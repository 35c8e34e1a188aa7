"""What the rooms of the comparison hand to each other: pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

# Names from the outside in: ("public",), ("public", "orders"), ("public", "orders", "id").
Name: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CatalogObject:
    """One object as the server's catalogs describe it.

    `definition` is the whole object in the deparser's words: it says what is there when the other side lacks it,
    and it catches what no named attribute covers. `columns` are the columns that a constraint or an index is
    about (None for an expression), by which a nameless one is found in schema.sql.
    """

    kind: str
    name: Name
    table: Name
    definition: str
    attributes: Mapping[str, str | None]
    columns: tuple[str | None, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """One side of the comparison. `uncompared` counts the objects of kinds that were met and left alone."""

    objects: tuple[CatalogObject, ...]
    uncompared: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One attribute of one object on which schema.sql and the database disagree.

    `attribute` is "presence" when one side lacks the object; that side's value is None then. `line` is the line
    of schema.sql that is about it: for an object that schema.sql lacks the line of its table, else None.
    """

    kind: str
    object: str
    attribute: str
    expected: str | None
    actual: str | None
    line: int | None


@dataclass(frozen=True, slots=True)
class SchemaDiff:
    """The verdict. `notes` tell what was met and not compared, a sentence each."""

    schema_file: Path
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Whether nothing that was compared differs."""
        return not self.differences
