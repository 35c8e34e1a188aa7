"""The sweep: rows a second against a plain statement, and whether its memory grows with the rows."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from datetime import timedelta

from pendingctl import PendingStore, open_pool
from pendingctl.payload import JsonObject

from .figures import Figure, Round, doing, in_turns, rate, ratio
from .memory import peak_memory
from .stage import PAYLOAD, STALE, Stage

_MAX_AGE = timedelta(hours=24)
_BATCH = 1_000
_EMPTY: JsonObject = {}

_WITH_ID_IN = """
    delete from pending_interactions
    where id in (
        select id
        from pending_interactions
        where created_at < now() - %(max_age)s::interval
        limit %(batch_size)s
    )
    returning id
"""


def measure_sweep(stage: Stage, *, rows: int, rounds: int) -> Iterator[Figure]:
    """Both take the same rows in batches of 1,000, ids returned. Raises RuntimeError when one leaves a row.

    On rows as the command line stores them, and on ones that hold nothing: how wide a row is decides which plan
    Postgres makes for the plain statement (looking up each id, or reading the table anew for each batch), and so
    does the figure.
    """
    for kind, payload in (("questions", PAYLOAD), ("empty payloads", _EMPTY)):
        doing(f"sweeping {rows:,} rows, {kind}")
        yield asyncio.run(_sweep(stage, kind, payload, rows, rounds))


async def _sweep(stage: Stage, kind: str, payload: JsonObject, rows: int, rounds: int) -> Figure:
    async with open_pool(stage.dsn, max_size=1) as pool, stage.bare() as bare:
        store = PendingStore(pool)

        async def with_store() -> None:
            async for _ in store.sweep(max_age=_MAX_AGE, limit=None, batch_size=_BATCH):
                pass

        async def with_id_in() -> None:
            asked = {"max_age": _MAX_AGE, "batch_size": _BATCH}
            while len(await (await bare.execute(_WITH_ID_IN, asked)).fetchall()) == _BATCH:
                pass

        async def refilled(sweep: Callable[[], Coroutine[object, object, None]]) -> float:
            await asyncio.to_thread(stage.fill, rows, STALE, payload)
            swept = await rate(rows, [sweep()])
            if left := await asyncio.to_thread(stage.count, "true"):
                raise RuntimeError(f"{left:,} stale rows were left")
            return swept

        contenders: dict[str, Round] = {
            "store": lambda: refilled(with_store),
            "id in": lambda: refilled(with_id_in),
        }
        measured = await in_turns(contenders, rounds, warm_up=False)
    name, against = f"sweep, batches of {_BATCH:,}, {kind}", "id in (select … limit n)"
    return ratio(name, "rows/s", against, measured["store"], measured["id in"], at_least=3.0)


def measure_memory(stage: Stage, *, few: int, many: int) -> Figure:
    """The highest memory of `pendingctl sweep --all`; flat is a tenth more at most, which pages and allocators take."""
    little, much = _peak(stage, few), _peak(stage, many)
    name = f"memory, sweep of {many:,} rows"
    return Figure(
        name, "MiB", much, f"sweep of {few:,} rows", little, "ratio", much / little, reach=1.1, wanted="at most"
    )


def _peak(stage: Stage, rows: int) -> float:
    doing(f"memory of a sweep of {rows:,} rows")
    stage.fill(rows, STALE)
    sweep = [sys.executable, "-m", "pendingctl", "sweep", "--all", "--yes"]
    peak = peak_memory(sweep, {**os.environ, "PENDINGCTL_DSN": stage.dsn})
    if left := stage.count("true"):
        raise RuntimeError(f"{left:,} stale rows were left")
    return peak
