"""Cards follow their rows, whichever pod posted them."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import psycopg
import pytest

from pendingctl import AskOutcome, Card, Claim, Operator, PendingStore, Question, ReplyKind, Scope
from pendingctl.errors import DatabaseUnreachable
from pendingctl.inspected import CardState
from pendingctl.leased import EditedCard, PostedCard
from pendingctl.platforms import MessageHandle
from pendingctl.pod.card_notes import CardNotes
from pendingctl.postgres.connections import Pool
from pendingctl.schedule import MAX_AGE
from pendingctl.store import Filters
from pendingctl.store.leases import Leases
from tests.deliveries import until
from tests.pods import QUESTION, Pod, RecordingPlatform, failing
from tests.questions import SCOPE, age, click

ANSWERED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def with_leases(pool: Pool, leases: type[Leases]) -> PendingStore:
    store = PendingStore(pool)
    store.leases = leases(pool)
    return store


async def posted(store: PendingStore) -> Pod:
    """A pod that has posted the question's card and is gone."""
    pod = Pod(store)
    await pod.bridge.ask(QUESTION, event_id="e")
    await pod.bridge.close()
    return pod


async def due(connection: psycopg.Connection) -> list[object]:
    return [bool(at) for (at,) in connection.execute("select card_due_at from pending_interactions").fetchall()]


async def cards(store: PendingStore, card: CardState) -> list[str]:
    return [row.id for row in await store.inspection.find(Filters(card=card))]


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


async def test_a_busy_pod_notes_many_cards_at_once(pool: Pool, connection: psycopg.Connection) -> None:
    """All that come while a note is written."""
    asked = asyncio.Event()

    class Slow(Leases):
        noted: ClassVar[list[int]] = []

        async def mark_posted(self, posted: Collection[PostedCard], *, max_age: timedelta = MAX_AGE) -> set[str]:
            self.noted.append(len(posted))
            await asked.wait()
            return await super().mark_posted(posted, max_age=max_age)

    pod = Pod(with_leases(pool, Slow))
    async with pod.bridge:
        for number in range(40):
            await pod.bridge.ask(replace(QUESTION, id=f"q-{number}"), event_id=f"e-{number}")
        asked.set()
    # A write that the close has broken off is made again.
    assert 40 <= sum(Slow.noted) <= 80
    assert len(Slow.noted) <= 3
    row = connection.execute("select count(distinct card), count(posted_at) from pending_interactions").fetchone()
    assert row == (40, 40)


async def test_what_cannot_be_noted_in_an_outage_is_noted_after_it(
    pool: Pool, store: PendingStore, connection: psycopg.Connection
) -> None:
    """And a later note about the same card holds."""
    numbers = {id: (await store.put(id, SCOPE, QUESTION.payload())).ask_number for id in ("other", "q")}

    def note(id: str, card: str) -> None:
        notes.posted(PostedCard(question_id=id, ask_number=numbers[id], card=card))

    class Away(Leases):
        is_away = True

        async def mark_posted(self, posted: Collection[PostedCard], *, max_age: timedelta = MAX_AGE) -> set[str]:
            if self.is_away:
                self.is_away = False
                note("q", '"slack-3"')
                raise DatabaseUnreachable("the database cannot be reached: no reason given")
            return await super().mark_posted(posted, max_age=max_age)

    notes = CardNotes(Away(pool))
    note("other", '"slack-1"')
    note("q", '"slack-2"')
    await until(lambda: len(notes) == 0 and not (notes._task and not notes._task.done()))
    await notes.close(within=timedelta(seconds=5))

    noted = connection.execute("select id, card from pending_interactions order by id").fetchall()
    assert noted == [("other", "slack-1"), ("q", "slack-3")]


