"""The rows of a run: stored before it, read after it, removed at its end.

They are read by a statement of their own and not through the store, which the race puts to the test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from ..errors import DatabaseFailed, InvalidInput
from ..model import Click, Question, Scope
from ..postgres.connections import Borrowed, Connection, ConnectionSource, SingleConnection
from ..postgres.driver_errors import translated_errors
from ..store import PendingStore
from .appended import left_on_streams, remove_streams
from .history.history import RacedQuestion, RacedSchedule, Row
from .plan.extra import PAST
from .plan.operations import Names, PlannedQuestion
from .plan.plan import plan_bystanders, plan_others, plan_poisoned
from .plan.schedule import FaultKind
from .plan.settings import RaceSettings
from .trail import left_in_the_trail, remove_trail

APPLICATION = "pendingctl simulate-race"

_READ = """
    select id, organization_id, connection_id, expected_user_id, entry_payload,
           case when withdrawn_at is null then claimed_at end as claimed_at, ask_number,
           answer, delivery_key, coalesce(delivery_due_at, ending_due_at) is not null as undelivered,
           withdrawn_at is not null as withdrawn,
           coalesce(coalesce(delivery_due_at, ending_due_at) = 'infinity', false) as is_stuck, delivery_error as error,
           case when outcome is not null then outcome
                when claimed_at is null then null
                when withdrawn_at is not null then 'withdrawn'
                else 'answered' end as outcome,
           answered_by, expires_at, case when post_due_at = 'infinity' then post_error end as not_shown,
           claimed_at is not null and posted_at is null as no_card_known,
           claimed_at is not null and card is not null and card_due_at is null as card_shows_the_end,
           retired_cards is not null as has_cards_to_retire, pod, posted_at is not null as is_posted
    from pending_interactions
    where id = any (%(ids)s)
"""

_READ_ASK_NUMBERS = """
    select id, ask_number
    from pending_interactions
    where id = any (%(ids)s)
"""

# The time of an asker's lease is over, and of its lease on the answer.
_RUN_OUT = """
    update pending_interactions
    set awaited_until = now(), delivery_due_at = case when delivery_due_at is not null then now() end
    where id = %(id)s and awaited_until is not null
      and (claimed_at is null and awaited_until > now() or delivery_due_at > now())
    returning id
"""

_IS_DELIVERED = """
    select delivered_at is not null
    from pending_interactions
    where id = %(id)s
"""

_DELETE = """
    delete from pending_interactions
    where id = any (%(ids)s) and organization_id = %(organization_id)s
"""

_FORGET_THE_APPLICATIONS = """
    delete from pending_applications
    where application = any (%(applications)s)
"""

_FORGET_THE_PODS = """
    delete from pending_pods
    where application = any (%(applications)s)
"""

_LEFT = """
    select 'question ' || id from pending_interactions where id = any (%(ids)s)
    union all
    select 'organization ' || id from organization where id = any (%(organizations)s)
    union all
    select 'application ' || application from pending_applications where application = any (%(applications)s)
    union all
    select 'pod ' || pod from pending_pods where application = any (%(applications)s)
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

    `ids_of_others` are those of its rows that its pods cannot deliver: another application's, and poisoned ones.
    `heard` are the endings of which its worker hears.
    """

    names: Names
    own_organizations: tuple[str, ...]
    ids: list[str]
    ids_of_others: list[str]
    poisoned: list[str]
    heard: tuple[str, ...]


def arrange(settings: RaceSettings, names: Names) -> Arrangement:
    """Return the arrangement of a run that has stored nothing yet."""
    own = [names.foreign_organization_id]
    if settings.organization_id is None:
        own.append(names.organization_id)
    return Arrangement(names, tuple(own), [], [], [], tuple(sorted(settings.heard)))


async def store_organizations(
    connection: Connection, settings: RaceSettings, arrangement: Arrangement
) -> list[RacedQuestion]:
    """Create the run's organizations, and return what was stored in them that the race does not decide about.

    Those are bystanders in the foreign organization, another application's questions, and a poisoned one.

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
    poisoned = await _store_poisoned(connection, settings, arrangement)
    return [*bystanders, poisoned, *await _store_others(connection, settings, arrangement)]


async def _store_others(
    connection: Connection, settings: RaceSettings, arrangement: Arrangement
) -> list[RacedQuestion]:
    """Store another application's questions, and answer every other one: its pods, of which none runs, deliver that."""
    store = PendingStore(SingleConnection(connection), application=arrangement.names.other_application)
    return [
        replace(
            await _store_other(store, arrangement, planned.question, is_answered=number % 2 == 0),
            is_of_another_application=True,
            application=arrangement.names.other_application,
        )
        for number, planned in enumerate(plan_others(settings, arrangement.names))
    ]


