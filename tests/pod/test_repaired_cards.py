"""Cards that a person on call has repaired: any pod posts or edits them, and posts none a second time."""

from __future__ import annotations

import psycopg
import pytest

from pendingctl import NotPosted, PendingStore
from pendingctl.inspected import CardState
from pendingctl.pod import posts
from pendingctl.postgres.connections import Pool
from pendingctl.store import Filters
from tests.cards_to_post import let_time_pass, never_posted, posted_by_a_pod_that_died, put, until_failed
from tests.deliveries import until
from tests.pods import FindingPlatform, Pod, failing, nothing
from tests.questions import click


async def repair(store: PendingStore, card: CardState) -> list[str]:
    """The ids of what is to be posted or edited now."""
    became = await store.remedies.repair_cards(await store.inspection.find(Filters(card=card)))
    return [each.id for each in became if each.not_done is None]


@pytest.mark.law(13)
async def test_a_card_that_was_refused_for_good_is_posted_when_the_cause_is_mended(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = Pod(store)
    pod.platform.before_card = failing(NotPosted("no such channel", is_permanent=True))
    async with pod.bridge:
        await put(store)
        await until_failed(connection, 1)
        assert pod.platform.cards == []

        pod.platform.before_card = nothing
        assert await repair(store, CardState.NEVER_POSTED) == ["q"]
        await until(lambda: len(pod.platform.cards) == 1)
    assert await never_posted(store) == []


@pytest.mark.law(13)
async def test_a_card_that_is_there_already_is_found_and_not_posted_again(
    store: PendingStore, pool: Pool, connection: psycopg.Connection
) -> None:
    platform = FindingPlatform()
    await posted_by_a_pod_that_died(pool, platform)
    let_time_pass(connection)
    connection.execute(
        "update pending_interactions set post_due_at = 'infinity', post_attempts = %s, post_doubts = %s",
        [posts.MOST_ATTEMPTS, posts.MOST_ATTEMPTS],
    )
    assert await repair(store, CardState.NEVER_POSTED) == ["q"]

    pod = Pod(store, platform=platform)
    async with pod.bridge:
        await until(lambda: len(platform.searches) == 1)
        await until(lambda: _posted_at(connection) is not None)
    assert len(platform.cards) == 1
    assert await never_posted(store) == []


async def test_an_edit_that_has_failed_is_made_up_for_at_once(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = Pod(store)
    async with pod.bridge:
        await put(store)
        await until(lambda: _posted_at(connection) is not None)
    await store.claim(click())
    connection.execute("update pending_interactions set card_attempts = 12, card_due_at = now() + interval '1 h'")
    (row,) = await store.inspection.find()
    (became,) = await store.remedies.repair_cards([row])
    assert became.not_done is None

    other = Pod(store)
    async with other.bridge:
        await until(lambda: bool(other.platform.edits))
    assert other.platform.shown[0].startswith("Deploy?\nAnswered by U1: yes (20")


def _posted_at(connection: psycopg.Connection) -> object:
    row = connection.execute("select posted_at from pending_interactions").fetchone()
    assert row is not None
    return row[0]
