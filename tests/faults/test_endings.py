"""Every question is shown, and every ending is reported to the worker."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl import InteractionBridge, PendingStore, open_pool
from pendingctl.errors import DatabaseUnreachable
from pendingctl.model import ANSWERS, Outcome
from pendingctl.pod import delivery
from pendingctl.pods import Heartbeat
from pendingctl.postgres.connections import Pool
from pendingctl.postgres.time_limits import Purpose
from pendingctl.sinks import CallableSink
from pendingctl.store.leases import Leases
from tests.deliveries import Worker
from tests.faults.moments import came_true
from tests.patience import be_patient
from tests.pods import QUESTION, Pod, RecordingPlatform
from tests.questions import click

EVERYTHING = frozenset(Outcome)
SOON = timedelta(seconds=0.3)
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch, Purpose.CLAIM, Purpose.PUT)


def bridge_of(store: PendingStore, worker: Worker, outcomes: frozenset[Outcome] = EVERYTHING) -> InteractionBridge:
    bridge = InteractionBridge(store, RecordingPlatform(), CallableSink(worker, outcomes))
    bridge.register("acme", "slack")
    return bridge


async def expire(connection: psycopg.Connection, id: str) -> None:
    """Let a question's deadline pass, once its card is noted: a default is the answer to what was shown alone."""
    is_posted = "select from pending_interactions where id = %s and posted_at is not null"
    assert await came_true(lambda: connection.execute(is_posted, [id]).fetchone() is not None)
    connection.execute("update pending_interactions set expires_at = now() where id = %s", [id])


def has_ended(connection: psycopg.Connection, id: str) -> bool:
    is_ended = "select from pending_interactions where id = %s and claimed_at is not null"
    return connection.execute(is_ended, [id]).fetchone() is not None


def heard(worker: Worker) -> list[tuple[str, Outcome, str | None]]:
    return [(answer.question_id, answer.outcome, answer.value) for answer in worker.answers]


@pytest.mark.law(14)
async def test_the_worker_hears_of_a_question_that_expires(store: PendingStore) -> None:
    worker = Worker()
    async with bridge_of(store, worker) as bridge:
        await bridge.ask(replace(QUESTION, expires_in=SOON), event_id="e")
        assert await came_true(lambda: heard(worker) == [("q", Outcome.EXPIRED, None)])


