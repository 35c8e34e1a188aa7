"""What the calls about one question share: the parameters that name its row, and the row as it is found or left."""

from __future__ import annotations

from datetime import datetime

from psycopg.rows import args_row, class_row

from ..model import Click, PutOutcome, Scope, Stored
from ..postgres.connections import Connection
from . import statements
from .refusal import FoundRow

# A row can change hands between two statements of one call; each further try needs another such change.
TRIES = 5


def _stored(
    id: str, outcome: str, ask_number: int, created_at: datetime, row_version: str, is_to_be_posted: bool
) -> Stored:
    return Stored(id, PutOutcome(outcome), ask_number, created_at, row_version, is_to_be_posted)


# What a statement that stores a question has left; by place, as `claims.CLAIM_ROW` is read.
STORED_ROW = args_row(_stored)


async def look(connection: Connection, id: str, by: Scope | Click) -> FoundRow | None:
    """Return the row of this id as the organization and connection of `by` may see it; None where there is none."""
    cursor = connection.cursor(row_factory=class_row(FoundRow))
    parameters = {"id": id, "organization_id": by.organization_id, "connection_id": by.connection_id}
    return await (await cursor.execute(statements.LOOK, parameters)).fetchone()


def scope_parameters(scope: Scope) -> dict[str, str]:
    """Return the parameters by which a statement finds the rows of exactly this scope."""
    return {
        "organization_id": scope.organization_id,
        "connection_id": scope.connection_id,
        "expected_user_id": scope.expected_user_id,
    }
