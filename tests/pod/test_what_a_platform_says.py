"""A platform says that a card is gone, that it cannot show one, or that a connection is to be left alone."""

from __future__ import annotations

import logging
from datetime import timedelta

import psycopg
import pytest

from pendingctl import AskOutcome, Card, CardGone, Filters, PendingStore, Reminder, ReplyKind, Scope, Shows
from pendingctl.errors import InvalidInput
from pendingctl.inspected import CardState
from tests.cards_to_post import let_time_pass, put
from tests.deliveries import until
from tests.pods import QUESTION, Pod, RecordingPlatform, failing
from tests.posts import row


class Choosy(RecordingPlatform):
    """Shows no question without options."""

    def check_card(self, connection_id: str, card: Card) -> None:
        if not card.options:
            raise InvalidInput(f"{connection_id} of {card.organization_id} shows no question without options")


class Pausing(RecordingPlatform):
    """Leaves every connection alone while it is paused."""

    def __init__(self) -> None:
        super().__init__()
        self.paused = True

    def is_paused(self, organization_id: str, connection_id: str) -> bool:
        return self.paused and (organization_id, connection_id) == ("acme", "slack")


async def test_a_card_that_is_gone_is_not_edited_again(
    store: PendingStore, connection: psycopg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    pod = Pod(store)
    await pod.bridge.ask(QUESTION, event_id="e")
    pod.platform.before_edit = failing(CardGone("message_not_found\n"))

    with caplog.at_level(logging.WARNING):
        assert await pod.click() is ReplyKind.ANSWERED
        await pod.bridge.close()

    assert row(connection, "card_due_at, post_error") == (None, "message_not_found\\n")
    assert "a card of question 'q' stays as it is, and is not edited again: message_not_found\\n" in caplog.text
    edits = connection.execute("select detail from pending_trail where step = 'edited'").fetchall()
    assert edits == [("message_not_found\\n",)]
    gone = await store.inspection.find(Filters(card=CardState.GONE))
    assert [each.id for each in gone] == ["q"]

    # Whoever has it edited once more learns whether that has changed.
    pod = Pod(store)
    connection.execute("update pending_interactions set card_due_at = now()")
    async with pod.bridge:
        await until(lambda: row(connection, "card_due_at, post_error") == (None, None))
    assert await store.inspection.find(Filters(card=CardState.GONE)) == []


async def test_a_gone_card_of_an_earlier_asking_is_not_edited_again(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = Pod(store)
    await pod.bridge.ask(QUESTION, event_id="e")
    await pod.bridge.close()
    other = Pod(store)
    await other.bridge.ask(QUESTION, event_id="again")
    other.platform.before_edit = failing(CardGone("message_not_found"))
    async with other.bridge:
        await until(lambda: row(connection, "retired_cards") == (None,))

    assert other.platform.edits == []


async def test_whoever_asks_hears_of_a_card_that_cannot_be_shown(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = Pod(store, platform=Choosy())
    unfit = type(QUESTION)("q", QUESTION.scope, "Deploy?", (), "C1")

    with pytest.raises(InvalidInput, match="slack of acme shows no question without options"):
        await pod.bridge.ask(unfit, event_id="e")

    assert connection.execute("select count(*) from pending_interactions").fetchone() == (0,)
    assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POSTED


async def test_rows_of_a_paused_connection_wait_as_they_are(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    platform = Pausing()
    pod = Pod(store, platform=platform)
    pod.bridge.register("acme", "teams")
    await put(store)
    await put(store, "later", Scope("acme", "teams", "U1"))
    async with pod.bridge:
        await until(lambda: [card.question_id for card in platform.cards] == ["later"])
        assert row(connection, "post_attempts, card is null") == (0, True)
        platform.paused = False
        await until(lambda: len(platform.cards) == 2)


async def test_a_click_is_answered_while_its_connection_is_paused(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    platform = Pausing()
    platform.paused = False
    pod = Pod(store, platform=platform)
    await pod.bridge.ask(QUESTION, event_id="e")
    platform.paused = True
    platform.before_edit = failing(RuntimeError("the token is refused"))

    assert await pod.click() is ReplyKind.ANSWERED
    await pod.bridge.close()

    assert row(connection, "answered_by") == ("U1",)


async def test_cards_and_reminders_say_whose_connection_it_is(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = Pod(store)
    stored = await store.put(
        "q", QUESTION.scope, QUESTION.payload(), show=True, remind_every=timedelta(minutes=1), remind_at_most=1
    )
    async with pod.bridge:
        await until(lambda: row(connection, "posted_at is not null") == (True,))
        let_time_pass(connection)
        await until(lambda: len(pod.platform.reminders) == 1)
        await pod.click(ask_number=stored.ask_number)
        await until(lambda: len(pod.platform.edits) == 1)

    said: list[Card | Reminder] = [*pod.platform.cards, pod.platform.reminders[0][2], pod.platform.edits[0][2]]
    assert {each.organization_id for each in said} == {"acme"}
    assert pod.platform.edits[0][2].shows is Shows.ANSWERED
