"""Reads schema.sql: splits it into statements and refuses what must not run, before anything does.

pglast is a GPL extra, hence imported here and in locations.py only, and only when a file is read.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ExtraMissing, InvalidInput

if TYPE_CHECKING:
    from pglast.ast import RawStmt, RoleSpec

# A dump's random key, which psql checks, what only changes how psql prints and stops, and the rows of a dump. A line
# inside a function's body could look the same, hence they count only where the parser stumbles over one.
_PASSED_OVER = (
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
# One leads to the database that the file is for; more of them make a file for several.
_CONNECT = re.compile(r"^\\(?:connect|c)\b", re.MULTILINE | re.IGNORECASE)

# What reaches outside the scratch database, by its node in the parse tree.
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
# One that was loaded would fetch rows, and keep its database from being dropped. As scope.py calls them.
_SUBSCRIPTIONS = "subscriptions (they hold passwords)"
# What every database of a server sees, and in which field a node says that it is about such a thing.
_SHARED_OBJECTS = {
    "OBJECT_DATABASE": "DATABASE",
    "OBJECT_PARAMETER_ACL": "PARAMETER",
    "OBJECT_ROLE": "ROLE",
    "OBJECT_SUBSCRIPTION": "SUBSCRIPTION",
    "OBJECT_TABLESPACE": "TABLESPACE",
}
_ABOUT = {
    "AlterOwnerStmt": "objectType",
    "CommentStmt": "objtype",
    "GrantStmt": "objtype",
    "RenameStmt": "renameType",
    "SecLabelStmt": "objtype",
}
_OWNERSHIP = {"AlterDefaultPrivilegesStmt", "AlterOwnerStmt", "GrantStmt"}
_NAMING_ROLES = _OWNERSHIP | {
    "AlterPolicyStmt",
    "AlterTableStmt",
    "CreatePolicyStmt",
    "CreateSchemaStmt",
    "CreateUserMappingStmt",
    "GrantRoleStmt",
}
_EXCERPT_CHARACTERS = 100


@dataclass(frozen=True, slots=True)
class Source:
    """The text of a file and where in it an offset is."""

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
        """Return `file:line:column: message` with the line and a caret below it."""
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
    """One statement, the offset in the file where it begins, and its parse tree.

    `kind` is the name of the tree's class, which is the server's own name for such a node and says what fields it has.
    """

    text: str
    offset: int
    tree: Any
    kind: str


@dataclass(frozen=True, slots=True)
class Script:
    """A schema.sql that parses and reaches for nothing outside its own database.

    `uncompared` counts what it makes, was passed over, and would be told as not compared.
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
    # Where one takes something back, what the file makes depends on them.
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
    """Raise InvalidInput for a statement that would change the roles of a server that others use."""
    for statement in script.statements:
        if statement.kind in _ROLE_STATEMENTS:
            what = _ROLE_STATEMENTS[statement.kind]
            raise InvalidInput(
                script.source.complaint(
                    statement.offset,
                    f"{what} would change the roles of the live server, beside whose database this is loaded, "
                    "or of the one of --scratch; install PostgreSQL of the same major version here, "
                    "or take the statement out",
                )
            )


def without_ownership(script: Script) -> tuple[Statement, ...]:
    """Return the statements to load where owners and grants are not ours to set."""
    return tuple(each for each in without_change_of_role(script) if not _is_ownership(each))


def without_change_of_role(script: Script) -> tuple[Statement, ...]:
    """Return the statements to load where nobody asks for owners: another role may lack the right to make anything."""
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
    """Parse a file; on an error first pass over what psql reads itself and the server never sees."""
    from pglast.parser import ParseError, parse_sql

    notes: list[str] = []
    while True:
        try:
            return source, parse_sql(source.text), notes
        except ParseError as error:
            message, offset = error.args[0], _offset(source, error)
            cleaned = source.text
            several = _CONNECT.match(source.text, offset) and len(_CONNECT.findall(source.text)) > 1
            for pattern, told in () if several else _PASSED_OVER:
                if any(found.start() <= offset <= found.end() for found in pattern.finditer(source.text)):
                    notes += [
                        f"line {source.line(found.start('what'))}: {found['what'].strip()}{told} passed over"
                        for found in pattern.finditer(cleaned)
                    ]
                    cleaned = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), cleaned)
            if cleaned == source.text:
                command = _COMMAND.match(source.text, offset)
                if command is not None:
                    message = f"{command[0]} is a command of psql and cannot be run here; take the line out"
                raise InvalidInput(source.complaint(offset, message)) from None
            source = Source(source.label, cleaned)


def _offset(source: Source, error: Exception) -> int:
    # pglast gives None where the file ends too early.
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
            source.complaint(statement.offset, f"{what} reaches outside the scratch database; take it out")
        )


def roles_in(texts: Iterable[str]) -> frozenset[str]:
    """Return the roles that SQL texts name and none of them creates; one that does not parse names none."""
    from pglast.parser import ParseError, parse_sql

    statements: list[Statement] = []
    for text in texts:
        with suppress(ParseError):
            statements += [Statement("", 0, raw.stmt, type(raw.stmt).__name__) for raw in parse_sql(text)]
    return _roles(statements)


def _shared_object(statement: Statement) -> str | None:
    """Return what of the whole server's this statement is about, if it is."""
    if statement.kind.endswith("SubscriptionStmt"):
        return "SUBSCRIPTION"
    about = _ABOUT.get(statement.kind)
    return None if about is None else _SHARED_OBJECTS.get(getattr(statement.tree, about).name)


def _roles(statements: list[Statement]) -> frozenset[str]:
    from pglast.visitors import Visitor

    named: set[str] = set()

    class Roles(Visitor):
        def visit_RoleSpec(self, _ancestors: object, node: RoleSpec) -> None:  # noqa: N802
            if node.rolename is not None:
                named.add(node.rolename)

    find = Roles()
    for statement in statements:
        if statement.kind in _NAMING_ROLES:
            find(statement.tree)
        elif _changes_role(statement):
            named.update(each.val.sval for each in statement.tree.args or () if each.val.sval != "none")
    return frozenset(named - {item.tree.role for item in statements if item.kind == "CreateRoleStmt"})
