"""The rows of a run: stored before it, read after it, removed at its end.

They are read by a statement of their own and not through the store, which the race puts to the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..errors import InvalidInput
from ..model import Click, Question, Scope
from ..postgres.connections import Borrowed, Connection, ConnectionSource, SingleConnection
from ..postgres.driver_errors import translated_errors
from ..store import PendingStore
from .history.history import RacedQuestion, Row
from .plan.extra import PAST
from .plan.operations import Names, PlannedQuestion
from .plan.plan import plan_bystanders, plan_others, plan_poisoned
from .plan.schedule import FaultKind
from .plan.settings import RaceSettings

APPLICATION = "pendingctl simulate-race"

_READ = """
    select id, organization_id, connection_id, expected_user_id, entry_payload,
           case when withdrawn_at is null then claimed_at end as claimed_at, ask_number,
           answer, delivery_key, delivery_due_at is not null as undelivered
    from pending_interactions
    where id = any (%(ids)s)
"""

_READ_ASK_NUMBERS = """
    select id, ask_number
    from pending_interactions
    where id = any (%(ids)s)
"""

_COUNT_UNDELIVERED = """
    select count(*)
    from pending_interactions
    where id = any (%(ids)s) and delivery_due_at is not null
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


_POISON = """
    update pending_interactions
    set entry_payload = '["no question"]'
    where id = %(id)s
"""

_MOVE_INTO_THE_PAST = """
    update pending_interactions
    set created_at = created_at - %(past)s::interval
    where id = %(id)s
"""

# A bystander of a race with a sweeper is younger than what a sweeper takes, and older than any row of an application.
_ANOTHER_SWEEPER = """
    select organization_id
    from pending_interactions
    where created_at < now() - %(past)s::interval and id <> all (%(own)s)
    limit 1
"""


@dataclass(slots=True)
class Arrangement:
    """What a run has stored by now, and must remove: its rows, and the organizations that it created.

    `ids_of_others` are those of its rows that its pods cannot deliver: another application's, and a poisoned one.
    """

    names: Names
    own_organizations: tuple[str, ...]
    ids: list[str]
    ids_of_others: list[str]


def arrange(settings: RaceSettings, names: Names) -> Arrangement:
    """Return the arrangement of a run that has stored nothing yet."""
    own = [names.foreign_organization_id]
    if settings.organization_id is None:
        own.append(names.organization_id)
    return Arrangement(names, tuple(own), [], [])


async def store_organizations(
    connection: Connection, settings: RaceSettings, arrangement: Arrangement
) -> list[RacedQuestion]:
    """Create the run's organizations, and return what was stored in them to be left alone.

    Those are bystanders in the foreign organization, and another application's answers.

    Raises InvalidInput when organizations cannot be created here, or when another race sweeps this database. Where an
    application's own table keeps the foreign organization from being created, wrong clicks name one that does not
    exist, and there are no bystanders.
    """
    store = PendingStore(SingleConnection(connection))
    names = arrangement.names
    if names.organization_id in arrangement.own_organizations:
        try:
            await store.create_organization(names.organization_id)
        except InvalidInput as error:
            raise InvalidInput(f"{error}, and race in it with --org") from error
    try:
        await store.create_organization(names.foreign_organization_id)
    except InvalidInput:
        bystanders = []
    else:
        bystanders = await store_questions(connection, arrangement, plan_bystanders(settings, names))
    if FaultKind.SWEEP in settings.faults:
        await _be_the_only_sweeper(connection, bystanders)
    await _store_poisoned(connection, settings, arrangement)
    return [*bystanders, *await _store_others(connection, settings, arrangement)]


async def _store_others(
    connection: Connection, settings: RaceSettings, arrangement: Arrangement
) -> list[RacedQuestion]:
    """Store another application's questions, and answer them; its pods, which there are none of, would deliver that."""
    store = PendingStore(SingleConnection(connection), application=arrangement.names.other_application)
    return [
        await _store_answered(store, arrangement, planned.question)
        for planned in plan_others(settings, arrangement.names)
    ]


async def _store_answered(store: PendingStore, arrangement: Arrangement, question: Question) -> RacedQuestion:
    scope = question.scope
    arrangement.ids_of_others.append(question.id)
    put = await store.put(question.id, scope, question.payload())
    click = Click(
        question_id=question.id,
        organization_id=scope.organization_id,
        connection_id=scope.connection_id,
        user_id=scope.expected_user_id,
        delivery_key=question.id,
        value=question.options[0],
    )
    await store.claim(click, lease=timedelta(0))
    return RacedQuestion(
        question.id,
        scope,
        question.payload(),
        question.conversation_id,
        ask_number=put.ask_number,
        is_of_another_application=True,
    )


