"""A slow edit of a card that lands over a newer one is corrected."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Claim, PendingStore, Shows
from pendingctl.errors import DatabaseUnreachable
from pendingctl.inspected import CardState
from pendingctl.leased import EditedCard, LeasedCard, PostedCard, RetiredCard
from pendingctl.postgres.connections import Pool
from pendingctl.schedule import MAX_AGE
from pendingctl.store import Filters
from pendingctl.store.leases import Leases
from tests.deliveries import until
from tests.pods import QUESTION, Pod
from tests.questions import SCOPE, click

SERVED = [("acme", "slack")]


async def posted_and_due(store: PendingStore, connection: psycopg.Connection) -> None:
    """A pod has posted the question's card, is gone, and the card is due."""
    pod = Pod(store)
    await pod.bridge.ask(QUESTION, event_id="e")
    await pod.bridge.close()
    connection.execute("update pending_interactions set card_due_at = now()")


async def lease_card(store: PendingStore) -> LeasedCard:
    (leased,) = await store.leases.lease_cards(SERVED, lease=timedelta(seconds=30), limit=1)
    return leased


def edited(leased: LeasedCard) -> EditedCard:
    return EditedCard(
        question_id=leased.question_id,
        ask_number=leased.ask_number,
        card='"slack-1"',
        claimed_at=leased.claimed_at,
        attempts=leased.attempts,
    )


async def behind(store: PendingStore) -> list[str]:
    return [row.id for row in await store.inspection.find(Filters(card=CardState.BEHIND))]


async def test_an_edit_that_was_overtaken_is_due_again(store: PendingStore, connection: psycopg.Connection) -> None:
    """The card says expired, and at that moment somebody answers."""
    await posted_and_due(store, connection)
    slow = await lease_card(store)
    await store.claim(click())

    await store.leases.mark_edited([edited(slow)])

    assert await behind(store) == ["q"]


@pytest.mark.parametrize("comes_first", ["the slow edit's note", "the claim's note"])
async def test_a_slow_edit_that_lands_over_a_claims_own_is_corrected_in_whichever_order_they_are_noted(
    store: PendingStore, comes_first: str, connection: psycopg.Connection
) -> None:
    """The card says who answered, and then expired; only the pod that is slow knows that, and not of the other."""
    await posted_and_due(store, connection)
    leased = await lease_card(store)
    claim = await store.claim(click())
    assert isinstance(claim, Claim)
    slow = edited(leased)
    own = replace(slow, claimed_at=claim.claimed_at, attempts=0)

    for note in (slow, own) if comes_first == "the slow edit's note" else (own, slow):
        await store.leases.mark_edited([note])

    assert await behind(store) == ["q"]


async def test_a_slow_edit_that_lands_over_that_of_a_changed_question_is_corrected(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """The card says that its question has changed, and then expired."""
    await posted_and_due(store, connection)
    slow = await lease_card(store)
    await store.put("q", SCOPE, replace(QUESTION, text="Deploy now?").payload())
    changed = await lease_card(store)
    await store.leases.mark_retired("q", changed.retired)
    assert not (await store.leases.due(SERVED)).cards

    await store.leases.mark_edited([edited(slow)])
    again = await lease_card(store)
    assert [(each.card, each.ending) for each in again.retired] == [("slack-1", "superseded")]


async def until_edited(pod: Pod) -> None:
    await until(lambda: bool(pod.platform.edits))


async def changed_while_an_edit_is_slow(store: PendingStore, connection: psycopg.Connection) -> EditedCard:
    """A pod is slow to say on the card that the question is stale, and the question is asked anew."""
    await posted_and_due(store, connection)
    slow = await lease_card(store)
    await store.put("q", SCOPE, replace(QUESTION, text="Deploy now?").payload())
    return edited(slow)


async def test_a_slow_edit_that_is_noted_before_the_newer_one_is_corrected(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """The card says that its question has changed, then something stale; the database was away for a moment."""
    slow = await changed_while_an_edit_is_slow(store, connection)
    changed = await lease_card(store)

    await store.leases.mark_edited([slow])
    await store.leases.mark_retired("q", changed.retired)

    again = await lease_card(store)
    assert [(each.card, each.ending) for each in again.retired] == [("slack-1", "superseded")]


async def test_a_retired_card_whose_edit_could_not_be_noted_is_edited_once_more(
    pool: Pool, store: PendingStore, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(Leases):
        async def mark_retired(
            self, id: str, retired: Collection[RetiredCard], *, max_age: timedelta = MAX_AGE
        ) -> bool:
            raise DatabaseUnreachable(f"the database cannot be reached: {id}, {len(retired)}, {max_age}")

    await posted_and_due(store, connection)
    await store.put("q", SCOPE, replace(QUESTION, text="Deploy now?").payload())
    away = PendingStore(pool)
    away.leases = Away(pool)
    for pod in (Pod(away), Pod(store)):
        async with pod.bridge:
            await until_edited(pod)
        assert [card.shows for _, _, card in pod.platform.edits] == [Shows.CHANGED]
        connection.execute("update pending_interactions set card_due_at = now() where card_due_at is not null")

    assert "are edited once more" in caplog.text
    assert await behind(store) == []


async def test_of_two_former_cards_of_one_asking_the_one_whose_edit_failed_is_edited_once_more(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """Its card was posted twice, since nobody knew of the first."""
    await posted_and_due(store, connection)
    number = (await lease_card(store)).ask_number
    for handle in ('"slack-2"', '"slack-3"'):
        await store.leases.mark_posted([PostedCard(question_id="q", ask_number=number, card=handle)])
    failures = iter([False, True])

    async def fail_once() -> None:
        if next(failures, False):
            raise TimeoutError

    pod = Pod(store)
    pod.platform.before_edit = fail_once
    async with pod.bridge:
        await until_edited(pod)
    connection.execute("update pending_interactions set card_due_at = now() where card_due_at is not null")
    again = Pod(store)
    async with again.bridge:
        await until_edited(again)

    edits = pod.platform.edits + again.platform.edits
    assert {handle for _, handle, _ in edits} == {"slack-2", "slack-3"}
    assert connection.execute("select retired_cards from pending_interactions").fetchone() == (None,)
