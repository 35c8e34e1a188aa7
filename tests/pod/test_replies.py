"""The words of the reply to a click, of each kind and in another language."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime

import psycopg
import pytest

from pendingctl import PendingStore, Refusal, RefusalReason, Reply, ReplyKind, Wording
from pendingctl.platforms import ENGLISH
from pendingctl.pod.replies import cannot_serve, reply_to_refusal, reply_to_win
from tests.cards_to_post import noted_card
from tests.deliveries import until
from tests.pods import QUESTION, Pod
from tests.questions import click

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WON = Refusal("q", RefusalReason.ALREADY_ANSWERED, "U1", "no", NOON)
CANNOT_SERVE = "This cannot be served here right now, please try again."

CASES = [
    (WON, "Already answered by U1: no (2026-01-01 12:00 UTC)"),
    (replace(WON, answered_by="operator:anna"), "Already answered by the operator anna: no (2026-01-01 12:00 UTC)"),
    (replace(WON, answered_by=None, answer=None), "Already answered (2026-01-01 12:00 UTC)"),
    (Refusal("q", RefusalReason.ALREADY_ANSWERED), "Already answered"),
    (Refusal("q", RefusalReason.NOT_YOURS), "This question is for somebody else."),
    (Refusal("q", RefusalReason.INVALID_ANSWER, options=("yes", "no")), "That is not one of the options: yes, no."),
    (Refusal("q", RefusalReason.INVALID_ANSWER), "That is not one of the options."),
    (Refusal("q", RefusalReason.WITHDRAWN), "This question was withdrawn."),
    (Refusal("q", RefusalReason.EXPIRED), "This question has expired: nobody answered it in time."),
    (Refusal("q", RefusalReason.SUPERSEDED), "This question has changed; answer the newer card."),
    (Refusal("q", RefusalReason.UNKNOWN_OR_EXPIRED), "This question is unknown or has expired."),
    (Refusal("q", RefusalReason.OTHER_APPLICATION), CANNOT_SERVE),
]


@pytest.mark.parametrize(("refusal", "text"), CASES)
def test_a_click_that_lost_learns_why(refusal: Refusal, text: str) -> None:
    reply = reply_to_refusal(refusal, ENGLISH)

    served = refusal.reason is not RefusalReason.OTHER_APPLICATION
    assert (reply.kind, reply.text) == (refusal.reason.value if served else ReplyKind.CANNOT_SERVE, text)


def test_every_reason_has_its_words() -> None:
    assert {refusal.reason for refusal, _ in CASES} == set(RefusalReason)


def test_a_click_that_won_learns_so() -> None:
    assert reply_to_win("yes", ENGLISH).text == "You answered: yes"
    assert reply_to_win(None, ENGLISH).text == "You answered."
    assert reply_to_win(None, ENGLISH).kind is ReplyKind.ANSWERED
    assert (cannot_serve(ENGLISH).kind, cannot_serve(ENGLISH).text) == (ReplyKind.CANNOT_SERVE, CANNOT_SERVE)


def test_every_reply_is_worded_by_the_application() -> None:
    names = [field.name for field in fields(Wording) if field.name.startswith("reply_")]
    wording = Wording(**{name: name for name in names})

    refused = [reply_to_refusal(refusal, wording) for refusal, _ in CASES]
    assert [reply.text for reply in refused] == [f"reply_{reply.kind}" for reply in refused]
    assert reply_to_win("yes", wording).text == "reply_answered"
    assert reply_to_win(None, wording).text == "reply_answered_without_value"
    assert cannot_serve(wording).text == "reply_cannot_serve"


async def test_a_pod_answers_and_edits_in_the_words_of_its_application(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    german = Wording(
        reply_answered="Ihre Antwort: {value}",
        reply_unknown_or_expired="Diese Frage gibt es nicht oder nicht mehr.",
        reply_cannot_serve="Das geht hier gerade nicht, bitte noch einmal.",
        card_answered="Beantwortet[ von {by}][ mit {value}]",
    )
    pod = Pod(store, wording=german)
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e")
        # Or a look that finds the card due may edit it as well.
        await until(lambda: noted_card(connection) is not None)
        replies: list[Reply] = [await pod.bridge.click(each) for each in (click("nowhere"), click(value="no"))]
        await until(lambda: bool(pod.platform.edits))
    replies.append(await pod.bridge.click(click()))

    assert [reply.text for reply in replies] == [
        german.reply_unknown_or_expired,
        "Ihre Antwort: no",
        german.reply_cannot_serve,
    ]
    assert pod.platform.shown == ["Deploy?\nBeantwortet von U1 mit no"]


async def test_cards_of_other_pods_are_edited_in_these_words_too(store: PendingStore) -> None:
    first = Pod(store)
    await first.bridge.ask(QUESTION, event_id="e")
    await first.bridge.close()
    await store.withdraw("q", QUESTION.scope)

    pod = Pod(store, wording=Wording(card_withdrawn="Zurückgezogen"))
    async with pod.bridge:
        await until(lambda: bool(pod.platform.edits))

    assert pod.platform.shown == ["Deploy?\nZurückgezogen"]
