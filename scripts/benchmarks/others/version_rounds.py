"""Rounds of one version of pendingctl: whichever one this interpreter finds first.

Run by `versions.py`: it reads where, and then for each line what to do and how often, and prints how many a second that
were. It uses what every version since the first bridge has.
"""

import asyncio
import sys
from collections import deque
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from time import perf_counter

import psycopg

from pendingctl import Answer, Click, InteractionBridge, PendingStore, Question, Scope, open_pool
from pendingctl.schema import migrations

SCOPE = Scope("bench", "slack", "U1")
# A claim waits for nothing else: as many connections as clicks at a time, at most.
AT_ONCE = 8
LEASE = timedelta(seconds=30)


class SilentPlatform:
    """Shows nothing, and knows the card that it has last posted."""

    ask_number = None

    async def post_card(self, connection_id, card):
        self.ask_number = card.ask_number
        return {"channel": connection_id, "ts": card.question_id}

    async def edit_card(self, *_):
        """Show nothing."""

    post_text = post_reminder = edit_card


def click_on(id: str, ask_number: int | None = None) -> Click:
    return Click(
        question_id=id,
        organization_id="bench",
        connection_id="slack",
        user_id="U1",
        delivery_key=f"press-{id}",
        value="yes",
        ask_number=ask_number,
    )


def question(id: str) -> Question:
    return Question(id, SCOPE, "Deploy to production?", ("yes", "no"), "C0123456789")


async def claims(store: PendingStore, ids: Iterator[str], times: int, at_once: int) -> float:
    """Store questions, and return how many of them are claimed a second, with their answers."""
    waiting = deque(next(ids) for _ in range(times))
    await store.put_many((id, SCOPE, question(id).payload()) for id in waiting)

    async def claim() -> None:
        while waiting:
            await store.claim(click_on(waiting.popleft()), lease=LEASE)

    started = perf_counter()
    await asyncio.gather(*(claim() for _ in range(at_once)))
    return times / (perf_counter() - started)


async def cycles(store: PendingStore, ids: Iterator[str], times: int) -> float:
    """Return how many questions a second are asked, answered and delivered, one after the other."""
    answered = asyncio.Queue[Answer]()
    platform = SilentPlatform()
    async with InteractionBridge(store, platform, answered.put) as bridge:
        bridge.register("bench", "slack")
        started = perf_counter()
        for id in (next(ids) for _ in range(times)):
            await bridge.ask(question(id), event_id=id)
            await bridge.click(click_on(id, platform.ask_number))
            await answered.get()
        return times / (perf_counter() - started)


async def main() -> None:
    dsn = sys.stdin.readline().strip()
    migrations.apply(dsn)
    ids = (f"q-{number}" for number in count())
    async with open_pool(dsn, max_size=AT_ONCE) as pool, open_pool(dsn, max_size=4) as small_pool:
        store = PendingStore(pool)
        await store.create_organization("bench")
        print("ready", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            what, times, at_once = line.split()
            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("vacuum analyze pending_interactions")
            if what == "cycles":
                print(await cycles(PendingStore(small_pool), ids, int(times)), flush=True)
            else:
                print(await claims(store, ids, int(times), int(at_once)), flush=True)


asyncio.run(main())
