"""Which statements of a script have an effect that lasts, and the schema in which each of them creates. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from .parse import Statement


def lasting_statements(statements: Iterable[Statement]) -> Iterator[tuple[Statement, str]]:
    """Yield each statement that is not rolled back, and the schema of names that have none in it.

    That is the first schema of search_path that the script created by then, else the first one that it names.
    """
    created = {"public"}
    path: Sequence[str] = ("public",)
    # What SET LOCAL hides until the end of the transaction.
    hidden: Sequence[str] | None = None
    within = False
    for statement in _not_rolled_back(statements):
        tree = statement.tree
        named = [name for name in path if name != "$user"]
        yield statement, next((name for name in named if name in created), named[0] if named else "public")
        if statement.kind == "CreateSchemaStmt":
            created.add(tree.schemaname or tree.authrole.rolename)
        elif statement.kind == "RenameStmt" and tree.renameType.name == "OBJECT_SCHEMA":
            created.add(tree.newname)
        elif statement.kind == "TransactionStmt":
            within = _begins(tree) or (within and not _ends(tree)) or bool(tree.chain)
            if _ends(tree):
                path, hidden = path if hidden is None else hidden, None
        elif (change := _search_path(statement)) is not None:
            new, is_local = change
            if not is_local:
                path, hidden = new, None
            elif within:
                path, hidden = new, path if hidden is None else hidden


def _not_rolled_back(statements: Iterable[Statement]) -> list[Statement]:
    kept: list[Statement] = []
    # How many were kept at the beginning of the open transaction, and at each of its savepoints.
    marks: list[tuple[str | None, int]] = []
    for statement in statements:
        tree = statement.tree
        if statement.kind == "TransactionStmt":
            names = [name for name, _ in marks]
            savepoint = len(names) - 1 - names[::-1].index(tree.savepoint_name) if tree.savepoint_name in names else 0
            match tree.kind.name:
                case "TRANS_STMT_SAVEPOINT" if marks:
                    marks.append((tree.savepoint_name, len(kept)))
                case "TRANS_STMT_RELEASE" if savepoint:
                    del marks[savepoint:]
                case "TRANS_STMT_ROLLBACK_TO" if savepoint:
                    del kept[marks[savepoint][1] :], marks[savepoint + 1 :]
                case "TRANS_STMT_ROLLBACK" if marks:
                    del kept[marks[0][1] :]
            if _ends(tree):
                marks.clear()
            if (_begins(tree) or tree.chain) and not marks:
                marks.append((None, len(kept)))
        kept.append(statement)
    # What is never committed is rolled back at the end.
    return kept[: marks[0][1]] if marks else kept


def _begins(tree: Any) -> bool:
    return tree.kind.name in ("TRANS_STMT_BEGIN", "TRANS_STMT_START")


def _ends(tree: Any) -> bool:
    return tree.kind.name in ("TRANS_STMT_COMMIT", "TRANS_STMT_ROLLBACK")


def _search_path(statement: Statement) -> tuple[Sequence[str], bool] | None:
    """Return the search_path that a statement sets, and whether for its transaction alone."""
    tree = statement.tree
    match statement.kind:
        case "VariableSetStmt" if tree.name == "search_path" or tree.kind.name == "VAR_RESET_ALL":
            if tree.kind.name == "VAR_SET_CURRENT":
                return None
            return [getattr(each.val, "sval", "") for each in tree.args or ()] or ("public",), tree.is_local
        case "DiscardStmt" if tree.target.name == "DISCARD_ALL":
            return ("public",), False
        case "SelectStmt" if len(tree.targetList or ()) == 1:
            call = tree.targetList[0].val
            is_call = type(call).__name__ == "FuncCall" and call.funcname[-1].sval == "set_config"
            if is_call and len(call.args or ()) == 3:
                name, value, is_local = (getattr(each, "val", None) for each in call.args)
                path = getattr(value, "sval", None)
                if getattr(name, "sval", "").lower() == "search_path" and path is not None:
                    names = [each.strip().strip('"') for each in path.split(",")]
                    return names, bool(getattr(is_local, "boolval", False))
    return None
