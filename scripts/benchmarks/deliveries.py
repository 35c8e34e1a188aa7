"""Answers: how many cycles of ask, click and delivery a second, and how fast what dead pods left is delivered."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from statistics import median
from time import perf_counter, sleep

import psycopg

from pendingctl import Answer, Click, InteractionBridge, PendingStore, Question, open_pool
from pendingctl.platforms import Card, MessageHandle, Reminder

from .contenders import Contender, contenders
from .figures import Figure, Round, doing, in_turns, ratio
from .stage import SCOPE, YOUNG, Stage

_ROWS_BESIDE = 10_000
_PODS = 2
_LONGEST_SECONDS = 120.0

# As pods leave them that died right after the claim, their leases run out.
_CLAIM_ALL = """
    update pending_interactions
    set claimed_at = now(), answer = 'yes', answered_by = expected_user_id, delivery_key = 'press-' || id,
        pod = 'dead', delivery_due_at = now(), lease_token = gen_random_uuid(), delivery_attempts = 1
"""


class SilentPlatform:
    """Shows nothing, knows the card that it has last posted, and has a reference of each as a platform would."""

    ask_number: int | None = None

    async def post_card(self, connection_id: str, card: Card) -> MessageHandle:
        self.ask_number = card.ask_number
        return {"channel": connection_id, "ts": card.question_id}

    async def edit_card(self, connection_id: str, handle: MessageHandle, card: Card) -> None:
        """Show nothing."""

    async def post_reminder(self, connection_id: str, handle: MessageHandle, reminder: Reminder) -> None:
        """Show nothing."""


def measure_cycles(stage: Stage, *, cycles: int, rounds: int, alone: bool) -> Iterator[Figure]:
    """Ask, click, and the answer is with an in-process sink; one cycle after the other.

    LangGraph interrupts a graph and resumes it, with its Postgres checkpointer; a workflow of DBOS receives what is
    sent to it. Both have databases of their own on the same server, and a Python environment of the bench's own, which
    is made unless pendingctl is to run `alone`.
    """
    doing("cycles of ask, click and delivery")
    # Nothing undelivered of before, and rows as autovacuum knows them: a plan that is made and kept for an empty table
    # reads all of it for each statement, until the next analyze.
    stage.fill(_ROWS_BESIDE, YOUNG)
    with ExitStack() as ending:
        others = [] if alone else ending.enter_context(contenders(stage, cycles))
        yield from asyncio.run(_cycles(stage, others, cycles, rounds))


async def _cycles(stage: Stage, others: list[Contender], cycles: int, rounds: int) -> list[Figure]:
    answered = asyncio.Queue[Answer]()
    numbers = count()
    platform = SilentPlatform()

    async with open_pool(stage.dsn, max_size=4) as pool:
        store = PendingStore(pool)
        async with InteractionBridge(store, platform, answered.put) as bridge:
            bridge.register(SCOPE.organization_id, SCOPE.connection_id)

            async def ours() -> float:
                started = perf_counter()
                for _ in range(cycles):
                    id = f"cycle-{next(numbers)}"
                    await bridge.ask(Question(id, SCOPE, "Deploy?", ("yes", "no"), "C1"), event_id=id)
                    click = Click(
                        question_id=id,
                        organization_id=SCOPE.organization_id,
                        connection_id=SCOPE.connection_id,
                        user_id=SCOPE.expected_user_id,
                        delivery_key=id,
                        value="yes",
                        ask_number=platform.ask_number,
                    )
                    await bridge.click(click)
                    answer = await answered.get()
                    if answer.question_id != id:
                        raise RuntimeError(f"{answer.question_id} was delivered rather than {id}")
                return cycles / (perf_counter() - started)

            turns: dict[str, Round] = {"ours": ours}
            turns |= {each.name: each.run for each in others}
            measured = await in_turns(turns, rounds)

    name, unit, rates = "ask, click, delivered", "cycles/s", measured["ours"]
    if not others:
        return [Figure(name, unit, median(rates), "nothing: the others were not run", None, "ratio", None)]
    return [ratio(name, unit, each.name, rates, measured[each.name], at_least=each.reach) for each in others]


def measure_backlog(stage: Stage, *, answers: int) -> Figure:
    """So many answers of dead pods, delivered by two pods, each a process of its own."""
    doing(f"{answers:,} answers that dead pods have left")
    stage.fill(answers, YOUNG)
    with psycopg.connect(stage.dsn, autocommit=True) as connection, ExitStack() as ending:
        pods = [_pod(stage, ending) for _ in range(_PODS)]
        connection.execute(_CLAIM_ALL)
        connection.execute("vacuum analyze pending_interactions")
        started = perf_counter()
        for pod in pods:
            assert pod.stdin is not None
            pod.stdin.write("go\n")
            pod.stdin.flush()
        while stage.count("delivery_due_at is not null"):
            if perf_counter() - started > _LONGEST_SECONDS:
                raise RuntimeError(f"not all answers were delivered within {_LONGEST_SECONDS:g} s")
            sleep(0.02)
        seconds = perf_counter() - started
        delivered = sum(int(pod.communicate("")[0]) for pod in pods)
    if delivered < answers:
        raise RuntimeError(f"{delivered:,} of {answers:,} answers were handed over")
    return Figure(
        f"{answers:,} answers of dead pods, {_PODS} pods",
        "answers/s",
        answers / seconds,
        "1 answer/s",
        1.0,
        "ratio",
        answers / seconds,
        reach=1_500.0,
    )


def _pod(stage: Stage, ending: ExitStack) -> subprocess.Popen[str]:
    """A pod that is connected and waits for the word to begin; it prints how many answers it was given."""
    pod = subprocess.Popen([sys.executable, "-c", _POD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ending.callback(pod.kill)
    assert pod.stdin is not None
    assert pod.stdout is not None
    # Through the pipe: a connection string may hold a password.
    pod.stdin.write(f"{stage.dsn}\n")
    pod.stdin.flush()
    if pod.stdout.readline() != "ready\n":
        raise RuntimeError("a pod did not start")
    return pod


_POD = """
import asyncio, sys
from pendingctl import Delivery, PendingStore, open_pool

async def main():
    handed = 0

    async def hand_over(answer):
        nonlocal handed
        handed += 1

    async with open_pool(sys.stdin.readline().strip(), min_size=10, max_size=10) as pool:
        await pool.wait()
        print("ready", flush=True)
        sys.stdin.readline()
        async with Delivery(PendingStore(pool), hand_over):
            await asyncio.to_thread(sys.stdin.read)
    print(handed)

asyncio.run(main())
"""
