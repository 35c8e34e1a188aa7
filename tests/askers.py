"""An asker as the tests have it: a coroutine that asks, waits and returns."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pendingctl import Answer, NoAnswer, PendingStore, Question, ask


async def answer_to(store: PendingStore, question: Question, *, within: timedelta) -> Answer | NoAnswer:
    """Ask, wait, and take the answer."""
    async with ask(store, question, timeout=within) as answer:
        return answer


async def until_stored(store: PendingStore) -> None:
    """Wait until the asker, which may be a process of its own, has stored its question."""
    for _ in range(3_000):
        if await store.inspection.get("q") is not None:
            return
        await asyncio.sleep(0.01)
    raise TimeoutError
