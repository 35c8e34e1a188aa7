"""A pod's memory is bounded in count and age."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Answer, AskOutcome, Delivery, PendingStore
from pendingctl.pod import bridge, card_notes, delivery, questions
from pendingctl.pod.memory import ExpiringCache
from tests.deliveries import Worker, readable, until
from tests.pods import QUESTION, Pod
from tests.questions import PAYLOAD, SCOPE, click


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.law(9)
def test_the_oldest_goes_first_when_it_is_full() -> None:
    cache = ExpiringCache[int, str](count=2, seconds=60, clock=Clock())
    for number in range(4):
        cache.put(number, str(number))
    assert [cache.get(number) for number in range(4)] == [None, None, "2", "3"]
    assert len(cache) == 2


@pytest.mark.law(9)
def test_what_is_too_old_is_forgotten() -> None:
    clock = Clock()
    cache = ExpiringCache[int, str](count=10, seconds=60, clock=clock)
    cache.put(1, "a")
    clock.now = 59
    cache.put(2, "b")
    assert (cache.get(1), len(cache)) == ("a", 2)
    clock.now = 60
    assert (cache.get(1), cache.get(2), len(cache)) == (None, "b", 1)


@pytest.mark.law(9)
def test_putting_again_renews_the_age() -> None:
    clock = Clock()
    cache = ExpiringCache[int, str](count=10, seconds=60, clock=clock)
    cache.put(1, "a")
    cache.put(2, "b")
    clock.now = 30
    cache.put(1, "c")
    clock.now = 61
    assert (cache.get(1), cache.get(2)) == ("c", None)


@pytest.mark.law(9)
def test_what_matches_is_forgotten() -> None:
    cache = ExpiringCache[int, str](count=10, seconds=60, clock=Clock())
    for number in range(4):
        cache.put(number, "")
    cache.forget(lambda number: number % 2 == 0)
    assert [cache.get(number) for number in range(4)] == [None, "", None, ""]


# Every memory of a pod has such a bound.


@pytest.mark.law(9)
async def test_a_bridge_forgets_the_oldest_event_when_it_remembers_too_many(
    store: PendingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(questions, "MAX_REMEMBERED", 2)
    pod = Pod(store)
    for number in range(3):
        question = replace(QUESTION, id=f"q-{number}")
        assert await pod.bridge.ask(question, event_id="e") is AskOutcome.POSTED
        # What the pod forgets, the database does not know either.
        await store.delete(question.id, SCOPE)

    assert await pod.bridge.ask(replace(QUESTION, id="q-2"), event_id="e") is AskOutcome.REPEATED_EVENT
    assert await pod.bridge.ask(replace(QUESTION, id="q-0"), event_id="e") is AskOutcome.POSTED


@pytest.mark.law(9)
async def test_a_bridge_forgets_the_oldest_card_when_it_remembers_too_many(
    store: PendingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bridge, "MAX_REMEMBERED", 2)
    pod = Pod(store)
    # No JSON: what the pod forgets, the row does not know either.
    pod.platform.handle = object()
    for number in range(3):
        await pod.bridge.ask(replace(QUESTION, id=f"q-{number}"), event_id=f"e-{number}")

    for number in range(3):
        await pod.bridge.click(click(f"q-{number}"))
    await pod.bridge.close()

    assert len(pod.platform.edits) == 2


@pytest.mark.law(9)
async def test_notes_about_cards_that_cannot_be_written_are_bounded(
    store: PendingStore, dsn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(card_notes, "MOST_NOTES", 3)
    monkeypatch.setattr(card_notes, "RETRY_SECONDS", 0.1)
    pod = Pod(store)
    with psycopg.connect(dsn) as application:

        async def lock_the_row() -> None:
            application.execute("select from pending_interactions for update")

        pod.platform.before_card = lock_the_row
        for number in range(6):
            await pod.bridge.ask(replace(QUESTION, id=f"q-{number}"), event_id=f"e-{number}")
        await until(lambda: "notes about cards are given up: there are too many" in caplog.text)
    await pod.bridge.close()

    noted = [row for id in range(6) if (row := await store.inspection.get(f"q-{id}")) and row.posted_at is not None]
    assert len(noted) <= 3


@pytest.mark.law(9)
async def test_answers_that_wait_on_a_pod_are_bounded(
    store: PendingStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those beyond are left to their leases, and so to all pods."""
    monkeypatch.setattr(delivery, "MOST_WAITING", 100)
    many = delivery.MOST_WAITING + 50
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(many))
    connection.execute(
        "update pending_interactions "
        "set claimed_at = now(), answer = 'yes', answered_by = 'U1', delivery_due_at = now()"
    )
    leased = readable(await store.leases.lease(lease=timedelta(minutes=5), limit=many, most_attempts=20))
    going = asyncio.Event()

    async def wait(answer: Answer) -> None:
        del answer
        await going.wait()

    worker = Worker(wait)
    async with Delivery(store, worker, lease=timedelta(minutes=5)) as pod:
        for each in leased:
            pod.submit(each)
        going.set()

    assert len(worker.answers) == delivery.MOST_WAITING
    assert (await store.statistics.counts()).total.undelivered == 50
