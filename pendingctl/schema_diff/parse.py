"""Reads schema.sql: splits it into statements, and refuses those that must not run before any of them does.

pglast is an extra under the GPL, and is therefore imported only when a file is read.
"""

from __future__ import annotations

import gc
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ExtraMissing, InvalidInput

if TYPE_CHECKING:
    from pglast.ast import RawStmt, RoleSpec

# Commands of psql that have no effect on the schema, and the rows of a dump. A line inside a function's body could look
# the same, so they are skipped only where the parser fails on one.
_SKIPPED = (
    (
        re.compile(
            r"^(?P<what>\\(?:(?:un)?restrict|connect|c|echo|qecho|warn|timing|pset"
            r"|set[ \t]+(?:ON_ERROR_STOP|ON_ERROR_ROLLBACK|ECHO|QUIET|VERBOSITY|SHOW_CONTEXT)"
            r"|encoding[ \t]+'?UTF-?8'?))(?![\w+])[^\n]*",
            re.MULTILINE | re.IGNORECASE,
        ),
        " is psql's and was",
    ),
    (
        re.compile(
            r"^(?P<what>[ \t]*copy\b[^;\n]*\bfrom\s+stdin)\b[^;\n]*;.*?^\\\.[ \t\r]*$",
            re.IGNORECASE | re.MULTILINE | re.DOTALL,
        ),
        " and its rows were",
    ),
)
_COMMAND = re.compile(r"\\[^\s;]*")
# One of them connects to the database that the file is for; a file with several is for several databases.
_CONNECT = re.compile(r"^\\(?:connect|c)\b", re.MULTILINE | re.IGNORECASE)

# Statements that reach outside the scratch database, by their node in the parse tree.
_REFUSED = {
    "AlterDatabaseRefreshCollStmt": "ALTER DATABASE",
    "AlterDatabaseSetStmt": "ALTER DATABASE",
    "AlterDatabaseStmt": "ALTER DATABASE",
    "AlterSystemStmt": "ALTER SYSTEM",
    "AlterTableMoveAllStmt": "ALTER … ALL IN TABLESPACE",
    "AlterTableSpaceOptionsStmt": "ALTER TABLESPACE",
    "CreateTableSpaceStmt": "CREATE TABLESPACE",
    "CreatedbStmt": "CREATE DATABASE",
    "DropTableSpaceStmt": "DROP TABLESPACE",
    "DropdbStmt": "DROP DATABASE",
    "ImportForeignSchemaStmt": "IMPORT FOREIGN SCHEMA",
    "LoadStmt": "LOAD",
}
_ROLE_STATEMENTS = {
    "AlterRoleSetStmt": "ALTER ROLE",
    "AlterRoleStmt": "ALTER ROLE",
    "CreateRoleStmt": "CREATE ROLE",
    "DropOwnedStmt": "DROP OWNED",
    "DropRoleStmt": "DROP ROLE",
    "GrantRoleStmt": "GRANT of a role",
    "ReassignOwnedStmt": "REASSIGN OWNED",
}
# Never loaded: a subscription would fetch rows and prevent its database from being dropped. Named as in scope.py.
_SUBSCRIPTIONS = "subscriptions (they hold passwords)"
# Objects that all databases of a server share, and the field in which a node names the kind of its object.
_SHARED_OBJECTS = {
    "OBJECT_DATABASE": "DATABASE",
    "OBJECT_PARAMETER_ACL": "PARAMETER",
    "OBJECT_ROLE": "ROLE",
    "OBJECT_SUBSCRIPTION": "SUBSCRIPTION",
    "OBJECT_TABLESPACE": "TABLESPACE",
}
_OBJECT_KIND_FIELDS = {
    "AlterOwnerStmt": "objectType",
    "CommentStmt": "objtype",
    "GrantStmt": "objtype",
    "RenameStmt": "renameType",
    "SecLabelStmt": "objtype",
}
_OWNERSHIP = {"AlterDefaultPrivilegesStmt", "AlterOwnerStmt", "GrantStmt"}
_NODES_WITH_ROLES = _OWNERSHIP | {
    "AlterPolicyStmt",
    "CreatePolicyStmt",
    "CreateSchemaStmt",
    "CreateUserMappingStmt",
    "GrantRoleStmt",
}
_EXCERPT_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a file, and the lines of its offsets."""

    label: str
    text: str
    _line_starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        starts = (0, *(found.end() for found in re.finditer("\n", self.text)))
        object.__setattr__(self, "_line_starts", starts)

    def line(self, offset: int) -> int:
        """Return the line, from 1, of an offset in characters."""
        return bisect_right(self._line_starts, offset)

    def complaint(self, offset: int, message: str) -> str:
        """Return `file:line:column: message`, followed by the line and a caret below it."""
        offset = min(max(offset, 0), len(self.text.rstrip()))
        line = self.line(offset)
        start = self._line_starts[line - 1]
        text = self.text[start:].partition("\n")[0].rstrip("\r")
        column = offset - start
        first = max(0, column - _EXCERPT_CHARACTERS // 2)
        excerpt = text[first : first + _EXCERPT_CHARACTERS]
        indent = "".join(character if character == "\t" else " " for character in text[first:column])
        return f"{self.label}:{line}:{column + 1}: {message}\n  {excerpt}\n  {indent}^"


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, the offset in the file at which it begins, and its parse tree.

    `kind` is the name of the tree's class, the server's own name for such a node.
    """

    text: str
    offset: int
    tree: Any
    kind: str


