"""What the person on call reads, on a small table and on a big one, and how much memory that takes."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from statistics import median
from time import perf_counter

import psycopg

from pendingctl import PendingStore, open_pool

from .figures import Figure, doing
from .memory import peak_memory
from .stage import FIRST_ID, SCOPE, YOUNG, Stage

_MIB = 100
_USER = SCOPE.expected_user_id
# Of a thousand questions one is open; each other one was answered a minute after it was asked, and delivered.
_END = """
    update pending_interactions
    set claimed_at = created_at + interval '1 minute', delivered_at = created_at + interval '1 minute', answer = 'yes',
        answered_by = expected_user_id
    where id::bigint % 1000 <> 0
"""
_TRAIL = """
    insert into pending_trail (at, question_id, ask_number, organization_id, connection_id, step, user_id, pod)
    select created_at + step.after, id, ask_number, organization_id, connection_id, step.name, expected_user_id, 'pod-1'
    from pending_interactions
    cross join (values ('asked', interval '0'), ('posted', '1 s'), ('answered', '1 min'), ('delivered', '1 min'))
         as step (name, after)
    where step.name in ('asked', 'posted') or claimed_at is not null
    order by created_at + step.after
"""

# As they are typed, on the big table.
COMMANDS: Mapping[str, list[str]] = {
    "list": ["list"],
    "show": ["show", str(FIRST_ID)],
    "why": ["why", str(FIRST_ID)],
    "why --user": ["why", "--user", _USER, "--since", "1d"],
    "stats": ["stats"],
    "stats --by user": ["stats", "--by", "user"],
    "doctor": ["doctor"],
}


def measure_inspection(stage: Stage, *, few: int, many: int, rounds: int) -> list[Figure]:
    """What each of them reads, so many times on either table: a big one ought to cost as much as a small one.

    And how much memory each command takes on the big one.
    """
    little = asyncio.run(_measured(stage, few, rounds))
    much = asyncio.run(_measured(stage, many, rounds))
    return [
        *(
            Figure(
                *(f"{name}, reads of {many:,} rows", "ms", took, f"{few:,} rows", little[name]),
                *("ratio", took / little[name], 2.0, "at most"),
            )
            for name, took in much.items()
        ),
        *(_memory(stage, name, arguments) for name, arguments in COMMANDS.items()),
    ]


async def _measured(stage: Stage, rows: int, rounds: int) -> dict[str, float]:
    doing(f"what the person on call reads of {rows:,} rows")
    await asyncio.to_thread(fill_with_trail, stage, rows)
    async with open_pool(stage.dsn, max_size=1) as pool:
        store = PendingStore(pool)
        id = str(FIRST_ID + rows // 2)
        reads: Mapping[str, Callable[[], Awaitable[object]]] = {
            "list": store.inspection.find,
            "why": lambda: store.inspection.history(id),
            "why --user": lambda: store.inspection.user_history(_USER, since=timedelta(days=1)),
            "stats": store.statistics.overview,
        }
        return {name: median([await _milliseconds(read) for _ in range(rounds)]) for name, read in reads.items()}


async def _milliseconds(read: Callable[[], Awaitable[object]]) -> float:
    began = perf_counter()
    await read()
    return (perf_counter() - began) * 1_000


def fill_with_trail(stage: Stage, rows: int) -> None:
    """Make the tables hold so many questions of the last hour, most of them answered, and what happened to them."""
    stage.fill(rows, YOUNG)
    with psycopg.connect(stage.dsn, autocommit=True) as connection:
        connection.execute(_END)
        connection.execute("truncate pending_trail restart identity")
        connection.execute(_TRAIL)
        connection.execute("vacuum analyze pending_interactions, pending_trail")


def _memory(stage: Stage, name: str, arguments: list[str]) -> Figure:
    command = [sys.executable, "-m", "pendingctl", *arguments]
    peak = peak_memory(command, {**os.environ, "PENDINGCTL_DSN": stage.dsn})
    return Figure(f"memory, {name}", "MiB", peak, "nothing", None, "difference", peak, _MIB, "at most")
