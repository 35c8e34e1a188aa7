"""Many people who press many buttons for a while, and what must be true of it afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

from pendingctl import open_pool
from pendingctl.demo.messages import Message
from pendingctl.demo.presses import Pressed, Seen
from pendingctl.inspected import State
from pendingctl.store.inspection import Inspection

from .conftest import Deployment, cards_of

# The questions are U1's.
PEOPLE = ("U1", "U2", "U5")
NOT_YOURS = "This question is for somebody else."


@dataclass(frozen=True)
class Press:
    question_id: str
    user: str
    choice: str
    pressed: Pressed


class Crowd:
    """People who press the buttons of questions, each of which is asked and shown."""

    def __init__(self, deployment: Deployment, cards: Sequence[tuple[str, Message]]) -> None:
        self.presses: list[Press] = []
        self._deployment = deployment
        self._cards = list(cards)
        self._pressed = 0
        self.ids = [id for id, _ in cards]

    async def press(
        self, *, per_second: float, while_: Callable[[], bool] = lambda: False, at_most: int | None = None
    ) -> None:
        """Press at this rate, and until each of them has pressed each question; return once all is acknowledged.

        One press follows the other by the clock, however long any takes. Where `at_most` so many are to be pressed, the
        next call goes on behind them.
        """
        loop = asyncio.get_running_loop()
        begun, first = loop.time(), self._pressed
        least = len(self._cards) * len(PEOPLE)
        async with asyncio.TaskGroup() as group:
            for number in count(first):
                if number - first == at_most or (number >= least and not while_()):
                    return
                self._pressed = number + 1
                await asyncio.sleep(begun + (number - first) / per_second - loop.time())
                turn, place = divmod(number, len(self._cards))
                user = PEOPLE[(place + turn) % len(PEOPLE)]
                group.create_task(self._press(*self._cards[place], user, ("yes", "no")[number % 2]))

    async def _press(self, id: str, card: Message, user: str, choice: str) -> None:
        pressed = await self._deployment.slack.press(user, card, choice, from_copy=card)
        self.presses.append(Press(id, user, choice, pressed))

    async def check(self) -> None:
        """See that each press was acknowledged and replied to truly, and each question answered once."""
        slack = self._deployment.slack
        late = [
            (press.question_id, press.pressed.seen, press.pressed.seconds)
            for press in self.presses
            if press.pressed.seen is not Seen.ACKNOWLEDGED
        ]
        assert late == [], late
        await slack.until(lambda: all(slack.replies_to(press.pressed) for press in self.presses), within=30)
        answers = await self._answers()
        for id, _ in self._cards:
            presses = [press for press in self.presses if press.question_id == id]
            said = [(press, [reply.text for reply in slack.replies_to(press.pressed)]) for press in presses]
            won = [press for press, texts in said if texts == [f"You answered: {answers[id]}"]]
            assert [(press.user, press.choice) for press in won] == [("U1", answers[id])], said
            for press, (text, *more) in said:
                assert more == []
                if press.user != "U1":
                    assert text == NOT_YOURS
                elif press not in won:
                    assert text.startswith(f"Already answered by <@U1>: {answers[id]} (")

    async def _answers(self) -> dict[str, str]:
        """The answer of each question, once all are answered, delivered under one key each, and their cards edited."""
        answers: dict[str, str] = {}
        # Above a lease, with what was under way when the test ended those that were there.
        async with open_pool(self._deployment.dsn, max_size=1) as pool, asyncio.timeout(60):
            inspection = Inspection(pool)
            while True:
                rows = await inspection.summaries(self.ids)
                if all(row.state is State.CLAIMED and row.card_due_at is None for row in rows):
                    break
                await asyncio.sleep(0.1)
            for id in self.ids:
                row = await inspection.get(id)
                assert row is not None
                assert row.answer is not None
                answers[id] = row.answer
        for id, card in self._cards:
            delivered = self._deployment.worker.delivered(id)
            assert {(each.value, each.key) for each in delivered} == {(answers[id], delivered[0].key)}
            assert [each.buttons for each in cards_of(self._deployment.slack, id, card.channel)] == [()]
        return answers


async def crowd_of(deployment: Deployment, prefix: str, questions: int) -> Crowd:
    """Ask so many questions through both pods, and return who will press them, once each card is noted."""
    ids = [f"{prefix}-{number}" for number in range(questions)]
    turns = asyncio.Semaphore(10)

    async def shown(number: int, id: str) -> tuple[str, Message]:
        async with turns:
            return id, await deployment.shown((deployment.a, deployment.b)[number % 2], id)

    cards = await asyncio.gather(*(shown(number, id) for number, id in enumerate(ids)))
    await deployment.row(ids[-1], lambda row: row.posted_at is not None)
    return Crowd(deployment, cards)
