"""One tenant in trouble: how quick are another tenant's clicks and answers meanwhile?"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import count
from time import perf_counter

import psycopg

from pendingctl import (
    Answer,
    Click,
    InteractionBridge,
    LeasedAnswer,
    PendingStore,
    PostgresSink,
    Question,
    Scope,
    open_pool,
)
from pendingctl.payload import JsonValue
from pendingctl.sinks import AnswerHandler, AnswerSink, Marks

from .deliveries import SilentPlatform
from .figures import Figure, doing, in_turns, ratio
from .stage import SCOPE, YOUNG, Stage

TROUBLED = replace(SCOPE, organization_id="troubled")
_LEASE = timedelta(seconds=10)
_PRESSES = 10
# Until the trouble is there.
_SETTLING_SECONDS = 0.5
_DUE = 500

_DUE_ANSWERS = """
    insert into pending_interactions
        (id, organization_id, connection_id, expected_user_id, entry_payload, claimed_at, answer, delivery_due_at)
    select %(name)s || n, %(organization_id)s, %(connection_id)s, %(expected_user_id)s, %(payload)s::jsonb, now(),
           'yes', now()
    from generate_series(1, %(rows)s) as n
"""
_SINK = """
    insert into approval (tenant, question) values (%(organization_id)s, %(question_id)s)
    on conflict (tenant) do update set question = excluded.question
"""

Trouble = Callable[["_Pod"], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Pod:
    """A pod under measurement, and a connection beside it that makes the trouble."""

    bridge: InteractionBridge
    store: PendingStore
    beside: psycopg.AsyncConnection
    delivered: asyncio.Queue[str]
    numbers: Iterator[int]

    async def cycle(self) -> None:
        """Put a question, click, and wait for the delivery of the other tenant's answer."""
        id = f"calm-{next(self.numbers)}"
        await self.store.put(id, SCOPE, Question(id, SCOPE, "Deploy?", ("yes", "no")).payload())
        await self.bridge.click(press(id, SCOPE, id))
        while await self.delivered.get() != id:
            pass


def press(id: str, scope: Scope, key: str) -> Click:
    """Return a click of the question's own user."""
    return Click(
        question_id=id,
        organization_id=scope.organization_id,
        connection_id=scope.connection_id,
        user_id=scope.expected_user_id,
        delivery_key=key,
        value="yes",
    )


def measure_troubles(stage: Stage, *, cycles: int, rounds: int) -> Iterator[Figure]:
    """Click and delivery of one tenant, while another one is in each of these troubles, against while it is not."""
    troubles: dict[str, tuple[Trouble, bool]] = {
        "a locked row and ten presses on it": (_press_a_locked_row, False),
        "a locked row of the application's table": (_answer_into_a_locked_row, True),
        "a worker that hangs": (_answer_to_a_hanging_worker, False),
        f"{_DUE} due answers": (_leave_due_answers, False),
        "rows that cannot be read": (_leave_poisoned_rows, False),
    }
    for name, (trouble, into_postgres) in troubles.items():
        doing(f"another tenant's trouble: {name}")
        yield asyncio.run(_against_calm(stage, name, trouble, cycles, rounds, into_postgres=into_postgres))


async def _against_calm(
    stage: Stage, name: str, trouble: Trouble, cycles: int, rounds: int, *, into_postgres: bool
) -> Figure:
    async def calm() -> float:
        return await _rate(stage, None, cycles, into_postgres=into_postgres)

    async def troubled() -> float:
        return await _rate(stage, trouble, cycles, into_postgres=into_postgres)

    measured = await in_turns({"troubled": troubled, "calm": calm}, rounds)
    return ratio(
        f"click, delivered, beside {name}",
        "cycles/s",
        "without it",
        measured["troubled"],
        measured["calm"],
        at_least=0.8,
    )


async def _rate(stage: Stage, trouble: Trouble | None, cycles: int, *, into_postgres: bool) -> float:
    stage.fill(1_000, YOUNG)
    async with _pod(stage, into_postgres=into_postgres) as pod:
        making = None if trouble is None else asyncio.ensure_future(trouble(pod))
        await asyncio.sleep(_SETTLING_SECONDS)
        started = perf_counter()
        for _ in range(cycles):
            await pod.cycle()
        seconds = perf_counter() - started
        if making is not None:
            making.cancel()
            await asyncio.gather(making, return_exceptions=True)
        await pod.beside.rollback()
    return cycles / seconds


