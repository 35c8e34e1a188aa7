"""Claims, and put + claim pairs, a second: the store against the same statements without it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import count
from pathlib import Path
from statistics import median
from typing import LiteralString, TypeVar

from pendingctl import Click, PendingStore, open_pool
from pendingctl.payload import encode_payload
from pendingctl.pod.delivery import LEASE
from pendingctl.postgres.connections import Connection
from pendingctl.postgres.time_limits import Purpose
from pendingctl.store import put_statements, statements
from pendingctl.store.claims import claim_parameters

from .figures import Figure, Round, doing, in_turns, rate, ratio
from .pgbench import run_pgbench, with_variables
from .stage import ASKED, FIRST_ID, PAYLOAD, SCOPE, YOUNG, Stage, patient

T = TypeVar("T")

_MOST_A_ROUND = 2_000

# Law 1 and nothing else: no answer, no options, no delivery, and nothing for who lost.
_PLAIN_CLAIM = """
    update pending_interactions
    set claimed_at = now()
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(expected_user_id)s
      and claimed_at is null
    returning entry_payload
"""
_CONNECTIONS = (1, 8)
# Of a pool that can be shared a store leaves two connections to the pod's loop and to sinks.
_LEFT_TO_THE_LOOP = 2
# What a put of no application and without a request key sends along.
_ASKED_BY_NOBODY = {
    "application": "",
    "pod": "pod-1",
    "request_key": None,
    "awaited_by": None,
    "awaited_for": None,
    "posting": None,
    "expires_in": None,
    "default": None,
    "show": False,
    "stream": None,
    "remind_every": None,
    "reminders_left": None,
    "escalate_after": None,
    "escalate_to": None,
    "lock_timeout": "5s",
}


def measure_claims(stage: Stage, *, rows: int, rounds: int) -> Iterator[Figure]:
    """One after the other on one connection, then eight at a time on eight.

    Every contender has as many rows of its own as the others, the warm-up's included. Raises RuntimeError when a
    row was not claimed exactly as often as it was to be: what was measured would be something else.
    """
    contenders = 4 if stage.pgbench is None else 5
    turns = len(_CONNECTIONS) * contenders * (rounds + 1)
    size = max(8, min(_MOST_A_ROUND, rows // turns) // 8 * 8)
    stage.fill(max(rows, turns * size), YOUNG)
    slices = (range(first, first + size) for first in count(FIRST_ID, size))
    for connections in _CONNECTIONS:
        doing(f"claims, {connections} at a time")
        with patient(Purpose.CLAIM):
            figures = asyncio.run(_claims_on(connections, stage, slices, size, rounds))
        yield from figures
    claimed = stage.count("claimed_at is not null")
    if claimed != turns * size:
        raise RuntimeError(f"{claimed:,} rows were claimed rather than {turns * size:,}")


async def _claims_on(
    connections: int, stage: Stage, slices: Iterator[range], size: int, rounds: int
) -> tuple[Figure, Figure, Figure]:
    async with AsyncExitStack() as opened:
        size_of_pool = connections if connections == 1 else connections + _LEFT_TO_THE_LOOP
        pool = open_pool(stage.dsn, min_size=size_of_pool, max_size=size_of_pool)
        store = PendingStore(await opened.enter_async_context(pool))
        bare = [await opened.enter_async_context(stage.bare()) for _ in range(connections)]

        # What is handed in is made before the clock starts.
        def asked(of: Callable[[int], T]) -> Iterator[T]:
            return iter([of(id) for id in next(slices)])

        async def click(clicks: Iterator[Click], lease: timedelta | None = None) -> None:
            for each in clicks:
                await store.claim(each, lease=lease)

        async def execute(
            connection: Connection, statement: LiteralString, parameters: Iterator[Mapping[str, object]]
        ) -> None:
            for each in parameters:
                await (await connection.execute(statement, each)).fetchone()

        async def by_store() -> float:
            clicks = asked(_click_on)
            return await rate(size, [click(clicks) for _ in bare])

        async def by_psycopg() -> float:
            parameters = asked(_claim_of)
            return await rate(size, [execute(each, statements.CLAIM, parameters) for each in bare])

        async def with_the_answer() -> float:
            clicks = asked(_click_on)
            return await rate(size, [click(clicks, LEASE) for _ in bare])

        async def plainly() -> float:
            parameters = asked(_plain_claim_of)
            return await rate(size, [execute(each, _PLAIN_CLAIM, parameters) for each in bare])

        contenders: dict[str, Round] = {
            "store": by_store,
            "psycopg": by_psycopg,
            "with the answer": with_the_answer,
            "plain": plainly,
        }
        if stage.pgbench is not None:
            run = pgbench(stage.pgbench, stage.dsn, connections, size)
            contenders["pgbench"] = lambda: asyncio.to_thread(run, next(slices).start)
        measured = await in_turns(contenders, rounds)

    name, unit, ours = f"claim, {connections} at a time", "claims/s", measured["store"]
    return (
        ratio(name, unit, "bare async psycopg", ours, measured["psycopg"], at_least=0.85),
        ratio(
            f"claim with answer, {connections} at a time",
            unit,
            "bare async psycopg, the plain claim",
            measured["with the answer"],
            measured["plain"],
            at_least=0.8,
        ),
        ratio(name, unit, "pgbench -M prepared", ours, measured["pgbench"])
        if "pgbench" in measured
        else Figure(name, unit, median(ours), "pgbench (missing on this machine)", None, "ratio", None),
    )


def measure_pairs(stage: Stage, *, rows: int, rounds: int, pairs: int) -> Figure:
    """A question put and then claimed, one after the other on one connection, beside the rows that are there."""
    doing("put + claim")
    stage.fill(rows, YOUNG)
    with patient(Purpose.CLAIM, Purpose.PUT):
        return asyncio.run(_pairs(stage, FIRST_ID + rows, rounds, pairs))


async def _pairs(stage: Stage, first: int, rounds: int, pairs: int) -> Figure:
    slices = (range(start, start + pairs) for start in count(first, pairs))
    async with open_pool(stage.dsn, max_size=1) as pool, stage.bare() as bare:
        store = PendingStore(pool)

        async def with_store() -> None:
            for id in next(slices):
                await store.put(str(id), SCOPE, PAYLOAD)
                await store.claim(_click_on(id))

        async def with_psycopg() -> None:
            for id in next(slices):
                row = {**_ASKED_BY_NOBODY, **ASKED, "id": str(id), "payload": encode_payload(PAYLOAD)}
                await (await bare.execute(put_statements.INSERT, row)).fetchone()
                await (await bare.execute(statements.CLAIM, _claim_of(id))).fetchone()

        contenders: dict[str, Round] = {
            "store": lambda: rate(pairs, [with_store()]),
            "psycopg": lambda: rate(pairs, [with_psycopg()]),
        }
        measured = await in_turns(contenders, rounds)
    return ratio(
        "put + claim, one after the other", "pairs/s", "bare async psycopg", measured["store"], measured["psycopg"]
    )


def _click_on(id: int) -> Click:
    return Click(
        question_id=str(id),
        organization_id=SCOPE.organization_id,
        connection_id=SCOPE.connection_id,
        user_id=SCOPE.expected_user_id,
        delivery_key=f"press-{id}",
        value="yes",
    )


def _claim_of(id: int) -> dict[str, object]:
    return claim_parameters(_click_on(id), None, pod="pod-1")


def _plain_claim_of(id: int) -> dict[str, object]:
    return {**ASKED, "id": str(id)}


def pgbench(program: Path, dsn: str, connections: int, size: int) -> Callable[[int], float]:
    """Return what claims so many rows from an id on with pgbench, each once, and returns its rate."""
    # pgbench has no null to send.
    with_nulls = re.sub(r"%\((ask_number|lease|lease_token|option|pod|reason)\)s", "null", statements.CLAIM)
    script = f"""
        \\set turn :turn + 1
        \\set id :first + :turn * :clients + :client_id
        {with_variables(with_nulls.replace("%(application)s", "''"))};
    """
    variables = {
        **ASKED,
        "user_id": SCOPE.expected_user_id,
        "answered_by": SCOPE.expected_user_id,
        "answer": "yes",
        "delivery_key": "press",
        "lock_timeout": "1s",
        "turn": -1,
        "clients": connections,
    }

    def run(first: int) -> float:
        return run_pgbench(
            *(program, dsn, script),
            connections=connections,
            transactions=size // connections,
            variables={**variables, "first": first},
        )

    return run
