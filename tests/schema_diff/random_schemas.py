"""Random schemas, and one random change to each with the differences that it must produce."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeAlias

from hypothesis import strategies as st

SCHEMA = "app"

# Kind, object, attribute.
Reported: TypeAlias = tuple[str, str, str]

_TYPES = {
    "integer": ("1", "2"),
    "bigint": ("0", "-1"),
    "text": ("'x'", "''"),
    "numeric(10,2)": ("0.5", "1.5"),
    "timestamp with time zone": ("now()", "clock_timestamp()"),
    "boolean": ("true", "false"),
    "integer[]": ("'{}'", "'{1}'"),
}


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: str
    default: str | None = None
    not_null: bool = False

    def sql(self) -> str:
        default = "" if self.default is None else f" default {self.default}"
        return f'"{self.name}" {self.type}{default}{" not null" if self.not_null else ""}'


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a key `id` and a number `n`, on which its constraints are defined, and with arbitrary columns."""

    name: str
    free: tuple[Column, ...] = ()
    key: bool = True
    unlogged: bool = False
    least: int | None = None
    parent: str | None = None
    on_delete: str = "no action"

    def sql(self) -> str:
        parts = ["id integer not null", "n integer not null", *(column.sql() for column in self.free)]
        if self.key:
            parts.append(f"constraint {self.name}_key primary key (id)")
        if self.least is not None:
            parts.append(f"constraint {self.name}_least check (n > {self.least})")
        if self.parent is not None:
            parts.append(
                f"constraint {self.name}_parent foreign key (n) references {SCHEMA}.{self.parent} "
                f"on delete {self.on_delete}"
            )
        return f"create {'unlogged ' if self.unlogged else ''}table {SCHEMA}.{self.name} ({', '.join(parts)});"


@dataclass(frozen=True, slots=True)
class Index:
    name: str
    table: str
    columns: tuple[str, ...]
    unique: bool = False
    descending: bool = False
    where: int | None = None

    def sql(self) -> str:
        keys = ", ".join(self.columns) + (" desc" if self.descending else "")
        where = "" if self.where is None else f" where n < {self.where}"
        unique = "unique " if self.unique else ""
        return f"create {unique}index {self.name} on {SCHEMA}.{self.table} ({keys}){where};"


@dataclass(frozen=True, slots=True)
class Schema:
    tables: tuple[Table, ...]
    indexes: tuple[Index, ...] = ()
    labels: tuple[str, ...] = ("a", "b")
    increment: int = 1
    viewed: int = 0

    def sql(self) -> str:
        """Return a script, with each table after the one that it references."""
        return "\n".join(
            [
                f"create schema {SCHEMA};",
                f"create type {SCHEMA}.mood as enum ({', '.join(repr(label) for label in self.labels)});",
                f"create sequence {SCHEMA}.counter increment {self.increment};",
                *(table.sql() for table in self.tables),
                *(index.sql() for index in self.indexes),
                f"create view {SCHEMA}.numbers as select {self.viewed} as number;",
            ]
        )


@st.composite
def columns(draw: st.DrawFn, name: str) -> Column:
    type = draw(st.sampled_from(sorted(_TYPES)))
    return Column(name, type, draw(st.none() | st.sampled_from(_TYPES[type])), draw(st.booleans()))


@st.composite
def schemas(draw: st.DrawFn) -> Schema:
    tables: list[Table] = []
    indexes: list[Index] = []
    for name in ("one", "two", "three")[: draw(st.integers(1, 3))]:
        names = draw(st.lists(st.sampled_from(["a", "b", "Odd name", "ü", "order"]), unique=True, max_size=3))
        parents = [table.name for table in tables if table.key and not table.unlogged]
        unlogged = draw(st.booleans()) and not parents
        tables.append(
            Table(
                name,
                tuple(draw(columns(each)) for each in names),
                key=draw(st.booleans()),
                unlogged=unlogged,
                least=draw(st.none() | st.integers(-2, 2)),
                parent=draw(st.none() | st.sampled_from(parents)) if parents else None,
                on_delete=draw(st.sampled_from(["no action", "cascade"])),
            )
        )
        for number in range(draw(st.integers(0, 2))):
            indexes.append(
                Index(
                    f"{name}_{number}",
                    name,
                    draw(st.sampled_from([("id", "n"), ("n", "id"), ("n",)])),
                    unique=draw(st.booleans()),
                    descending=draw(st.booleans()),
                    where=draw(st.none() | st.integers(5, 6)),
                )
            )
    return Schema(
        tuple(tables), tuple(indexes), draw(st.sampled_from([("a",), ("a", "b"), ("b", "a")])), draw(st.integers(1, 2))
    )


