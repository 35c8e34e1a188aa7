"""Answers, workers and time, as the tests of delivery arrange them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import psycopg

from pendingctl import Answer, Claim, LeasedAnswer, PendingStore, State
from pendingctl.leased import Unreadable
from pendingctl.model import answer_of
from pendingctl.pod.delivery import MOST_ATTEMPTS
from pendingctl.sinks import AnswerHandler
from tests.questions import PAYLOAD, SCOPE, click

LEASE = timedelta(seconds=30)
SHORT = timedelta(seconds=1)


class Worker:
    """Takes answers; `behaviour` is what it does first."""

    def __init__(self, behaviour: AnswerHandler | None = None) -> None:
        self.answers: list[Answer] = []
        self.behaviour = behaviour

    async def __call__(self, answer: Answer) -> None:
        if self.behaviour is not None:
            await self.behaviour(answer)
        self.answers.append(answer)

    @property
    def ids(self) -> list[str]:
        return sorted(answer.question_id for answer in self.answers)


async def claimed(
    store: PendingStore, id: str = "q", *, lease: timedelta | None = LEASE, value: str = "yes"
) -> LeasedAnswer:
    """An answer in the hands of the pod that has just claimed it."""
    await store.put(id, SCOPE, PAYLOAD)
    pressed = click(id, value=value)
    claim = await store.claim(pressed, lease=lease)
    assert isinstance(claim, Claim)
    assert claim.lease_token is not None
    return LeasedAnswer(
        answer=answer_of(pressed, claim), token=claim.lease_token, attempt=1, leased_at=claim.claimed_at
    )


async def lease(store: PendingStore, limit: int = 10) -> list[LeasedAnswer]:
    """What another pod takes over."""
    return readable(await store.leases.lease(lease=LEASE, limit=limit, most_attempts=MOST_ATTEMPTS))


def readable(leased: list[LeasedAnswer | Unreadable]) -> list[LeasedAnswer]:
    """The answers, all of which can be read."""
    answers = [each for each in leased if isinstance(each, LeasedAnswer)]
    assert len(answers) == len(leased)
    return answers


def run_out(connection: psycopg.Connection) -> None:
    """Let every lease run out, and every delay pass."""
    connection.execute("update pending_interactions set delivery_due_at = now() where isfinite(delivery_due_at)")


async def state_of(store: PendingStore, id: str = "q") -> State:
    row = await store.inspection.get(id)
    assert row is not None
    return row.state


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    for _ in range(int(seconds * 100)):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


async def until_state(store: PendingStore, state: State, id: str = "q") -> None:
    for _ in range(500):
        if await state_of(store, id) is state:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError


async def until_error(store: PendingStore) -> None:
    for _ in range(500):
        row = await store.inspection.get("q")
        if row is not None and row.delivery_error is not None:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError
