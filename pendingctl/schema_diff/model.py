"""What the rooms of the comparison hand to each other: pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

# Names from the outside in: ("public",), ("public", "orders"), ("public", "orders", "id").
Name: TypeAlias = tuple[str, ...]
# Kind and name: what makes two objects of the two sides one.
Key: TypeAlias = tuple[str, Name]


@dataclass(frozen=True, slots=True)
class CatalogObject:
    """One object as the server's catalogs describe it.

    `definition` is the whole object in the deparser's words: it says what is there when the other side lacks it,
    and it catches what no named attribute covers. `columns` are the columns that a constraint or an index is
    about (None for an expression), by which a nameless one is found in schema.sql. `follows` are the objects from
    which it has something: a partition's column its parent's, a view the columns that it reads.
    """

    kind: str
    name: Name
    table: Name
    definition: str
    attributes: Mapping[str, str | None]
    columns: tuple[str | None, ...] = ()
    follows: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Catalog:
    """One side of the comparison. `uncompared` counts the objects of kinds that were met and left alone."""

    objects: tuple[CatalogObject, ...]
    uncompared: Mapping[str, int] = field(default_factory=dict)
    database_owner: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """One attribute of one object on which schema.sql and the database disagree.

    `attribute` is "presence" when one side lacks the object; that side's value is None then. `line` is the line
    of schema.sql that is about it: for an object that schema.sql lacks the line of its table, else None.

    The further fields only explain, and two differences that say the same are equal whatever they hold. `folded`
    counts by kind what is not listed because it follows from this (the columns of a missing table, the same in each
    partition). An object of
    schema.sql that the database seems to have under another name is told twice, as the two names differ:
    `renamed_to` stands at the one that the database lacks, `renamed_from` at the one that schema.sql lacks.
    """

    kind: str
    object: str
    attribute: str
    expected: str | None
    actual: str | None
    line: int | None
    folded: Mapping[str, int] = field(default_factory=dict, compare=False)
    renamed_to: str | None = field(default=None, compare=False)
    renamed_from: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Uncompared:
    """Something that was met and not compared. `what` is what --ignore names it by, `sentence` tells people."""

    what: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller wants compared; the defaults are those of the command line.

    `schemas` None is every schema but the system's. `ignore` are the patterns that ignore.py explains.
    """

    schemas: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    column_order: bool = False
    privileges: bool = False
    extension_versions: bool = False

    @property
    def options(self) -> frozenset[str]:
        """What the catalogs are read with, by name."""
        named = {"privileges": self.privileges, "extension_versions": self.extension_versions}
        return frozenset(name for name, wanted in named.items() if wanted)


@dataclass(frozen=True, slots=True)
class SchemaDiff:
    """The verdict. `notes` tell what was passed over on purpose, a sentence each, and change nothing."""

    schema_file: Path
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    uncompared: tuple[Uncompared, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether everything was compared and nothing differs."""
        return not self.differences and not self.uncompared
