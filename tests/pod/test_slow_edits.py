"""A slow edit of a card that lands over a newer one is corrected."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Claim, PendingStore
from pendingctl.model import CardState, EditedCard, LeasedCard
from pendingctl.store import Filters
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
