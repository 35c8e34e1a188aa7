"""Finds the line of schema.sql that defines an object, from the locations that pglast returns.

Names are followed through renames, changes of schema and `search_path`, as far as the file itself states them. What a
DO block or a LIKE creates has no line of its own; its table's line is used, if there is one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from .lasting import lasting_statements
from .model import CatalogObject, Name
from .parse import Script
from .statement_targets import dropped, target_name, targets

# Kind, name, and the attribute that a statement sets: None for the object itself.
_Place: TypeAlias = tuple[str, Name, str | None]
# Kind, table, type and columns, by which an object without a name is found.
_Nameless: TypeAlias = tuple[str, Name, str, tuple[str | None, ...]]

_CONSTRAINTS = {
    "CONSTR_PRIMARY": "primary key",
    "CONSTR_UNIQUE": "unique",
    "CONSTR_CHECK": "check",
    "CONSTR_FOREIGN": "foreign key",
    "CONSTR_EXCLUSION": "exclusion",
}
_COLUMN_PARTS = {
    "CONSTR_NOTNULL": "nullability",
    "CONSTR_NULL": "nullability",
    "CONSTR_DEFAULT": "default",
    "CONSTR_IDENTITY": "identity",
    "CONSTR_GENERATED": "generated",
}
_COLUMN_COMMANDS = {
    "AT_ColumnDefault": "default",
    "AT_CookedColumnDefault": "default",
    "AT_SetNotNull": "nullability",
    "AT_DropNotNull": "nullability",
    "AT_AlterColumnType": "type",
    "AT_SetStatistics": "statistics_target",
    "AT_SetStorage": "storage",
    "AT_SetCompression": "compression",
    "AT_SetOptions": "options",
    "AT_AddIdentity": "identity",
    "AT_SetIdentity": "identity",
    "AT_SetExpression": "generated",
}
_TABLE_COMMANDS = {
    "AT_ReplicaIdentity": "replica_identity",
    "AT_EnableRowSecurity": "row_security",
    "AT_DisableRowSecurity": "row_security",
    "AT_ForceRowSecurity": "forced_row_security",
    "AT_NoForceRowSecurity": "forced_row_security",
    "AT_SetRelOptions": "storage_parameters",
    "AT_ResetRelOptions": "storage_parameters",
    "AT_SetLogged": "persistence",
    "AT_SetUnLogged": "persistence",
    "AT_AddInherit": "inherits",
}
_TRIGGER_COMMANDS = ("AT_EnableTrig", "AT_DisableTrig", "AT_EnableReplicaTrig", "AT_EnableAlwaysTrig")
# What other objects belong to, and what is renamed with a table.
_OWNERS = ("table", "foreign table", "view", "materialized view", "domain")
_OF_TABLE = frozenset({"table", "foreign table", "column", "constraint", "trigger", "rule", "policy"})


class Locations:
    """Where in a script its objects are defined. Read once, then only queried."""

    def __init__(self, script: Script) -> None:
        self._source = script.source
        self._places: dict[_Place, int] = {}
        self._nameless: dict[_Nameless, int] = {}
        self._table_of_index: dict[Name, Name] = {}
        self._schema = "public"
        for statement, self._schema in lasting_statements(script.statements):
            self._read(statement.tree, statement.offset)

    def line(self, item: CatalogObject, in_schema: bool, attribute: str) -> int | None:
        """Return the line that sets an attribute, else that of its object, else that of its table, else None."""
        offset: int | None = None
        if in_schema:
            name = target_name(item.kind, item.name)
            bare = tuple(part for part in name if not part.startswith("("))
            candidates = ((name, attribute), (name, None), (bare, attribute), (bare, None))
            offset = self._first((item.kind, *each) for each in candidates)
            if offset is None:
                offset = self._nameless_offset(item)
            if offset is None and item.kind == "sequence":
                offset = self._first(("column", (*item.table, name), None) for name in item.columns if name)
        if offset is None:
            offset = self._first((kind, item.table, None) for kind in _OWNERS)
        return None if offset is None else self._source.line(offset)

    def _first(self, places: Iterable[_Place]) -> int | None:
        return next((self._places[place] for place in places if place in self._places), None)

    def move_table(self, old: Name, new: Name) -> None:
        """Rename a table or move it to another schema, with everything that belongs to it."""
        for (kind, name, attribute), offset in list(self._places.items()):
            if kind == "index" and self._table_of_index.get(name) == old:
                del self._places[kind, name, attribute]
                self._table_of_index[new[0], name[1]] = new
                self._places[kind, (new[0], name[1]), attribute] = offset
            elif kind in _OF_TABLE and name[:2] == old:
                del self._places[kind, name, attribute]
                self._places[kind, new + name[2:], attribute] = offset
        self._nameless = {
            (kind, new if table == old else table, type_, columns): offset
            for (kind, table, type_, columns), offset in self._nameless.items()
        }

    def move_function(self, old: Name, new: Name) -> None:
        """Rename a function or move it to another schema."""
        for (kind, name, attribute), offset in list(self._places.items()):
            if kind == "function" and name[:2] == old:
                del self._places[kind, name, attribute]
                self._places[kind, new + name[2:], attribute] = offset

    def _forget(self, kind: str, name: Name) -> None:
        """Forget what a statement drops: another one may create it again."""
        if any((kind, each, None) in self._places for each in (name, name[:2])):
            for place in [each for each in self._places if self._goes_with(each, kind, name)]:
                del self._places[place]
            self._nameless = {key: offset for key, offset in self._nameless.items() if key[1][: len(name)] != name}

    def _goes_with(self, place: _Place, kind: str, name: Name) -> bool:
        placed, other, _ = place
        if placed == "index" and kind in _OWNERS:
            return self._table_of_index.get(other) == name
        is_part = kind in ("schema", placed) or (kind in _OWNERS and placed in _OF_TABLE)
        return is_part and other[: len(name)] == name

    def _nameless_offset(self, item: CatalogObject) -> int | None:
        type_ = item.attributes.get("type") or ""
        # In the written order, then sorted, as for a check, then without columns, where a table can have only one.
        for columns in (item.columns, tuple(sorted({name for name in item.columns if name})), ()):
            offset = self._nameless.get((item.kind, item.table, type_, columns))
            if offset is not None:
                return offset
        return None

    # The name of a tree's class is the server's own name for the node, and the fields are those of that node.
    def _read(self, tree: Any, offset: int) -> None:  # noqa: PLR0912  # one branch per statement
        for place in targets(tree, self._schema):
            if place[2] is not None or getattr(tree, "replace", False):
                self._places[place] = offset
            else:
                self._places.setdefault(place, offset)
        match type(tree).__name__:
            case "CreateSchemaStmt":
                outer, self._schema = self._schema, tree.schemaname or self._schema
                for element in tree.schemaElts or ():
                    self._read(element, offset)
                self._schema = outer
            case "DropStmt":
                for kind, name in dropped(tree, self._schema):
                    self._forget(kind, name)
            case "CreateStmt" if tree.relation.relpersistence != "t":
                self._create_table(tree)
            case "CreateForeignTableStmt":
                self._create_table(tree.base)
                self._places["foreign table", self._name(tree.base.relation), None] = tree.base.relation.location
            case "CreateDomainStmt":
                name = tuple(each.sval for each in tree.domainname)
                name = name if len(name) > 1 else (self._schema, *name)
                for constraint in tree.constraints or ():
                    if constraint.conname is not None:
                        self._places["domain constraint", (*name, constraint.conname), None] = constraint.location
            case "AlterTableStmt" if tree.objtype.name == "OBJECT_TABLE":
                table = self._name(tree.relation)
                for command in tree.cmds:
                    self._alter_table(table, command, offset)
            case "AlterTableStmt" if tree.objtype.name == "OBJECT_INDEX":
                for command in tree.cmds:
                    if command.subtype.name == "AT_AttachPartition":
                        self._places["index", self._name(command.def_.name), "attached_to"] = offset
                    else:
                        self._places["index", self._name(tree.relation), "storage_parameters"] = offset
            case "IndexStmt":
                self._create_index(tree, offset)
            case "RenameStmt" if tree.relation is not None:
                self._rename(tree)
            case "AlterObjectSchemaStmt" if tree.objectType.name == "OBJECT_TABLE":
                old = self._name(tree.relation)
                self.move_table(old, (tree.newschema, old[1]))

    def _name(self, relation: Any) -> Name:
        return (relation.schemaname or self._schema, relation.relname)

    def _create_table(self, tree: Any) -> None:
        table = self._name(tree.relation)
        # With IF NOT EXISTS the first one counts.
        if ("table", table, None) in self._places:
            return
        self._places["table", table, None] = tree.relation.location
        if tree.partbound is not None:
            self._places["table", table, "partition_bound"] = tree.partbound.location
        for element in tree.tableElts or ():
            if type(element).__name__ == "ColumnDef":
                self._column(table, element)
            elif type(element).__name__ == "Constraint":
                self._constraint(table, element, None)

    def _column(self, table: Name, definition: Any) -> None:
        column = (*table, definition.colname)
        self._places["column", column, None] = definition.location
        if definition.typeName is not None:
            self._places["column", column, "type"] = definition.typeName.location
        if definition.collClause is not None:
            self._places["column", column, "collation"] = definition.collClause.location
        for constraint in definition.constraints or ():
            part = _COLUMN_PARTS.get(constraint.contype.name)
            if part is not None:
                self._places["column", column, part] = constraint.location
            else:
                self._constraint(table, constraint, definition.colname)

    def _constraint(self, table: Name, tree: Any, column: str | None) -> None:
        kind = _CONSTRAINTS.get(tree.contype.name)
        if kind is None:
            return
        if tree.conname is not None:
            self._places["constraint", (*table, tree.conname), None] = tree.location
            return
        names: tuple[str | None, ...] = ()
        match kind:
            case "unique":
                names = tuple(key.sval for key in tree.keys or ())
            case "foreign key":
                names = tuple(key.sval for key in tree.fk_attrs or ())
            case "check":
                names = tuple(sorted(_columns_in(tree.raw_expr)))
            case "exclusion":
                names = tuple(element.name for element, _ in tree.exclusions)
        if column is not None and kind in ("unique", "foreign key"):
            names = (column,)
        self._nameless.setdefault(("constraint", table, kind, names), tree.location)

    def _alter_table(self, table: Name, command: Any, offset: int) -> None:
        subtype = command.subtype.name
        if subtype == "AT_AddColumn":
            self._column(table, command.def_)
        elif subtype == "AT_AddConstraint":
            self._constraint(table, command.def_, None)
        elif subtype in ("AT_ValidateConstraint", "AT_AlterConstraint"):
            attribute = "validity" if subtype == "AT_ValidateConstraint" else "deferrable"
            self._places["constraint", (*table, command.name or command.def_.conname), attribute] = offset
        elif subtype == "AT_AttachPartition":
            child = self._name(command.def_.name)
            self._places["table", child, "partition_of"] = offset
            self._places["table", child, "partition_bound"] = offset
        elif subtype in _COLUMN_COMMANDS and command.name is not None:
            self._places["column", (*table, command.name), _COLUMN_COMMANDS[subtype]] = offset
        elif subtype in _TRIGGER_COMMANDS:
            self._places["trigger", (*table, command.name), "enabled"] = offset
        elif subtype in _TABLE_COMMANDS:
            self._places["table", table, _TABLE_COMMANDS[subtype]] = offset

    def _create_index(self, tree: Any, offset: int) -> None:
        table = self._name(tree.relation)
        if tree.idxname is None:
            columns = tuple(element.name for element in tree.indexParams)
            self._nameless.setdefault(("index", table, "", columns), offset)
            return
        # An index is in its table's schema, whatever the search_path.
        index = (table[0], tree.idxname)
        self._table_of_index.setdefault(index, table)
        self._places.setdefault(("index", index, None), offset)

    def _rename(self, tree: Any) -> None:
        old = self._name(tree.relation)
        match tree.renameType.name:
            case "OBJECT_TABLE":
                self.move_table(old, (old[0], tree.newname))
            case "OBJECT_COLUMN":
                self._rename_place("column", (*old, tree.subname), tree.newname)
            case "OBJECT_TABCONSTRAINT":
                self._rename_place("constraint", (*old, tree.subname), tree.newname)
            case "OBJECT_INDEX":
                table = self._table_of_index.pop(old, None)
                if table is not None:
                    self._table_of_index[old[0], tree.newname] = table
                self._rename_place("index", old, tree.newname)

    def _rename_place(self, kind: str, old: Name, new: str) -> None:
        for (placed, name, attribute), offset in list(self._places.items()):
            if placed == kind and name == old:
                del self._places[placed, name, attribute]
                self._places[placed, (*old[:-1], new), attribute] = offset


def _columns_in(expression: Any) -> set[str]:
    from pglast.visitors import Visitor

    names: set[str] = set()

    class Columns(Visitor):
        def visit_ColumnRef(self, _ancestors: object, node: Any) -> None:  # noqa: N802
            if type(node.fields[-1]).__name__ == "String":
                names.add(node.fields[-1].sval)

    Columns()(expression)
    return names
