"""What a platform is given, and what it may say that it can."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pendingctl import Answer, Card, NotPosted
from pendingctl.platforms import FindsCards, MessageHandle, PostsByKey
from pendingctl.platforms.console import ConsolePlatform


def test_a_cards_key_is_that_of_its_answer() -> None:
    answer = Answer(
        question_id="déploy/1",
        ask_number=7,
        value="yes",
        organization_id="acme",
        connection_id="slack",
        user_id="U1",
        conversation_id="C1",
        payload={},
        claimed_at=datetime(2026, 1, 1, tzinfo=UTC),
    )

    assert Card("déploy/1", 7, "C1", "Deploy?", ()).key == answer.idempotency_key == "d%C3%A9ploy%2F1/7"


def test_a_refusal_of_the_platform_says_what_to_expect_of_another_try() -> None:
    assert (NotPosted("no").retry_after, NotPosted("no").is_permanent) == (None, False)
    busy = NotPosted("rate limited", retry_after=timedelta(seconds=30))
    assert (str(busy), busy.retry_after) == ("rate limited", timedelta(seconds=30))
    assert NotPosted("no such channel", is_permanent=True).is_permanent


def test_a_platform_says_by_its_methods_what_it_can() -> None:
    class Careful(ConsolePlatform):
        posts_by_key = True

        async def find_card(self, connection_id: str, card: Card) -> MessageHandle | None:
            return (connection_id, card.key)

    assert isinstance(Careful(), FindsCards)
    assert isinstance(Careful(), PostsByKey)
    assert not isinstance(ConsolePlatform(), FindsCards | PostsByKey)
