"""Which statements of a dump may fail without any effect on the comparison, and why.

A dump is written for a server of its own version and build, for a database that has its objects already (--clean) or
has none, not even `public`, and for roles that it does not create.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import errors

from .parse import Statement

_MISSING = (
    errors.InvalidCatalogName,
    errors.InvalidSchemaName,
    errors.UndefinedColumn,
    errors.UndefinedFunction,
    errors.UndefinedObject,
    errors.UndefinedTable,
)
_NOT_TAKEN = (
    errors.CantChangeRuntimeParam,
    errors.FeatureNotSupported,
    errors.InsufficientPrivilege,
    errors.InvalidParameterValue,
    errors.UndefinedFunction,
    errors.UndefinedObject,
)
# What every database has when it is new, in the parser's words.
_ALREADY_THERE = {
    "CreateSchemaStmt": ("schemaname", "public", errors.DuplicateSchema),
    "CreateExtensionStmt": ("extname", "plpgsql", errors.DuplicateObject),
    "CreatePLangStmt": ("plname", "plpgsql", errors.DuplicateObject),
}
# They mean something else when they are not obeyed.
_DECISIVE_SETTINGS = ("role", "session_authorization", "search_path")
_DROPS = ("DropStmt", "DropRoleStmt", "DropOwnedStmt", "DropUserMappingStmt")
_ROLES = ("GrantRoleStmt", "AlterRoleSetStmt", "AlterRoleStmt", "CreateRoleStmt", "DropRoleStmt")
_GRANTS = ("GrantStmt", "AlterDefaultPrivilegesStmt", "AlterOwnerStmt", "AlterTableStmt")
# Functions by which a dump changes settings and writes statistics of rows.
_WITHOUT_OBJECTS = ("set_config", "pg_restore_relation_stats", "pg_restore_attribute_stats", "pg_clear_relation_stats")


def may_be_passed_over(statement: Statement) -> bool:
    """Whether a failure of this statement can be without effect; in a transaction it must then be undone alone."""
    return (
        statement.kind in (*_ALREADY_THERE, *_DROPS, *_ROLES, *_GRANTS, "CommentStmt", "SecLabelStmt")
        or _is_setting(statement)
        or _calls_only(statement, (*_WITHOUT_OBJECTS, "lo_unlink"))
    )


def reason_to_pass_over(statement: Statement, error: psycopg.Error, major: int) -> str | None:
    """Return why a statement that failed has no effect on the schema, or None if it has one."""
    tree, kind = statement.tree, statement.kind
    if _is_setting(statement) or _calls_only(statement, _WITHOUT_OBJECTS):
        return f"PostgreSQL {major} does not take it" if isinstance(error, _NOT_TAKEN) else None
    if kind in _ALREADY_THERE:
        part, name, expected = _ALREADY_THERE[kind]
        whole = getattr(tree, part) == name and not getattr(tree, "schemaElts", None)
        return "it is there already" if whole and isinstance(error, expected) else None
    if kind == "CommentStmt":
        of_extension = tree.objtype.name == "OBJECT_EXTENSION"
        is_missing = of_extension and isinstance(error, errors.UndefinedObject)
        is_the_servers = of_extension or getattr(tree.object, "sval", None) in ("public", "plpgsql")
        is_anothers = is_the_servers and isinstance(error, errors.InsufficientPrivilege)
        return "the object is missing, or another role's" if is_missing or is_anothers else None
    if kind == "SecLabelStmt":
        return "no provider of labels is loaded" if isinstance(error, errors.InvalidParameterValue) else None
    if kind in _DROPS or _only_drops(statement) or _calls_only(statement, ("lo_unlink",)):
        in_use = kind == "DropRoleStmt" and isinstance(
            error, (errors.DependentObjectsStillExist, errors.ObjectInUse, errors.ReservedName)
        )
        return "there is nothing to drop" if in_use or isinstance(error, _MISSING) else None
    if kind in _ROLES and isinstance(error, (errors.DuplicateObject, errors.InvalidCatalogName)):
        return "it is there already" if isinstance(error, errors.DuplicateObject) else "the database is another one"
    if kind in (*_ROLES, *_GRANTS):
        message = str(error.diag.message_primary)
        if isinstance(error, errors.UndefinedObject) and message.startswith("role "):
            return "the role is missing"
        # PostgreSQL 17 has the privilege MAINTAIN, and 16 the options of a membership.
        if isinstance(error, errors.SyntaxError) and (kind == "GrantRoleStmt" or '"maintain"' in message):
            return f"PostgreSQL {major} has no such privilege"
    return None


def _is_setting(statement: Statement) -> bool:
    # SET TRANSACTION is of this kind too, in another form.
    is_value = statement.kind == "VariableSetStmt" and statement.tree.kind.name == "VAR_SET_VALUE"
    return is_value and statement.tree.name not in _DECISIVE_SETTINGS


def _calls_only(statement: Statement, functions: tuple[str, ...]) -> bool:
    """Whether a statement is a SELECT of nothing but calls of these functions."""
    if statement.kind != "SelectStmt":
        return False
    # SELECT f() and SELECT * FROM f().
    called: list[Any] = [target.val for target in statement.tree.targetList or ()]
    if statement.tree.fromClause:
        called = [call[0] for item in statement.tree.fromClause for call in getattr(item, "functions", None) or ()]
    names = [call.funcname[-1].sval if type(call).__name__ == "FuncCall" else None for call in called]
    return bool(names) and all(name in functions for name in names)


def _only_drops(statement: Statement) -> bool:
    return statement.kind == "AlterTableStmt" and all(
        command.subtype.name.startswith("AT_Drop") or (command.subtype.name == "AT_ColumnDefault" and not command.def_)
        for command in statement.tree.cmds
    )
