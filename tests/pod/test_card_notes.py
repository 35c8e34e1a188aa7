"""What became of cards is noted in their rows: together, in whatever order, and over what keeps a row away."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import psycopg
import pytest

from pendingctl import AskOutcome, Claim, PendingStore, ReplyKind
from pendingctl.errors import DatabaseUnreachable
from pendingctl.inspected import CardState
from pendingctl.leased import EditedCard, PostedCard
from pendingctl.pod.card_notes import CardNotes
from pendingctl.postgres.connections import Pool
from pendingctl.schedule import MAX_AGE
from pendingctl.store.leases import Leases
from tests.deliveries import until
from tests.pod.posted_cards import cards, due, posted
from tests.pods import QUESTION, Pod
from tests.questions import SCOPE, click

ANSWERED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def with_leases(pool: Pool, leases: type[Leases]) -> PendingStore:
    store = PendingStore(pool)
    store.leases = leases(pool)
    return store


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
        async with asyncio.timeout(20):
            assert await store.leases.mark_posted(posted_cards) == {"locked"}
            assert isinstance(await store.claim(click("later")), Claim)
    assert await store.leases.mark_posted(posted_cards[1:2]) == set()

    with psycopg.connect(dsn) as application:
        application.execute("select from pending_interactions where id = 'locked' for update")
        async with asyncio.timeout(20):
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