@pytest.mark.law(14)
async def test_the_worker_hears_of_the_default_of_a_question_that_nobody_answered(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    worker = Worker()
    async with bridge_of(store, worker, ANSWERS) as bridge:
        await bridge.ask(replace(QUESTION, expires_in=HOUR, default="no"), event_id="e")
        await expire(connection, "q")
        assert await came_true(lambda: heard(worker) == [("q", Outcome.DEFAULTED, "no")])


@pytest.mark.law(14)
async def test_the_worker_hears_of_a_question_that_is_withdrawn(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    worker = Worker()
    async with bridge_of(store, worker) as bridge:
        assert await came_true(lambda: connection.execute("table pending_applications").fetchone() is not None)
        await bridge.ask(QUESTION, event_id="e")
        await store.withdraw("q", QUESTION.scope)
        assert await came_true(lambda: heard(worker) == [("q", Outcome.WITHDRAWN, None)])


@pytest.mark.law(14)
async def test_a_worker_that_wants_answers_hears_of_nothing_else(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    worker = Worker()
    async with bridge_of(store, worker, ANSWERS) as bridge:
        await bridge.ask(replace(QUESTION, id="expired", expires_in=SOON), event_id="e")
        await bridge.ask(replace(QUESTION, id="withdrawn"), event_id="e")
        await store.withdraw("withdrawn", QUESTION.scope)
        await bridge.ask(replace(QUESTION, id="defaulted", expires_in=HOUR, default="no"), event_id="e")
        assert await came_true(lambda: has_ended(connection, "expired"))
        await expire(connection, "defaulted")
        assert await came_true(lambda: worker.ids == ["defaulted"])

    assert worker.ids == ["defaulted"]


async def test_answers_are_delivered_where_a_role_may_not_note_what_it_wants_to_hear(
    dsn: str, connection: psycopg.Connection
) -> None:
    connection.execute("create role pod_without_the_new_right login")
    try:
        connection.execute(
            "grant select, insert, update on pending_interactions, pending_trail, organization "
            "to pod_without_the_new_right"
        )
        worker = Worker()
        async with (
            open_pool(make_conninfo(dsn, user="pod_without_the_new_right")) as pool,
            bridge_of(PendingStore(pool), worker) as bridge,
        ):
            await bridge.ask(QUESTION, event_id="e")
            await PendingStore(pool).claim(click(), lease=timedelta(0))
            assert await came_true(lambda: heard(worker) == [("q", Outcome.ANSWERED, "yes")])
    finally:
        connection.execute("drop owned by pod_without_the_new_right")
        connection.execute("drop role pod_without_the_new_right")


class AwayAtFirst(Leases):
    """The leases of a pod that is started while the database is away."""

    def __init__(self, source: Pool) -> None:
        super().__init__(source)
        self.is_away = True

    async def beat(self, outcomes: Collection[Outcome], heartbeat: Heartbeat) -> None:
        if self.is_away:
            self.is_away = False
            raise DatabaseUnreachable("the database cannot be reached")
        await super().beat(outcomes, heartbeat)


@pytest.mark.law(14)
async def test_a_pod_that_starts_while_the_database_is_away_notes_its_wishes_when_that_is_back(
    pool: Pool, connection: psycopg.Connection
) -> None:
    store = PendingStore(pool)
    store.leases = AwayAtFirst(pool)
    async with bridge_of(store, Worker()):
        assert await came_true(lambda: wishes(connection) == sorted(EVERYTHING))


@pytest.mark.law(14)
async def test_a_pod_of_the_release_before_that_starts_again_takes_no_ending_from_the_worker_for_good(
    store: PendingStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "BEAT_SECONDS", 1.5)
    worker = Worker()
    async with bridge_of(store, worker) as bridge:
        assert await came_true(lambda: wishes(connection) == sorted(EVERYTHING))
        await store.leases.hear(ANSWERS)
        assert await came_true(lambda: wishes(connection) == sorted(EVERYTHING))
        await bridge.ask(replace(QUESTION, expires_in=SOON), event_id="e")
        assert await came_true(lambda: heard(worker) == [("q", Outcome.EXPIRED, None)])


@pytest.mark.law(16)
async def test_a_note_that_somebody_has_locked_keeps_no_pod_from_its_work(
    store: PendingStore, connection: psycopg.Connection, dsn: str
) -> None:
    await store.leases.hear(ANSWERS)
    worker = Worker()
    with psycopg.connect(dsn) as locking:
        locking.execute("select from pending_applications for update")
        async with bridge_of(store, worker, ANSWERS) as unchanged, bridge_of(store, worker) as changed:
            for bridge in (unchanged, changed):
                await bridge.ask(QUESTION, event_id="e")
            await store.claim(click(), lease=timedelta(0))
            assert await came_true(lambda: heard(worker) == [("q", Outcome.ANSWERED, "yes")])
            assert wishes(connection) == sorted(ANSWERS)


def wishes(connection: psycopg.Connection) -> list[str]:
    """Of which endings the application's worker wants to hear, as its pods have noted."""
    row = connection.execute("select outcomes from pending_applications").fetchone()
    return [] if row is None else list(row[0])


@pytest.mark.law(13)
async def test_a_question_put_in_an_own_transaction_gets_its_card(store: PendingStore) -> None:
    pod = Pod(store)
    async with pod.bridge:
        async with store.transaction() as connection:
            await store.put("q", QUESTION.scope, QUESTION.payload(), show=True, connection=connection)
        assert await came_true(lambda: bool(pod.platform.cards))