@dataclass(frozen=True, slots=True)
class Script:
    """A schema.sql that parses and contains nothing that reaches outside its own database.

    `uncompared` counts the objects whose statements were skipped and which are never compared.
    """

    source: Source
    statements: tuple[Statement, ...]
    roles: frozenset[str]
    notes: tuple[str, ...]
    uncompared: Mapping[str, int] = field(default_factory=dict)


def read_script(path: Path) -> Script:
    """Read and split a file. Raises InvalidInput with the line, and ExtraMissing when pglast is not installed."""
    try:
        import pglast  # noqa: F401
    except ImportError:
        raise ExtraMissing("diff-schema", "schema") from None
    source, parsed, notes = _parse(Source(str(path), _read(path)))
    statements: list[Statement] = []
    subscriptions = 0
    # They are skipped unless one rolls back: then the result depends on them.
    transactions = any(_rolls_back(raw.stmt) for raw in parsed)
    for raw in parsed:
        begin = raw.stmt_location or 0
        text = source.text[begin : begin + raw.stmt_len if raw.stmt_len else None]
        statement = Statement(text, begin, raw.stmt, type(raw.stmt).__name__)
        if statement.kind == "TransactionStmt" and not transactions:
            notes.append(f"line {source.line(begin)}: {text.strip()} was passed over")
            continue
        shared = _shared_object(statement)
        if shared == "SUBSCRIPTION" or (shared and statement.kind in ("CommentStmt", "GrantStmt", "SecLabelStmt")):
            subscriptions += {"CreateSubscriptionStmt": 1, "DropSubscriptionStmt": -1}.get(statement.kind, 0)
            notes.append(f"line {source.line(begin)}: a statement on a {shared.lower()} was passed over")
            continue
        _refuse(source, statement)
        statements.append(statement)
    uncompared = {_SUBSCRIPTIONS: subscriptions} if subscriptions > 0 else {}
    return Script(source, tuple(statements), _roles(statements), tuple(notes), uncompared)


def _rolls_back(tree: Any) -> bool:
    return type(tree).__name__ == "TransactionStmt" and tree.kind.name.startswith("TRANS_STMT_ROLLBACK")


def refuse_role_statements(script: Script) -> None:
    """Raise InvalidInput for a statement that would change the roles of a shared server."""
    for statement in script.statements:
        if statement.kind in _ROLE_STATEMENTS:
            what = _ROLE_STATEMENTS[statement.kind]
            raise InvalidInput(
                script.source.complaint(
                    statement.offset,
                    f"{what} would change the roles of the live server, or of the server that --scratch names, "
                    "on which this is loaded; install PostgreSQL of the same major version here, "
                    "or remove the statement",
                )
            )


def without_ownership(script: Script) -> tuple[Statement, ...]:
    """Return the statements to load where owners and grants must not be set."""
    return tuple(each for each in without_change_of_role(script) if not _is_ownership(each))


def without_change_of_role(script: Script) -> tuple[Statement, ...]:
    """Return the statements to load where owners are not compared: another role might not be able to create them."""
    return tuple(each for each in script.statements if not _changes_role(each))


def _changes_role(statement: Statement) -> bool:
    return statement.kind == "VariableSetStmt" and statement.tree.name in ("role", "session_authorization")


def _is_ownership(statement: Statement) -> bool:
    if statement.kind != "AlterTableStmt":
        return statement.kind in _OWNERSHIP
    return all(command.subtype.name == "AT_ChangeOwner" for command in statement.tree.cmds)


