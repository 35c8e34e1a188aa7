"""What is logged while a pod works on one question says which one it is, and of which press."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

import psycopg
import pytest

from pendingctl import NotPosted, PendingStore
from pendingctl.errors import InvalidInput
from pendingctl.leased import LeasedPost
from pendingctl.logged import known
from pendingctl.pod.refused_clicks import RefusedClicks
from pendingctl.store.leases import Leases
from pendingctl.trail import Presses
from tests.deliveries import LEASE, claimed, until
from tests.pods import QUESTION, Pod, failing, hang
from tests.questions import PAYLOAD, SCOPE, click

ASKED = {"organization": "acme", "question": "q"}
PRESSED = {**ASKED, "press": "key"}
WITHIN = timedelta(seconds=0.2)


class _Lines(logging.Handler):
    """Each line with what it is about."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, Mapping[str, str]]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((record.getMessage(), known()))

    def about(self, text: str) -> list[Mapping[str, str]]:
        """What the lines with this text are about."""
        return [about for message, about in self.lines if text in message]


@pytest.fixture
def log() -> Iterator[_Lines]:
    handler, logger = _Lines(), logging.getLogger("pendingctl")
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)


async def test_a_claim_that_fails_is_about_its_press(
    store: PendingStore, connection: psycopg.Connection, log: _Lines
) -> None:
    pod = Pod(store)
    await pod.bridge.ask(QUESTION, event_id="e")
    connection.execute("alter table pending_interactions rename column answer to gone")

    await pod.click()

    assert log.about("could not be claimed") == [PRESSED]
    assert known() == {}
    await pod.bridge.close()


async def test_a_delivery_that_fails_is_about_the_press_that_won(store: PendingStore, log: _Lines) -> None:
    pod = Pod(store)
    pod.before_answer = failing(ValueError("down"))
    await pod.bridge.ask(QUESTION, event_id="e")

    await pod.click()

    await until(lambda: log.about("is tried again: down") == [PRESSED])
    await pod.bridge.close()


async def test_a_delivery_of_what_another_pod_has_left_is_about_its_question(
    store: PendingStore, connection: psycopg.Connection, log: _Lines
) -> None:
    pod = Pod(store)
    pod.before_answer = failing(ValueError("down"))
    await claimed(store)
    connection.execute("update pending_interactions set delivery_due_at = now()")
    async with pod.bridge:
        await until(lambda: log.about("is tried again: down") == [ASKED])


async def test_a_mark_of_an_unreadable_answer_that_fails_is_about_its_question(
    store: PendingStore, connection: psycopg.Connection, log: _Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Leases, "mark_failed", lambda *_, **__: failing(ValueError("no mark"))())
    await store.put("q", SCOPE, PAYLOAD)
    await store.claim(click(), lease=timedelta())
    connection.execute("update pending_interactions set entry_payload = '[1]'")
    async with Pod(store).bridge:
        await until(lambda: log.about("mark of the unreadable answer") == [ASKED])


async def test_a_post_that_fails_is_about_its_question_whoever_posts(
    store: PendingStore, connection: psycopg.Connection, log: _Lines
) -> None:
    pod = Pod(store)
    pod.platform.before_card = failing(NotPosted("not now"))
    await pod.bridge.ask(QUESTION, event_id="e")
    assert log.about("not posted") == [ASKED]

    connection.execute("update pending_interactions set post_due_at = now()")
    async with pod.bridge:
        await until(lambda: log.about("not posted") == [ASKED, ASKED])


async def test_a_card_that_died_with_its_pods_is_about_its_question(
    store: PendingStore, connection: psycopg.Connection, log: _Lines
) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    connection.execute("update pending_interactions set post_attempts = 20")

    leased: list[LeasedPost] = await store.leases.lease_posts(
        [("acme", "slack")], lease=LEASE, limit=1, most_attempts=20, most_doubts=2
    )

    assert leased == []
    assert log.about("the pods that attempted it died") == [ASKED]


async def test_an_edit_that_fails_is_about_its_press_and_later_about_its_question(
    store: PendingStore, connection: psycopg.Connection, log: _Lines
) -> None:
    pod = Pod(store)
    pod.platform.before_edit = failing(ValueError("no edit"))
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e")
        await pod.click()
        # A look that finds the card due may come before the pod's own edit, and another one after it.
        await until(lambda: PRESSED in log.about("could not be edited"))
        await until(
            lambda: (
                connection.execute(
                    "update pending_interactions set card_due_at = now() where card is not null returning id"
                ).fetchone()
                is not None
            )
        )
        await until(lambda: ASKED in log.about("could not be edited"))
    assert [about for about in log.about("could not be edited") if about != ASKED] == [PRESSED]


async def test_what_is_given_up_when_the_pod_closes_is_about_its_question(store: PendingStore, log: _Lines) -> None:
    pod = Pod(store)
    posting = asyncio.Event()

    async def post_for_ever() -> None:
        posting.set()
        await hang()

    pod.platform.before_card = post_for_ever
    asking = asyncio.create_task(pod.bridge.ask(QUESTION, event_id="e"))
    await posting.wait()

    await pod.bridge.close(within=WITHIN)

    assert log.about("is given up: the pod closes") == [ASKED]
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_a_question_that_this_pod_cannot_ask_is_named(store: PendingStore, log: _Lines) -> None:
    pod = Pod(store)
    pod.bridge.unregister("acme", "slack")

    await pod.bridge.ask(QUESTION, event_id="e")
    await pod.bridge.store(QUESTION)

    assert log.about("does not serve") == [ASKED, ASKED]


async def test_notes_about_many_cards_are_not_about_the_first_ones_question(
    store: PendingStore, connection: psycopg.Connection, log: _Lines
) -> None:
    pod = Pod(store)
    connection.execute("alter table pending_interactions rename column card_attempts to gone")
    await pod.bridge.ask(QUESTION, event_id="e")
    await pod.bridge.close()

    assert log.about("notes about cards") == [{}]


async def test_a_refused_click_that_cannot_be_noted_is_about_its_question(
    log: _Lines, caplog: pytest.LogCaptureFixture
) -> None:
    class Refusing:
        async def note(self, presses: Sequence[Presses]) -> list[Presses]:  # noqa: ARG002
            raise InvalidInput("a character that the database's encoding lacks")

    caplog.set_level(logging.DEBUG, "pendingctl.pod.refused_clicks")
    clicks = RefusedClicks(Refusing())
    clicks.refused(click(), "not_yours")

    await clicks.flush(last=True)

    assert log.about("a refused click cannot be noted") == [ASKED]
