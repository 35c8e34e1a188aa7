"""Cards follow their rows, whichever pod posted them."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import psycopg

from pendingctl import Card, Claim, Operator, PendingStore, Question, ReplyKind, Scope
from pendingctl.inspected import CardState
from pendingctl.platforms import MessageHandle
from tests.deliveries import until
from tests.pod.posted_cards import cards, due, posted
from tests.pods import QUESTION, Pod, RecordingPlatform, failing
from tests.questions import SCOPE, age, click

ANSWERED_AT = datetime(2026, 1, 1, tzinfo=UTC)


async def test_any_pod_edits_the_card_of_an_answer_claimed_elsewhere(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await posted(store)
    await store.claim(click(value="no"))
    assert await cards(store, CardState.BEHIND) == ["q"]

    pod = Pod(store)
    async with pod.bridge:
        await until(lambda: bool(pod.platform.edits))
        ((connection_id, handle, card),) = pod.platform.edits
    assert (connection_id, handle, card.options) == ("slack", "slack-1", ())
    assert pod.platform.shown[0].startswith("Deploy?\nAnswered by U1: no (20")
    assert await due(connection) == [False]
    assert await cards(store, CardState.BEHIND) == []


async def test_an_operators_answer_is_shown_and_told_to_late_clicks(store: PendingStore) -> None:
    await posted(store)
    assert isinstance(await store.answer(click(value="no"), Operator("anna", "U1 is on holiday")), Claim)

    pod = Pod(store)
    async with pod.bridge:
        await until(lambda: bool(pod.platform.edits) and bool(pod.answers))
        late = await pod.bridge.click(click(delivery_key="late"))
    assert pod.platform.shown[0].startswith("Deploy?\nAnswered by the operator anna: no (20")
    assert late.text.startswith("Already answered by the operator anna: no (20")
    assert [(each.value, each.answered_by, each.user_id) for each in pod.answers] == [("no", "operator:anna", "U1")]


async def test_a_withdrawal_is_shown(store: PendingStore) -> None:
    await posted(store)
    await store.withdraw("q", SCOPE)

    pod = Pod(store)
    async with pod.bridge:
        await until(lambda: bool(pod.platform.edits))
    assert pod.platform.shown[0].startswith("Deploy?\nWithdrawn (20")


async def test_a_card_whose_question_goes_stale_says_so_and_keeps_its_buttons(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await posted(store)
    assert await cards(store, CardState.BEHIND) == []
    age(connection, 24)
    connection.execute("update pending_interactions set card_due_at = card_due_at - interval '24 hours'")

    pod = Pod(store)
    async with pod.bridge:
        await until(lambda: bool(pod.platform.edits))
        assert pod.platform.shown == ["Deploy?\nNobody has answered yet; this question is about to be removed."]
        assert [card.options for _, _, card in pod.platform.edits] == [("yes", "no")]
        assert await pod.click() is ReplyKind.ANSWERED


async def test_an_edit_that_failed_is_tried_again(store: PendingStore, connection: psycopg.Connection) -> None:
    pod = Pod(store)
    await pod.bridge.ask(QUESTION, event_id="e")
    pod.platform.before_edit = failing(TimeoutError())
    await pod.click()
    await pod.bridge.close()
    assert await due(connection) == [True]

    connection.execute("update pending_interactions set card_due_at = now()")
    other = Pod(store)
    async with other.bridge:
        await until(lambda: bool(other.platform.edits))
    assert await due(connection) == [False]


async def test_a_card_whose_next_edit_waits_is_listed_as_behind(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await posted(store)
    connection.execute("update pending_interactions set card_attempts = 1")
    # This is when it goes stale.
    assert await cards(store, CardState.BEHIND) == []

    await store.claim(click())
    for wait in ("30 s", "59 min"):
        connection.execute(
            "update pending_interactions set card_attempts = 12, card_due_at = now() + %s::interval", [wait]
        )
        assert await cards(store, CardState.BEHIND) == ["q"]


async def test_each_failed_edit_waits_twice_as_long(store: PendingStore, connection: psycopg.Connection) -> None:
    await posted(store)
    connection.execute("update pending_interactions set card_due_at = now()")
    served = [("acme", "slack")]
    waits = []
    for _ in range(9):
        ((card),) = await store.leases.lease_cards(served, lease=timedelta(seconds=30), limit=10)
        row = connection.execute("select card_due_at - now() from pending_interactions").fetchone()
        assert row is not None
        waits.append(round(row[0].total_seconds() / 30))
        connection.execute("update pending_interactions set card_due_at = now()")
    assert card.question_id == "q"
    assert waits == [1, 2, 4, 8, 16, 32, 64, 120, 120]


async def test_only_pods_that_serve_the_connection_edit(store: PendingStore) -> None:
    await posted(store)
    await store.claim(click())

    pod = Pod(store)
    pod.bridge.unregister("acme", "slack")
    pod.bridge.register("globex", "slack")
    async with pod.bridge:
        await asyncio.sleep(1.3)
    assert pod.platform.edits == []
    assert await cards(store, CardState.BEHIND) == ["q"]
    for others in ([("globex", "slack")], [("acme", "teams")], []):
        assert not (await store.leases.due(others)).cards
        assert await store.leases.lease_cards(others, lease=timedelta(seconds=30), limit=10) == []


async def test_a_click_that_comes_before_the_card_is_known_is_shown(store: PendingStore) -> None:
    pod = Pod(store)

    async def answered_at_once() -> None:
        await store.claim(click())

    pod.platform.before_card = answered_at_once
    await pod.bridge.ask(QUESTION, event_id="e")
    await pod.bridge.close()
    assert await cards(store, CardState.BEHIND) == ["q"]


async def test_a_pod_that_has_edited_its_card_before_it_was_noted_does_so_once(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    # One that looks for what is due would edit it once more, if a look came between the two notes.
    pod = Pod(store)
    await pod.bridge.ask(QUESTION, event_id="e")
    await pod.click()
    await pod.bridge.close()
    assert await due(connection) == [False]
    assert await cards(store, CardState.NEVER_POSTED) == []
    assert len(pod.platform.edits) == 1


async def test_a_card_posted_again_for_the_same_asking_is_the_one_to_edit(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = Pod(store)
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e-1")
        await pod.bridge.ask(QUESTION, event_id="e-2")
    assert connection.execute("select card from pending_interactions").fetchall() == [("slack-2",)]


async def test_rows_whose_card_was_never_posted_can_be_listed(store: PendingStore) -> None:
    await posted(store)
    await store.put("stored", SCOPE, QUESTION.payload())
    pod = Pod(store)
    pod.platform.before_card = failing(TimeoutError())
    await pod.bridge.ask(Question("unknown", Scope("acme", "slack", "U1"), "?", ("yes",), "C1"), event_id="e2")

    assert await cards(store, CardState.NEVER_POSTED) == ["stored", "unknown"]


async def test_a_card_posted_while_the_one_before_it_is_edited_stays_due(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    """The question is stored and posted again, and at that moment somebody clicks the first card."""
    pod = Pod(store)

    async def click_the_first_card() -> None:
        await pod.click()
        await until(lambda: bool(pod.platform.edits))

    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e-1")
        pod.platform.before_card = click_the_first_card
        await pod.bridge.ask(QUESTION, event_id="e-2")
        await until(lambda: "slack-2" in [handle for _, handle, _ in pod.platform.edits])
        # An edit that the pod's close breaks off would be due once more.
        left = "select retired_cards, card_due_at from pending_interactions"
        await until(lambda: connection.execute(left).fetchone() == (None, None))
    # The first one twice, if it was noted before its edit was.
    assert {handle for _, handle, _ in pod.platform.edits} == {"slack-1", "slack-2"}


async def test_a_platform_without_references_has_no_card_to_edit(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    class WithoutReferences(RecordingPlatform):
        async def post_card(self, connection_id: str, card: Card) -> MessageHandle:
            await super().post_card(connection_id, card)
            return None

    pod = Pod(store, platform=WithoutReferences())
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e")
    await store.claim(click())
    assert connection.execute("select card, card_due_at from pending_interactions").fetchall() == [(None, None)]
    assert await cards(store, CardState.NEVER_POSTED) == []
