"""How a bridge asks for a request that may come again, to any pod: the row decides, and is returned each time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pendingctl import NotPosted, PendingStore, PutOutcome
from pendingctl.errors import InvalidInput, KeyReused
from pendingctl.inspected import Unposted
from tests.pods import QUESTION, Pod, failing

OTHER = replace(QUESTION, text="Deploy to PRODUCTION?")


@pytest.fixture
def pods(store: PendingStore) -> list[Pod]:
    return [Pod(store), Pod(store)]


async def test_a_request_that_comes_again_to_any_pod_gets_the_row_and_posts_nothing(pods: list[Pod]) -> None:
    first, again, elsewhere = [
        await pod.bridge.store(QUESTION, request_key="k", request_digest="d") for pod in (pods[0], pods[0], pods[1])
    ]

    assert first is not None
    assert first.outcome is PutOutcome.CREATED
    for each in (again, elsewhere):
        assert each is not None
        assert (each.outcome, each.ask_number) == (PutOutcome.REFRESHED, first.ask_number)
    for pod in pods:
        await pod.bridge.close()
    assert [len(pod.platform.cards) for pod in pods] == [1, 0]


async def test_a_key_with_another_digest_is_refused_by_the_pod_that_has_just_seen_it_as_well(pods: list[Pod]) -> None:
    await pods[0].bridge.store(QUESTION, request_key="k", request_digest="d")

    for pod in pods:
        for question in (QUESTION, OTHER):
            with pytest.raises(KeyReused):
                await pod.bridge.store(question, request_key="k", request_digest="another")
    await pods[0].click()
    for pod in pods:
        with pytest.raises(KeyReused):
            await pod.bridge.store(QUESTION, request_key="k", request_digest="another")
        await pod.bridge.close()
    assert [len(pod.platform.cards) for pod in pods] == [1, 0]


async def test_without_a_key_the_content_decides(pods: list[Pod]) -> None:
    asked = [await pod.bridge.store(question) for pod, question in zip(pods, [QUESTION] * 2, strict=True)]
    asked.append(await pods[1].bridge.store(OTHER))

    outcomes = [each.outcome for each in asked if each is not None]
    assert outcomes == [PutOutcome.CREATED, PutOutcome.REFRESHED, PutOutcome.SUPERSEDED]
    with pytest.raises(InvalidInput, match="needs a request key"):
        await pods[0].bridge.store(OTHER, request_digest="d")
    for pod in pods:
        await pod.bridge.close()
    assert [len(pod.platform.cards) for pod in pods] == [1, 1]


async def test_a_question_that_has_ended_is_returned_as_it_ended(pods: list[Pod]) -> None:
    first = await pods[0].bridge.store(QUESTION, request_key="k", request_digest="d")
    await pods[0].click()

    again = await pods[1].bridge.store(QUESTION, request_key="k", request_digest="d")

    assert first is not None
    assert again is not None
    assert (again.outcome, again.ask_number) == (PutOutcome.ALREADY_ANSWERED, first.ask_number)
    for pod in pods:
        await pod.bridge.close()


async def test_a_card_that_could_not_be_posted_leaves_the_row(store: PendingStore, pods: list[Pod]) -> None:
    pods[0].platform.before_card = failing(NotPosted("not now"))

    stored = await pods[0].bridge.store(QUESTION, request_key="k")

    assert stored is not None
    assert stored.outcome is PutOutcome.CREATED
    await pods[0].bridge.close()
    row = await store.inspection.get("q")
    assert row is not None
    assert row.unposted is Unposted.TO_BE_POSTED


async def test_of_requests_at_once_one_posts_and_all_get_the_same_asking(pods: list[Pod]) -> None:
    asked = await asyncio.gather(*(pod.bridge.store(QUESTION, request_key="k", request_digest="d") for pod in pods * 5))

    assert len({each.ask_number for each in asked if each is not None}) == 1
    for pod in pods:
        await pod.bridge.close()
    assert sum(len(pod.platform.cards) for pod in pods) == 1


async def test_a_pod_that_does_not_serve_the_connection_stores_nothing(store: PendingStore, pods: list[Pod]) -> None:
    pods[0].bridge.unregister("acme", "slack")

    assert await pods[0].bridge.store(QUESTION) is None
    assert await store.inspection.get("q") is None
