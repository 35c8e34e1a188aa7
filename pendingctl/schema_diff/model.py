"""The data that the parts of the comparison pass to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TypeAlias

# A qualified name, outermost part first: ("public",), ("public", "orders"), ("public", "orders", "id").
Name: TypeAlias = tuple[str, ...]
# Kind and name: objects of the two sides with the same key are compared.
Key: TypeAlias = tuple[str, Name]
# It loads a file on a server of its own, where it stands for the owner of the live database: no file names it.
LOADING_ROLE = "pendingctl_scratch"


@dataclass(frozen=True, slots=True)
class CatalogObject:
    """One object as the server's catalogs describe it.

    `definition` is the whole object as the deparser writes it: shown when the other side lacks the object, and
    compared in case no named attribute covers a difference. `columns` are those on which a constraint or an index
    is defined (None for an expression); a nameless one is found in schema.sql by them. `depends_on` are the objects
    from which this one takes an attribute: the parent's column for a column of a partition, the columns that a view
    reads. `has_generated_name`: the server picked the name of this index or constraint of a partition.
    """

    kind: str
    name: Name
    table: Name
    definition: str
    attributes: Mapping[str, str | None]
    columns: tuple[str | None, ...] = ()
    depends_on: tuple[Key, ...] = ()
    has_generated_name: bool = False


@dataclass(frozen=True, slots=True)
class SettingType:
    """The type of a server setting and the unit of its numbers, as in pg_settings."""

    type: str
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Extension:
    """The version of an extension and the schema of its objects."""

    version: str
    schema: str


@dataclass(frozen=True, slots=True)
class Catalog:
    """One side of the comparison.

    `uncompared` counts the objects of each kind that is not compared, `server_options` the options of objects that are
    left out because they are the server's own. `setting_types` are by lower-case name.
    """

    objects: tuple[CatalogObject, ...]
    uncompared: Mapping[str, int] = field(default_factory=dict)
    database_owner: str | None = None
    setting_types: Mapping[str, SettingType] = field(default_factory=dict)
    extensions: Mapping[str, Extension] = field(default_factory=dict)
    server_options: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """One attribute of one object on which schema.sql and the database disagree.

    `attribute` is "presence" when one side lacks the object; that side's value is then None. `line` is the line of
    schema.sql that defines it; for an object that schema.sql lacks it is the line of its table, if any. `file` is the
    file that has this line, as the caller named it; None for pendingctl's own schema.sql.

    The other fields explain, and do not count when differences are compared for equality. `folded` counts by kind
    what is not listed because it follows from this difference (the columns of a missing table, the same change in
    each partition). An object that seems to be renamed is reported under both names: `renamed_to` is set on the one
    that the database lacks, `renamed_from` on the one that schema.sql lacks.
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
    file: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Uncompared:
    """Something that was found and not compared. --ignore matches `what`; `sentence` is for people."""

    what: str
    sentence: str


class Group(StrEnum):
    """A named group of objects that are made while an application runs, and that --without leaves out."""

    PARTITIONS = "partitions"
    BOOKKEEPING = "bookkeeping"
    REPLICATION = "replication"


@dataclass(frozen=True, slots=True)
class Options:
    """What to compare; the defaults are those of the command line.

    `schemas` limits the comparison to these; None is every schema but the system's. ignore.py explains the patterns
    of `ignore`, and groups.py what `without` leaves out.
    """

    schemas: tuple[str, ...] | None = None
    ignore: tuple[str, ...] = ()
    without: frozenset[Group] = frozenset()
    column_order: bool = False
    privileges: bool = False
    extension_versions: bool = False

    @property
    def enabled(self) -> frozenset[str]:
        """The names of what the catalogs are read for only on request."""
        named = {"privileges": self.privileges, "extension_versions": self.extension_versions}
        return frozenset(name for name, is_enabled in named.items() if is_enabled)


@dataclass(frozen=True, slots=True)
class SchemaDiff:
    """The result. The `notes` are sentences about what was skipped on purpose; they do not affect `identical`.

    The `details` are notes that concern whoever doubts the comparison.

    `schema_files` are the files and folders that the caller gave, none for pendingctl's own schema.sql. `migrated`: the
    other side is what migrations make of an empty database, not a live one.
    """

    schema_files: tuple[Path, ...]
    differences: tuple[Difference, ...]
    notes: tuple[str, ...]
    uncompared: tuple[Uncompared, ...] = ()
    migrated: bool = False
    details: tuple[str, ...] = ()

    @property
    def identical(self) -> bool:
        """Whether everything was compared and nothing differs."""
        return not self.differences and not self.uncompared