def _read(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise InvalidInput(f"{path}:{line}: not UTF-8; convert the file, for example with iconv") from None
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InvalidInput(f"{path}:{line}: a NUL character; this is not an SQL script")
    return text


def _parse(source: Source) -> tuple[Source, tuple[RawStmt, ...], list[str]]:
    """Parse a file. Lines that psql handles itself and the server never sees are blanked out where parsing fails."""
    from pglast.parser import ParseError, parse_sql

    notes: list[str] = []
    while True:
        try:
            return source, _without_collection(parse_sql, source.text), notes
        except ParseError as error:
            message, offset = error.args[0], _offset(source, error)
            cleaned = source.text
            several = _CONNECT.match(source.text, offset) and len(_CONNECT.findall(source.text)) > 1
            for pattern, ending in () if several else _SKIPPED:
                if any(found.start() <= offset <= found.end() for found in pattern.finditer(source.text)):
                    notes += [
                        f"line {source.line(found.start('what'))}: {found['what'].strip()}{ending} passed over"
                        for found in pattern.finditer(cleaned)
                    ]
                    cleaned = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), cleaned)
            if cleaned == source.text:
                command = _COMMAND.match(source.text, offset)
                if command is not None:
                    message = f"{command[0]} is a command of psql and cannot be run here; remove the line"
                raise InvalidInput(source.complaint(offset, message)) from None
            source = Source(source.label, cleaned)


def _without_collection(parse: Callable[[str], tuple[RawStmt, ...]], text: str) -> tuple[RawStmt, ...]:
    """Parse without the garbage collector, which would walk through the growing tree again and again."""
    if not gc.isenabled():
        return parse(text)
    gc.disable()
    try:
        return parse(text)
    finally:
        gc.enable()


def _offset(source: Source, error: Exception) -> int:
    # pglast returns None where the file ends too early.
    offset = error.args[1] if len(error.args) > 1 else None
    return offset if isinstance(offset, int) else len(source.text)


def _refuse(source: Source, statement: Statement) -> None:
    what = _REFUSED.get(statement.kind)
    tree = statement.tree
    shared = _shared_object(statement)
    if shared is not None:
        what = f"ALTER {shared}"
    if statement.kind == "CopyStmt":
        what = "COPY" if tree.filename or tree.is_program or tree.is_from else None
    elif statement.kind == "DoStmt":
        languages = [item.arg.sval for item in tree.args if item.defname == "language"]
        what = "DO in this language" if languages not in ([], ["plpgsql"]) else None
    if what is not None:
        raise InvalidInput(
            source.complaint(statement.offset, f"{what} reaches outside the scratch database; remove it")
        )


def roles_in(texts: Iterable[str]) -> frozenset[str]:
    """Return the roles that SQL texts name and do not create. Texts that do not parse are ignored."""
    from pglast.parser import ParseError, parse_sql

    statements: list[Statement] = []
    for text in texts:
        with suppress(ParseError):
            statements += [Statement("", 0, raw.stmt, type(raw.stmt).__name__) for raw in parse_sql(text)]
    return _roles(statements)


def _shared_object(statement: Statement) -> str | None:
    """Return the kind of the object shared by the whole server to which this statement applies, if any."""
    if statement.kind.endswith("SubscriptionStmt"):
        return "SUBSCRIPTION"
    field_name = _OBJECT_KIND_FIELDS.get(statement.kind)
    return None if field_name is None else _SHARED_OBJECTS.get(getattr(statement.tree, field_name).name)


def _roles(statements: list[Statement]) -> frozenset[str]:
    from pglast.visitors import Visitor

    named: set[str] = set()

    class Roles(Visitor):
        def visit_RoleSpec(self, _ancestors: object, node: RoleSpec) -> None:  # noqa: N802
            if node.rolename is not None:
                named.add(node.rolename)

    find = Roles()
    for statement in statements:
        # Of the kinds, only a table's change is frequent. Walking through a tree takes longer than parsing it.
        if statement.kind == "AlterTableStmt":
            named.update(each.newowner.rolename for each in statement.tree.cmds if each.newowner is not None)
        elif statement.kind in _NODES_WITH_ROLES:
            find(statement.tree)
        elif _changes_role(statement):
            named.update(each.val.sval for each in statement.tree.args or () if each.val.sval != "none")
    return frozenset(named - {None} - {item.tree.role for item in statements if item.kind == "CreateRoleStmt"})
