"""How a bridge asks for a request that may come again, to any pod: the row decides, and is returned each time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from pendingctl import Asked, AskOutcome, NotPosted, PendingStore, PutOutcome
from pendingctl.errors import InvalidInput, KeyReused
from tests.pods import QUESTION, Pod, failing

OTHER = replace(QUESTION, text="Deploy to PRODUCTION?")


@pytest.fixture
def pods(store: PendingStore) -> list[Pod]:
    return [Pod(store), Pod(store)]


async def test_a_request_that_comes_again_to_any_pod_gets_the_row_and_posts_nothing(pods: list[Pod]) -> None:
    first, again, elsewhere = [
        await pod.bridge.store_and_post(QUESTION, request_key="k", request_digest="d")
        for pod in (pods[0], pods[0], pods[1])
    ]

    assert first.outcome is AskOutcome.POSTED
    assert again.outcome is elsewhere.outcome is AskOutcome.REPEATED_EVENT
    assert first.stored is not None
    assert first.stored.outcome is PutOutcome.CREATED
    for each in (again, elsewhere):
        assert each.stored is not None
        assert each.stored.outcome is PutOutcome.REFRESHED
        assert each.stored.ask_number == first.stored.ask_number
    assert [len(pod.platform.cards) for pod in pods] == [1, 0]
    for pod in pods:
        await pod.bridge.close()


async def test_a_key_with_another_digest_is_refused_by_the_pod_that_has_just_seen_it_as_well(pods: list[Pod]) -> None:
    await pods[0].bridge.store_and_post(QUESTION, request_key="k", request_digest="d")

    for pod in pods:
        for question in (QUESTION, OTHER):
            with pytest.raises(KeyReused):
                await pod.bridge.store_and_post(question, request_key="k", request_digest="another")
    await pods[0].click()
    for pod in pods:
        with pytest.raises(KeyReused):
            await pod.bridge.store_and_post(QUESTION, request_key="k", request_digest="another")
        await pod.bridge.close()
    assert [len(pod.platform.cards) for pod in pods] == [1, 0]


async def test_without_a_key_the_content_decides(pods: list[Pod]) -> None:
    asked = [await pod.bridge.store_and_post(question) for pod, question in zip(pods, [QUESTION] * 2, strict=True)]
    asked.append(await pods[1].bridge.store_and_post(OTHER))

    outcomes = [each.stored.outcome for each in asked if each.stored is not None]
    assert outcomes == [PutOutcome.CREATED, PutOutcome.REFRESHED, PutOutcome.SUPERSEDED]
    assert [len(pod.platform.cards) for pod in pods] == [1, 1]
    with pytest.raises(InvalidInput, match="needs a request key"):
        await pods[0].bridge.store_and_post(OTHER, request_digest="d")
    for pod in pods:
        await pod.bridge.close()


async def test_a_question_that_has_ended_is_returned_as_it_ended(pods: list[Pod]) -> None:
    first = await pods[0].bridge.store_and_post(QUESTION, request_key="k", request_digest="d")
    await pods[0].click()

    again = await pods[1].bridge.store_and_post(QUESTION, request_key="k", request_digest="d")

    assert again.outcome is AskOutcome.ALREADY_ANSWERED
    assert first.stored is not None
    assert again.stored is not None
    assert (again.stored.outcome, again.stored.ask_number) == (PutOutcome.ALREADY_ANSWERED, first.stored.ask_number)
    for pod in pods:
        await pod.bridge.close()


async def test_a_card_that_could_not_be_posted_leaves_the_row(pods: list[Pod]) -> None:
    pods[0].platform.before_card = failing(NotPosted("not now"))

    asked = await pods[0].bridge.store_and_post(QUESTION, request_key="k")

    assert asked.outcome is AskOutcome.NOT_POSTED
    assert asked.stored is not None
    assert asked.stored.outcome is PutOutcome.CREATED
    await pods[0].bridge.close()


async def test_of_requests_at_once_one_posts_and_all_get_the_same_asking(pods: list[Pod]) -> None:
    asked = await asyncio.gather(
        *(pod.bridge.store_and_post(QUESTION, request_key="k", request_digest="d") for pod in pods * 5)
    )

    assert len({each.stored.ask_number for each in asked if each.stored is not None}) == 1
    assert [each.outcome for each in asked].count(AskOutcome.POSTED) == 1
    assert sum(len(pod.platform.cards) for pod in pods) == 1
    for pod in pods:
        await pod.bridge.close()


async def test_a_pod_that_does_not_serve_the_connection_stores_nothing(store: PendingStore, pods: list[Pod]) -> None:
    pods[0].bridge.unregister("acme", "slack")

    assert await pods[0].bridge.store_and_post(QUESTION) == Asked(AskOutcome.CANNOT_SERVE)
    assert await store.inspection.get("q") is None
