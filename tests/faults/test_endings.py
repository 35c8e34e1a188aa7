"""Every question is shown, and every ending is reported to the worker."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pendingctl import InteractionBridge, PendingStore
from pendingctl.model import MAX_AGE
from pendingctl.sinks import AnswerHandler
from tests.deliveries import Worker
from tests.faults.moments import came_true
from tests.pods import QUESTION, Pod, RecordingPlatform


def bridge_of(store: PendingStore, worker: AnswerHandler, *, max_age: timedelta = MAX_AGE) -> InteractionBridge:
    bridge = InteractionBridge(store, RecordingPlatform(), worker, max_age=max_age)
    bridge.register("acme", "slack")
    return bridge


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="a later issue: a question that expires edits its card, and the worker never hears of it",
)
async def test_the_worker_hears_of_a_question_that_expires(store: PendingStore) -> None:
    worker = Worker()
    async with bridge_of(store, worker, max_age=timedelta(seconds=1)) as bridge:
        await bridge.ask(QUESTION, event_id="e")
        assert await came_true(lambda: worker.ids == ["q"])


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="a later issue: a question that is withdrawn edits its card, and the worker never hears of it",
)
async def test_the_worker_hears_of_a_question_that_is_withdrawn(store: PendingStore) -> None:
    worker = Worker()
    async with bridge_of(store, worker) as bridge:
        await bridge.ask(QUESTION, event_id="e")
        await store.withdraw("q", QUESTION.scope)
        assert await came_true(lambda: worker.ids == ["q"])


@pytest.mark.xfail(
    strict=True,
    raises=AssertionError,
    reason="a later issue: only the bridge that is asked posts a card, and a row that the application put gets none",
)
async def test_a_question_put_in_an_own_transaction_gets_its_card(store: PendingStore) -> None:
    pod = Pod(store)
    async with pod.bridge:
        async with store.transaction() as connection:
            await store.put("q", QUESTION.scope, QUESTION.payload(), connection=connection)
        assert await came_true(lambda: bool(pod.platform.cards))
