"""An asker as the tests have it: a coroutine that asks, waits and returns."""

from __future__ import annotations

from datetime import timedelta

from pendingctl import Answer, NoAnswer, PendingStore, Question, ask


async def answer_to(store: PendingStore, question: Question, *, within: timedelta) -> Answer | NoAnswer:
    """Ask, wait, and take the answer."""
    async with ask(store, question, timeout=within) as answer:
        return answer