async def test_a_row_that_somebody_has_locked_keeps_no_other_card_waiting(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    """As an application does whose long transaction stores a question again."""
    ids = ("before", "locked", "later")
    numbers = {id: (await store.put(id, SCOPE, QUESTION.payload())).ask_number for id in ids}
    posted_cards = [PostedCard(question_id=id, ask_number=numbers[id], card='"slack-1"') for id in ids]
    edited_cards = [
        EditedCard(question_id=id, ask_number=numbers.get(id, 1), card='"slack-1"', claimed_at=None, attempts=0)
        for id in ("before", "locked", "gone")
    ]

    with psycopg.connect(dsn) as application:
        application.execute("select from pending_interactions where id = 'locked' for update")
        async with asyncio.timeout(5):
            assert await store.leases.mark_posted(posted_cards) == {"locked"}
            assert isinstance(await store.claim(click("later")), Claim)
    assert await store.leases.mark_posted(posted_cards[1:2]) == set()

    with psycopg.connect(dsn) as application:
        application.execute("select from pending_interactions where id = 'locked' for update")
        async with asyncio.timeout(5):
            assert await store.leases.mark_edited(edited_cards) == {"locked"}
    edited = connection.execute("select id from pending_interactions where card_due_at is null").fetchall()
    assert edited == [("before",)]


async def test_a_card_whose_row_was_locked_is_noted_later(store: PendingStore, dsn: str) -> None:
    pod = Pod(store)
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e")
        with psycopg.connect(dsn) as application:
            application.execute("select from pending_interactions for update")
            await asyncio.sleep(0.3)
    assert await cards(store, CardState.NEVER_POSTED) == []


async def test_a_card_posted_again_for_the_same_asking_is_the_one_to_edit(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = Pod(store)
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e-1")
        await pod.bridge.ask(QUESTION, event_id="e-2")
    assert connection.execute("select card from pending_interactions").fetchall() == [("slack-2",)]


async def test_a_note_about_an_older_asking_changes_nothing_of_the_newer_ones_card(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = await posted(store)
    first = pod.platform.cards[0].ask_number
    await store.claim(click())
    second = (await store.put("q", SCOPE, QUESTION.payload())).ask_number
    await store.leases.mark_posted([PostedCard(question_id="q", ask_number=first, card='"slack-1"')])
    assert await cards(store, CardState.NEVER_POSTED) == ["q"]
    connection.execute("update pending_interactions set retired_cards = null")
    await store.leases.mark_posted([PostedCard(question_id="q", ask_number=second, card='"slack-2"')])
    connection.execute("update pending_interactions set card_due_at = now()")
    await store.leases.mark_edited(
        [EditedCard(question_id="q", ask_number=first, card='"slack-1"', claimed_at=ANSWERED_AT, attempts=0)]
    )
    assert await due(connection) == [True]
    await store.leases.mark_edited(
        [EditedCard(question_id="q", ask_number=second, card='"slack-2"', claimed_at=None, attempts=0)]
    )
    assert await due(connection) == [False]


async def test_rows_whose_card_was_never_posted_can_be_listed(store: PendingStore) -> None:
    await posted(store)
    await store.put("stored", SCOPE, QUESTION.payload())
    pod = Pod(store)
    pod.platform.before_card = failing(TimeoutError())
    await pod.bridge.ask(Question("unknown", Scope("acme", "slack", "U1"), "?", ("yes",), "C1"), event_id="e2")

    assert await cards(store, CardState.NEVER_POSTED) == ["stored", "unknown"]


@pytest.mark.parametrize("newest_first", [True, False])
async def test_notes_about_two_askings_at_once_do_not_mix(
    store: PendingStore, connection: psycopg.Connection, newest_first: bool
) -> None:
    first = (await store.put("q", SCOPE, QUESTION.payload())).ask_number
    await store.claim(click())
    second = (await store.put("q", SCOPE, QUESTION.payload())).ask_number
    notes = [
        PostedCard(question_id="q", ask_number=number, card=f'"card of {name}"')
        for number, name in ((first, "first"), (second, "second"))
    ]

    await store.leases.mark_posted(notes[::-1] if newest_first else notes)

    row = connection.execute("select card, retired_cards #>> '{0,card}' from pending_interactions").fetchall()
    assert row == [("card of second", "card of first")]


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
    # The first one twice, if it was noted before its edit was.
    assert {handle for _, handle, _ in pod.platform.edits} == {"slack-1", "slack-2"}
    assert await due(connection) == [False]


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


async def test_a_note_that_can_never_be_written_keeps_back_no_other(
    pool: Pool, store: PendingStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pendingctl.pod.card_notes.RETRY_SECONDS", 0.01)

    class Poisoned(Leases):
        async def mark_posted(self, posted: Collection[PostedCard], *, max_age: timedelta = MAX_AGE) -> set[str]:
            if any(each.question_id == "poison" for each in posted):
                raise UnicodeEncodeError("latin-1", "✓", 0, 1, "no such character")
            return await super().mark_posted(posted, max_age=max_age)

    pod = Pod(with_leases(pool, Poisoned))
    async with pod.bridge:
        await pod.bridge.ask(replace(QUESTION, id="poison"), event_id="e-1")
        await until(lambda: "notes about cards are given up" in caplog.text)
        await pod.bridge.ask(QUESTION, event_id="e-2")
    assert await cards(store, CardState.NEVER_POSTED) == ["poison"]


async def test_a_pod_that_closes_waits_for_the_card_that_it_posts_and_for_its_note(store: PendingStore) -> None:
    pod = Pod(store)
    going, posting = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        posting.set()
        await going.wait()

    pod.platform.before_card = wait
    asking = asyncio.create_task(pod.bridge.ask(QUESTION, event_id="e"))
    await until(posting.is_set)
    closing = asyncio.create_task(pod.bridge.close())
    await asyncio.sleep(0)
    assert await pod.click() is ReplyKind.CANNOT_SERVE
    assert await pod.bridge.ask(replace(QUESTION, id="later"), event_id="e-2") is AskOutcome.CANNOT_SERVE
    going.set()
    await closing

    assert await asking is AskOutcome.POSTED
    assert await cards(store, CardState.NEVER_POSTED) == []
    assert "notes about cards" not in [task.get_name() for task in asyncio.all_tasks()]