@asynccontextmanager
async def _pod(stage: Stage, *, into_postgres: bool) -> AsyncIterator[_Pod]:
    delivered = asyncio.Queue[str]()
    numbers = count()

    async def handle(answer: Answer) -> None:
        if answer.organization_id == TROUBLED.organization_id and answer.question_id.startswith("hang"):
            await asyncio.Event().wait()
        elif answer.organization_id == TROUBLED.organization_id:
            await asyncio.sleep(0.05)
        await delivered.put(answer.question_id)

    sink: AnswerSink | AnswerHandler = _Noting(delivered) if into_postgres else handle
    async with await psycopg.AsyncConnection.connect(stage.dsn) as beside, open_pool(stage.dsn) as pool:
        await beside.execute("create table if not exists approval (tenant text primary key, question text)")
        await beside.execute("insert into organization values (%s) on conflict do nothing", (TROUBLED.organization_id,))
        await beside.commit()
        store = PendingStore(pool)
        bridge = InteractionBridge(store, SilentPlatform(), sink, lease=_LEASE)
        async with bridge:
            for scope in (SCOPE, TROUBLED):
                bridge.register(scope.organization_id, scope.connection_id)
            try:
                yield _Pod(bridge, store, beside, delivered, numbers)
            finally:
                await bridge.close(within=timedelta(seconds=0.1))


class _Noting:
    """Delivers into a table of the application's, and reports which answers were delivered."""

    def __init__(self, delivered: asyncio.Queue[str]) -> None:
        self._delivered = delivered
        self._sink = PostgresSink(_SINK)

    async def deliver(self, leased: LeasedAnswer, marks: Marks) -> bool:
        """Deliver, then report."""
        marked = await self._sink.deliver(leased, marks)
        await self._delivered.put(leased.answer.question_id)
        return marked


async def _ask_troubled(pod: _Pod, name: str) -> list[str]:
    ids = [f"{name}-{next(pod.numbers)}" for _ in range(_PRESSES)]
    for id in ids:
        await pod.store.put(id, TROUBLED, Question(id, TROUBLED, "Deploy?", ("yes", "no")).payload())
    return ids


async def _press_a_locked_row(pod: _Pod) -> None:
    locked, *_ = await _ask_troubled(pod, "locked")
    await pod.beside.execute("select from pending_interactions where id = %s for update", (locked,))
    while True:
        presses = (pod.bridge.click(press(locked, TROUBLED, f"{locked}-{n}")) for n in range(_PRESSES))
        await asyncio.gather(*presses)


async def _answer_into_a_locked_row(pod: _Pod) -> None:
    await pod.beside.execute(
        "insert into approval values (%s, '') on conflict (tenant) do update set question = ''",
        (TROUBLED.organization_id,),
    )
    await _answer_all(pod, await _ask_troubled(pod, "blocked"))


async def _answer_to_a_hanging_worker(pod: _Pod) -> None:
    for _ in range(3):
        await _answer_all(pod, await _ask_troubled(pod, "hang"))


async def _leave_due_answers(pod: _Pod) -> None:
    await _insert_due(pod, Question("", TROUBLED, "Deploy?", ("yes", "no")).payload(), _DUE)


async def _leave_poisoned_rows(pod: _Pod) -> None:
    await _insert_due(pod, [1e308, "no object"], _PRESSES)


async def _answer_all(pod: _Pod, ids: list[str]) -> None:
    await asyncio.gather(*(pod.bridge.click(press(id, TROUBLED, id)) for id in ids))


async def _insert_due(pod: _Pod, payload: JsonValue, rows: int) -> None:
    parameters = {
        "name": f"due-{next(pod.numbers)}-",
        "organization_id": TROUBLED.organization_id,
        "connection_id": TROUBLED.connection_id,
        "expected_user_id": TROUBLED.expected_user_id,
        "payload": json.dumps(payload),
        "rows": rows,
    }
    await pod.beside.execute(_DUE_ANSWERS, parameters)
    await pod.beside.commit()