async def _store_poisoned(connection: Connection, settings: RaceSettings, arrangement: Arrangement) -> None:
    """Store an answer that is due and that no pod can read: it must not keep back those that are leased with it."""
    store = PendingStore(SingleConnection(connection), application=arrangement.names.application)
    poisoned = plan_poisoned(settings, arrangement.names)
    await _store_answered(store, arrangement, poisoned.question)
    with translated_errors():
        await connection.execute(_POISON, {"id": poisoned.question.id})
        await connection.commit()


async def _be_the_only_sweeper(connection: Connection, bystanders: Sequence[RacedQuestion]) -> None:
    """Two races that sweep would take each other's rows: an old bystander shows others that this one sweeps."""
    with translated_errors():
        for bystander in bystanders[:1]:
            await connection.execute(_MOVE_INTO_THE_PAST, {"id": bystander.id, "past": PAST * 0.75})
        own = [bystander.id for bystander in bystanders]
        found = await (await connection.execute(_ANOTHER_SWEEPER, {"past": PAST * 0.5, "own": own})).fetchone()
    if found is not None:
        raise InvalidInput(
            f"another race sweeps this database, that of organization {found[0]!r}; wait until it has ended, "
            "or delete that organization if it was killed"
        )


async def store_questions(
    connection: Connection,
    arrangement: Arrangement,
    questions: Sequence[PlannedQuestion],
    extra: Sequence[PlannedQuestion] = (),
) -> list[RacedQuestion]:
    """Store questions and return them with the extra ones, which the pods store. Raises as `put_many` does."""
    store = PendingStore(SingleConnection(connection), application=arrangement.names.application)
    arrangement.ids += [each.question.id for each in (*questions, *extra)]
    await store.put_many((each.question.id, each.question.scope, each.question.payload()) for each in questions)
    with translated_errors():
        cursor = await connection.execute(_READ_ASK_NUMBERS, {"ids": [each.question.id for each in questions]})
        numbers: dict[str, int] = dict(await cursor.fetchall())
    return [
        RacedQuestion(
            each.id,
            each.scope,
            each.payload(),
            each.conversation_id,
            planned.is_extra,
            delivers=True,
            ask_number=numbers.get(each.id),
            editions=tuple(edition.payload() for edition in planned.editions),
            is_awaited=planned.is_awaited,
        )
        for planned in (*questions, *extra)
        for each in (planned.question,)
    ]


async def read_rows(connection: Connection, arrangement: Arrangement) -> list[Row]:
    """Return the run's rows."""
    with translated_errors():
        cursor = await connection.execute(_READ, {"ids": [*arrangement.ids, *arrangement.ids_of_others]})
        found = await cursor.fetchall()
    return [
        Row(id, Scope(organization_id, connection_id, user_id), *rest)
        for id, organization_id, connection_id, user_id, *rest in found
    ]


async def count_undelivered(connection: Connection, arrangement: Arrangement) -> int:
    """Return how many answers of the run are not delivered yet."""
    with translated_errors():
        counted = await (await connection.execute(_COUNT_UNDELIVERED, {"ids": arrangement.ids})).fetchone()
    return int(counted[0]) if counted else 0


async def remove(connection: Connection, arrangement: Arrangement) -> list[str]:
    """Delete the run's rows and organizations, nothing else, and return what is left of them."""
    names = arrangement.names
    store = PendingStore(SingleConnection(connection))
    if names.organization_id not in arrangement.own_organizations:
        with translated_errors():
            ids = [*arrangement.ids, *arrangement.ids_of_others]
            await connection.execute(_DELETE, {"ids": ids, "organization_id": names.organization_id})
            await connection.commit()
    for organization in arrangement.own_organizations:
        await store.delete_organization(organization)
    with translated_errors():
        cursor = await connection.execute(
            _LEFT,
            {
                "ids": [*arrangement.ids, *arrangement.ids_of_others],
                "organizations": list(arrangement.own_organizations),
            },
        )
        return [str(row[0]) for row in await cursor.fetchall()]


async def move_into_the_past(connection: Connection, id: str) -> None:
    """Make a row so old that a sweep with the race's maximum age takes it, and no row of an application."""
    with translated_errors():
        await connection.execute(_MOVE_INTO_THE_PAST, {"id": id, "past": PAST})


async def server_time(source: ConnectionSource) -> datetime:
    """Return the time by the server's clock."""
    async with Borrowed(source) as connection:
        row = await (await connection.execute("select clock_timestamp()")).fetchone()
    assert row is not None
    now: datetime = row[0]
    return now