async def _store_other(
    store: PendingStore, arrangement: Arrangement, question: Question, *, is_answered: bool
) -> RacedQuestion:
    scope, payload = question.scope, question.payload()
    arrangement.ids_of_others.append(question.id)
    put = await store.put(question.id, scope, payload)
    stored = RacedQuestion(question.id, scope, payload, question.conversation_id, ask_number=put.ask_number)
    if not is_answered:
        return stored
    click = Click(
        question_id=question.id,
        organization_id=scope.organization_id,
        connection_id=scope.connection_id,
        user_id=scope.expected_user_id,
        delivery_key=question.id,
        value=question.options[0],
    )
    await store.claim(click, lease=timedelta(0))
    return replace(stored, answer=click.value)


async def _store_poisoned(connection: Connection, settings: RaceSettings, arrangement: Arrangement) -> RacedQuestion:
    """Store an answer that is due and that no pod can read: it must not keep back those that are leased with it."""
    store = PendingStore(SingleConnection(connection), application=arrangement.names.application)
    planned = plan_poisoned(settings, arrangement.names)
    poisoned = await _store_other(store, arrangement, planned.question, is_answered=True)
    arrangement.poisoned.append(poisoned.id)
    with translated_errors():
        await connection.execute(_POISON, {"id": poisoned.id})
        await connection.commit()
    return replace(poisoned, is_poisoned=True, application=arrangement.names.application)


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
    for stream in {each.question.stream for each in questions}:
        of_stream = [each.question for each in questions if each.question.stream == stream]
        await store.put_many(((each.id, each.scope, each.payload()) for each in of_stream), stream=stream)
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
            schedule=_schedule(each),
            heard=arrangement.heard,
            application=arrangement.names.application,
            stream=each.stream,
        )
        for planned in (*questions, *extra)
        for each in (planned.question,)
    ]


def _schedule(question: Question) -> RacedSchedule:
    return RacedSchedule(
        expires_in_ns=_nanoseconds(question.expires_in),
        default=question.default,
        remind_every_ns=_nanoseconds(question.remind_every),
        remind_at_most=question.remind_at_most,
        escalate_after_ns=_nanoseconds(question.escalate_after),
        escalate_to=question.escalate_to,
    )


def _nanoseconds(time: timedelta | None) -> int | None:
    return None if time is None else time // timedelta(microseconds=1) * 1_000


async def read_rows(connection: Connection, arrangement: Arrangement) -> list[Row]:
    """Return the run's rows."""
    with translated_errors():
        cursor = await connection.execute(_READ, {"ids": [*arrangement.ids, *arrangement.ids_of_others]})
        found = await cursor.fetchall()
    return [
        Row(id, Scope(organization_id, connection_id, user_id), *rest)
        for id, organization_id, connection_id, user_id, *rest in found
    ]


async def run_out(connection: Connection, id: str) -> bool:
    """Let an asker's lease run out now, that on its question or that on the answer; False when it has none."""
    with translated_errors():
        return await (await connection.execute(_RUN_OUT, {"id": id})).fetchone() is not None


async def is_delivered(connection: Connection, id: str) -> bool:
    """Return whether a question's answer is marked as delivered."""
    with translated_errors():
        return await (await connection.execute(_IS_DELIVERED, {"id": id})).fetchone() == (True,)


async def remove(connection: Connection, arrangement: Arrangement) -> list[str]:
    """Delete the run's rows and organizations, nothing else, and return what is left of them."""
    names = arrangement.names
    store = PendingStore(SingleConnection(connection))
    if names.organization_id not in arrangement.own_organizations:
        with translated_errors():
            ids = [*arrangement.ids, *arrangement.ids_of_others]
            await connection.execute(_DELETE, {"ids": ids, "organization_id": names.organization_id})
            await connection.commit()
    await remove_streams(connection, names)
    for organization in arrangement.own_organizations:
        await store.delete_organization(organization)
    ids, applications = [*arrangement.ids, *arrangement.ids_of_others], [names.application, names.other_application]
    await remove_trail(connection, ids, applications)
    forgotten = await _forget_the_applications(connection, applications)
    with translated_errors():
        left = {"ids": ids, "organizations": list(arrangement.own_organizations), "applications": forgotten}
        rows = [str(row[0]) for row in await (await connection.execute(_LEFT, left)).fetchall()]
    return [*rows, *await left_in_the_trail(connection, ids, applications), *await left_on_streams(connection, names)]


async def _forget_the_applications(connection: Connection, applications: list[str]) -> list[str]:
    """Forget of which endings the run's workers heard, and that its pods lived, and return what must be gone by now.

    A role that may do all that pods do need not be allowed to.
    """
    try:
        with translated_errors():
            await connection.execute(_FORGET_THE_PODS, {"applications": applications})
            await connection.execute(_FORGET_THE_APPLICATIONS, {"applications": applications})
    except DatabaseFailed:
        return []
    return applications


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