@st.composite
def changed(draw: st.DrawFn) -> tuple[Schema, Schema, set[Reported]]:
    """A schema, the same schema with one change, and the expected differences."""
    schema = draw(schemas())
    after, reported = draw(st.sampled_from(list(_changes(schema))))
    return schema, after, reported


def _changes(schema: Schema) -> Iterator[tuple[Schema, set[Reported]]]:
    for position, table in enumerate(schema.tables):
        for new, reported in _table_changes(table, is_parent=any(each.parent == table.name for each in schema.tables)):
            tables = (*schema.tables[:position], *new, *schema.tables[position + 1 :])
            indexes = tuple(index for index in schema.indexes if new or index.table != table.name)
            yield replace(schema, tables=tables, indexes=indexes), reported
    for position, index in enumerate(schema.indexes):
        rest = (*schema.indexes[:position], *schema.indexes[position + 1 :])
        name = f"{SCHEMA}.{index.name}"
        for other, attribute in (
            (replace(index, unique=not index.unique), "unique"),
            (replace(index, descending=not index.descending), "directions"),
            (replace(index, where=7), "predicate"),
            (replace(index, columns=("id",) if index.columns != ("id",) else ("n",)), "keys"),
        ):
            if attribute == "keys" and index.descending and len(index.columns) > 1:
                continue  # the position of the descending key changes too
            yield replace(schema, indexes=(*rest, other)), {("index", name, attribute)}
        yield replace(schema, indexes=rest), {("index", name, "presence")}
    others = (
        ("enum", "mood", "labels", replace(schema, labels=(*schema.labels, "z"))),
        ("sequence", "counter", "increment", replace(schema, increment=schema.increment + 1)),
        ("view", "numbers", "definition", replace(schema, viewed=schema.viewed + 1)),
    )
    for kind, name, attribute, after in others:
        yield after, {(kind, f"{SCHEMA}.{name}", attribute)}


def _table_changes(table: Table, *, is_parent: bool) -> Iterator[tuple[tuple[Table, ...], set[Reported]]]:
    """Yield what replaces the table (nothing if it is dropped) and the expected differences."""
    name = f"{SCHEMA}.{table.name}"
    if not is_parent:
        yield (), {("table", name, "presence")}
        yield (replace(table, key=not table.key),), {("constraint", f"{name}.{table.name}_key", "presence")}
        if table.parent is None:
            yield (replace(table, unlogged=not table.unlogged),), {("table", name, "persistence")}
    least = ("constraint", f"{name}.{table.name}_least")
    yield (replace(table, least=9),), {(*least, "presence" if table.least is None else "expression")}
    if table.parent is not None:
        action = {"no action": "cascade", "cascade": "no action"}[table.on_delete]
        parent = ("constraint", f"{name}.{table.name}_parent")
        yield (replace(table, on_delete=action),), {(*parent, "on_delete")}
        yield (replace(table, parent=None),), {(*parent, "presence")}
    new = Column("new", "text")
    yield (replace(table, free=(*table.free, new)),), {("column", f"{name}.new", "presence")}
    for position, column in enumerate(table.free):
        written = column.name if column.name in ("a", "b", "order") else f'"{column.name}"'
        for others, attribute in _column_changes(column):
            free = (*table.free[:position], *others, *table.free[position + 1 :])
            yield (replace(table, free=free),), {("column", f"{name}.{written}", attribute)}


def _column_changes(column: Column) -> Iterator[tuple[tuple[Column, ...], str]]:
    yield (), "presence"
    yield (replace(column, not_null=not column.not_null),), "nullability"
    one, other = _TYPES[column.type]
    yield (replace(column, default=other if column.default == one else one),), "default"
    if column.default is None:
        yield (replace(column, type="uuid"),), "type"
