"""Reads the files of a schema: splits them into statements, and refuses those that must not run.

All of it happens before the first one runs.

pglast is an extra under the GPL, and is therefore imported only when a file is read.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ExtraMissing, InvalidInput
from .dump_databases import CONNECT, Databases, is_of_server
from .file_text import read_text
from .files import Folders, Include, include_at, named_files
from .source import Part, Source

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
# A quote in a string, as it is written with standard_conforming_strings off; the parser has it on.
_ESCAPED = re.compile(r"(?<![eE\\])'[^'\n]*\\'")
_MESSAGE_CHARACTERS = 100
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

    `given` are the files and folders as the caller named them. `uncompared` counts the objects whose statements were
    skipped and which are never compared.
    """

    given: tuple[Path, ...]
    source: Source
    statements: tuple[Statement, ...]
    roles: frozenset[str]
    notes: tuple[str, ...]
    uncompared: Mapping[str, int] = field(default_factory=dict)


def read_script(*given: Path) -> Script:
    """Read and split files and those of folders. Raises InvalidInput with the line, and ExtraMissing without pglast."""
    try:
        import pglast  # noqa: F401
    except ImportError:
        raise ExtraMissing("diff-schema", "schema") from None
    original, source, parsed, notes = _parse_files(given)
    databases = Databases(original, source.text)
    second = databases.second(parsed)
    if second is not None:
        message = "objects of a second database; dump the one to compare by itself, with pg_dump"
        raise InvalidInput(Source(original, source.parts).complaint(second, message))
    statements: list[Statement] = []
    subscriptions = 0
    for raw in parsed:
        begin = raw.stmt_location or 0
        text = source.text[begin : begin + raw.stmt_len if raw.stmt_len else None]
        statement = Statement(text, begin, raw.stmt, type(raw.stmt).__name__)
        if statement.kind == "VariableSetStmt" and statement.tree.name == "client_encoding":
            # The text is sent as UTF-8, whatever the file was written in.
            continue
        shared = _shared_object(statement)
        if shared == "SUBSCRIPTION" or (shared and statement.kind in ("CommentStmt", "GrantStmt", "SecLabelStmt")):
            subscriptions += {"CreateSubscriptionStmt": 1, "DropSubscriptionStmt": -1}.get(statement.kind, 0)
            notes.append(f"{source.mention(begin)}: a statement on a {shared.lower()} was passed over")
            continue
        if databases.is_about_one(statement.kind, statement.tree):
            notes.append(f"{source.mention(begin)}: {' '.join(text.split())[:80]} was passed over")
            continue
        _refuse(source, statement)
        statements.append(statement)
    notes += _open_transaction(source, statements)
    uncompared = {_SUBSCRIPTIONS: subscriptions} if subscriptions > 0 else {}
    return Script(given, source, tuple(statements), _roles(statements), tuple(notes), uncompared)


def _open_transaction(source: Source, statements: Iterable[Statement]) -> Iterator[str]:
    begun: Statement | None = None
    for statement in statements:
        if statement.kind == "TransactionStmt":
            kind = statement.tree.kind.name.removeprefix("TRANS_STMT_")
            if kind in ("BEGIN", "START"):
                begun = begun or statement
            elif kind in ("COMMIT", "ROLLBACK"):
                begun = statement if statement.tree.chain and begun else None
    if begun is not None:
        where = source.mention(begun.offset)
        yield f"{where}: this transaction is never committed and was rolled back, as psql does"


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


def _parse_files(given: Sequence[Path]) -> tuple[str, Source, tuple[RawStmt, ...], list[str]]:
    """Parse files and what they include as one text, and return that as it is, and without what psql handles itself.

    A statement ends with its file at the latest, as in psql.
    """
    from pglast.parser import parse_sql

    folders = Folders(given)
    read = [list(_parse_file(path, folders, ())) for path in named_files(given)]
    included = {piece.path.resolve() for pieces in read for piece in pieces if piece.path != pieces[0].path}
    # A folder may have both a file and another one that includes it.
    pieces = [each for pieces in read for each in pieces if pieces[0].path.resolve() not in included]
    if len(pieces) == 1:
        return pieces[0].original, pieces[0].source, pieces[0].parsed, pieces[0].notes
    separator = "\n;\n"
    parts: list[Part] = []
    start = 0
    for each in pieces:
        parts.append(replace(each.source.parts[0], start=start))
        start += len(each.source.text) + len(separator)
    original = separator.join(each.original for each in pieces)
    source = Source(separator.join(each.source.text for each in pieces), tuple(parts))
    parsed = _without_collection(parse_sql, source.text)
    return original, source, parsed, [f"{each.path} {note}" for each in pieces for note in each.notes]


@dataclass(frozen=True, slots=True)
class _Piece:
    """What a file has before, between or after the other files that it includes.

    `original` has the lines too that are blank in the source.
    """

    path: Path
    original: str
    source: Source
    parsed: tuple[RawStmt, ...]
    notes: list[str]


def _parse_file(path: Path, folders: Folders, including: tuple[Path, ...]) -> Iterator[_Piece]:
    text = read_text(path)
    folders.count(path, len(text))
    line = 1
    while True:
        source = Source(text, (Part(0, str(path), line),))
        piece, rest, include = _parse(path, source)
        yield piece
        if include is None:
            return
        offset = len(piece.source.text)
        try:
            target = folders.included(include, path, including)
        except ValueError as error:
            raise InvalidInput(source.complaint(offset, str(error))) from None
        yield from _parse_file(target, folders, (*including, path.resolve()))
        text = rest
        line += source.line(include.end) - 1


def _parse(path: Path, source: Source) -> tuple[_Piece, str, Include | None]:
    """Parse a text up to the first file that it includes, and return the rest and that command.

    Lines that psql handles itself and the server never sees are blanked out where parsing fails.
    """
    from pglast.parser import ParseError, parse_sql

    original = source.text
    notes: list[str] = []
    rest, include = "", None
    while True:
        try:
            parsed = _without_collection(parse_sql, source.text)
            return _Piece(path, original[: len(source.text)], source, parsed, notes), rest, include
        except ParseError as error:
            # Of a string without an end it has the rest of the file.
            message = error.args[0].partition("\n")[0][:_MESSAGE_CHARACTERS]
            offset = _offset(source, error)
            found = include_at(source.text, offset)
            if found is not None:
                rest, include = source.text[found.end :], found
                source = Source(source.text[:offset], source.parts)
                continue
            cleaned = source.text
            several = CONNECT.match(source.text, offset) and len(CONNECT.findall(source.text)) > 1
            for pattern, ending in () if several and not is_of_server(source.text) else _SKIPPED:
                if any(found.start() <= offset <= found.end() for found in pattern.finditer(source.text)):
                    notes += [
                        f"{source.mention(found.start('what'))}: {found['what'].strip()}{ending} passed over"
                        for found in pattern.finditer(cleaned)
                    ]
                    cleaned = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), cleaned)
            if cleaned == source.text:
                command = _COMMAND.match(source.text, offset)
                if command is not None:
                    message = f"{command[0]} is a command of psql and cannot be run here; remove the line"
                elif any(source.line(found.start()) == source.line(offset) for found in _ESCAPED.finditer(source.text)):
                    message += r"; write E'it\'s' or 'it''s', since a backslash in '…' is read as a character"
                raise InvalidInput(source.complaint(offset, message)) from None
            source = Source(cleaned, source.parts)


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
    if statement.kind == "TransactionStmt" and tree.kind.name.endswith(("_PREPARE", "_PREPARED")):
        what = "A prepared transaction"
    elif statement.kind == "CopyStmt":
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
