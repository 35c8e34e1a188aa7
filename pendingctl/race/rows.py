"""The rows of a run: stored before it, read after it, removed at its end.

They are read by a statement of their own and not through the store, which is what the race puts to the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..database import Connection, SingleConnection, translated_errors
from ..errors import InvalidInput
from ..model import Scope
from ..store import PendingStore
from .history import Asked, Row
from .plan import Names, PlannedQuestion, RaceSettings, plan_bystanders

APPLICATION = "pendingctl simulate-race"

_READ = """
    select id, organization_id, connection_id, expected_user_id, entry_payload, claimed_at, ask_number,
           answer, delivery_key
    from pending_interactions
    where id = any (%(ids)s)
"""

_DELETE = """
    delete from pending_interactions
    where id = any (%(ids)s) and organization_id = %(organization_id)s
"""

_LEFT = """
    select 'question ' || id from pending_interactions where id = any (%(ids)s)
    union all
    select 'organization ' || id from organization where id = any (%(organizations)s)
"""


@dataclass(frozen=True, slots=True)
class Arrangement:
    """What a run stores, and what it must remove: its questions, and the organizations that are its own."""

    names: Names
    questions: tuple[PlannedQuestion, ...]
    bystanders: tuple[PlannedQuestion, ...]
    own_organizations: tuple[str, ...]

    @property
    def ids(self) -> list[str]:
        """The ids of all its rows."""
        return [planned.question.id for planned in (*self.questions, *self.bystanders)]


def arrange(settings: RaceSettings, names: Names, questions: Sequence[PlannedQuestion]) -> Arrangement:
    """Return what a run of these questions is going to store."""
    own = [names.foreign_organization_id]
    if settings.organization_id is None:
        own.append(names.organization_id)
    return Arrangement(names, tuple(questions), tuple(plan_bystanders(settings, names)), tuple(own))


async def store_questions(connection: Connection, arrangement: Arrangement) -> list[Asked]:
    """Create the run's organizations and store its questions; return them as stored.

    Raises InvalidInput when organizations cannot be created here, NotFound when the given one does not exist.
    Where an application's own table keeps the foreign organization from being created, wrong clicks name one
    that does not exist, and there are no bystanders.
    """
    store = PendingStore(SingleConnection(connection))
    names = arrangement.names
    if names.organization_id in arrangement.own_organizations:
        try:
            await store.create_organization(names.organization_id)
        except InvalidInput as error:
            raise InvalidInput(f"{error}, and race in it with --org") from error
    stored = await _store(store, arrangement.questions)
    try:
        await store.create_organization(names.foreign_organization_id)
    except InvalidInput:
        return stored
    return stored + await _store(store, arrangement.bystanders)


async def _store(store: PendingStore, questions: Sequence[PlannedQuestion]) -> list[Asked]:
    asked = [
        Asked(each.question.id, each.question.scope, each.question.payload(), each.question.conversation_id)
        for each in questions
    ]
    await store.put_many((each.id, each.scope, each.payload) for each in asked)
    return asked


async def read_rows(connection: Connection, arrangement: Arrangement) -> list[Row]:
    """Return the run's rows as they stand."""
    with translated_errors():
        cursor = await connection.execute(_READ, {"ids": arrangement.ids})
        found = await cursor.fetchall()
    return [
        Row(id, Scope(organization_id, connection_id, user_id), *rest)
        for id, organization_id, connection_id, user_id, *rest in found
    ]


async def remove(connection: Connection, arrangement: Arrangement) -> list[str]:
    """Delete the run's rows and organizations, nothing else, and return what is still there afterwards."""
    names = arrangement.names
    store = PendingStore(SingleConnection(connection))
    if names.organization_id not in arrangement.own_organizations:
        with translated_errors():
            await connection.execute(_DELETE, {"ids": arrangement.ids, "organization_id": names.organization_id})
            await connection.commit()
    for organization in arrangement.own_organizations:
        await store.delete_organization(organization)
    with translated_errors():
        cursor = await connection.execute(
            _LEFT, {"ids": arrangement.ids, "organizations": list(arrangement.own_organizations)}
        )
        return [str(row[0]) for row in await cursor.fetchall()]
