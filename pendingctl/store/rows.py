"""What the calls about one question share: the parameters that name its row, and a look at it."""

from __future__ import annotations

from psycopg.rows import class_row

from ..model import Click, Scope
from ..postgres.connections import Connection
from . import statements
from .refusal import FoundRow

# A row can change hands between two statements of one call; each further try needs another such change.
TRIES = 5


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
