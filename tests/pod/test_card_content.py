"""What a card shows, by what its row holds."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from pendingctl import Card, Outcome, Sentence, Shows, Wording
from pendingctl.leased import RetiredCard
from pendingctl.payload import JsonObject
from pendingctl.platforms import ENGLISH
from pendingctl.pod.card_content import card_of, retired_card_of
from tests.questions import PAYLOAD

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
WON: dict[str, Any] = {"answered_by": "U1", "answer": "yes", "ended_at": NOON}
RETIRED = RetiredCard(
    ask_number=7, card="c", text="Deploy?", ending="superseded", answer=None, answered_by=None, at=None
)


@pytest.mark.parametrize(
    ("row", "shows", "said"),
    [
        ({}, Shows.PENDING, None),
        ({"is_stale": True}, Shows.STALE, "Nobody has answered yet; this question is about to be removed."),
        ({"outcome": Outcome.ANSWERED, **WON}, Shows.ANSWERED, "Answered by U1: yes (2026-01-01 12:00 UTC)"),
        ({"outcome": Outcome.ANSWERED, **WON, "answer": None}, Shows.ANSWERED, "Answered by U1 (2026-01-01 12:00 UTC)"),
        ({"outcome": Outcome.ANSWERED, **WON, "is_stale": True}, Shows.ANSWERED, None),
        (
            {"outcome": Outcome.DEFAULTED, **WON},
            Shows.DEFAULTED,
            "Nobody answered in time; the answer is yes (2026-01-01 12:00 UTC)",
        ),
        (
            {"outcome": Outcome.EXPIRED, **WON},
            Shows.EXPIRED,
            "Expired (2026-01-01 12:00 UTC): nobody answered in time.",
        ),
        ({"outcome": Outcome.EXPIRED}, Shows.EXPIRED, "Expired: nobody answered in time."),
        ({"outcome": Outcome.WITHDRAWN, **WON}, Shows.WITHDRAWN, "Withdrawn (2026-01-01 12:00 UTC)"),
    ],
)
def test_a_card_shows_the_state_of_its_question(row: dict[str, Any], shows: Shows, said: str | None) -> None:
    card = card_of("q", 7, PAYLOAD, "U1", wording=ENGLISH, **row)

    is_open = shows in (Shows.PENDING, Shows.STALE)
    assert (card.question_id, card.ask_number, card.user_id) == ("q", 7, "U1")
    assert (card.text, card.options) == ("Deploy?", ("yes", "no") if is_open else ())
    assert card.shows is shows
    if said is not None:
        assert card.said is not None
        assert card.said.text() == said
    assert (card.said is None) is (shows is Shows.PENDING)


@pytest.mark.parametrize(
    ("changes", "shows", "said"),
    [
        ({}, Shows.CHANGED, "This question has changed; answer the newer card."),
        ({"ending": "None"}, Shows.CHANGED, "This question has changed; answer the newer card."),
        (
            {"ending": "answered", "answered_by": "U1", "answer": "yes", "at": NOON},
            Shows.ANSWERED,
            "Answered by U1: yes (2026-01-01 12:00 UTC)",
        ),
        ({"ending": "answered"}, Shows.ANSWERED, "Answered"),
        ({"ending": "defaulted", "answer": "no"}, Shows.DEFAULTED, "Nobody answered in time; the answer is no"),
        ({"ending": "expired"}, Shows.EXPIRED, "Expired: nobody answered in time."),
        ({"ending": "withdrawn", "at": NOON}, Shows.WITHDRAWN, "Withdrawn (2026-01-01 12:00 UTC)"),
    ],
)
def test_the_card_of_an_earlier_asking_shows_its_end(changes: dict[str, Any], shows: Shows, said: str) -> None:
    card = retired_card_of("q", "U1", replace(RETIRED, **changes), wording=ENGLISH)

    assert card.said is not None
    assert card == Card("q", 7, "", "Deploy?", (), shows, "U1", card.said)
    assert card.said.text() == said


@pytest.mark.parametrize("payload", [{}, {"question": None}, {"question": {"text": 1, "options": "yes"}}])
def test_a_foreign_payload_shows_nothing_of_it(payload: JsonObject) -> None:
    card = card_of("q", 7, payload, "U1", wording=ENGLISH, is_stale=True)

    assert (card.conversation_id, card.text, card.options, card.shows) == ("", "", (), Shows.STALE)
    retired = retired_card_of("q", "U1", replace(RETIRED, text=None), wording=ENGLISH)
    assert retired.text == ""


@pytest.mark.parametrize("outcome", [None, *Outcome])
def test_what_a_card_says_is_worded_by_the_application(outcome: Outcome | None) -> None:
    names = [f"card_{each}" for each in ("stale", *Outcome, "changed")]
    wording = Wording(**{name: f"in other words: {name}" for name in names})

    card = card_of("q", 7, PAYLOAD, "U1", wording=wording, outcome=outcome, is_stale=True, ended_at=NOON)
    assert card.said is not None
    assert card.said.text() == f"in other words: card_{card.shows}"

    retired = retired_card_of("q", "U1", replace(RETIRED, ending=outcome or "superseded"), wording=wording)
    assert retired.said is not None
    assert retired.said.text() == f"in other words: card_{retired.shows}"


def test_who_and_when_are_parts_for_the_platform_to_render() -> None:
    card = card_of("q", 7, PAYLOAD, "U1", wording=ENGLISH, outcome=Outcome.ANSWERED, **WON)

    assert card.said == Sentence(words=ENGLISH.card_answered, by="U1", value="yes", at=NOON)


def test_an_operator_who_answered_is_named_and_not_mentioned_as_a_user() -> None:
    won = {**WON, "answered_by": "operator:anna"}
    card = card_of("q", 7, PAYLOAD, "U1", wording=ENGLISH, outcome=Outcome.ANSWERED, **won)
    before = replace(RETIRED, ending="answered", answer="yes", answered_by="operator:anna", at=NOON)
    retired = retired_card_of("q", "U1", before, wording=ENGLISH)

    for each in (card, retired):
        assert each.said is not None
        said = each.said.text(person=lambda id: f"<@{id}>", plain=str.upper)
        assert said.startswith("ANSWERED BY THE OPERATOR ANNA: YES (")
