"""One pod of a race: a process with its own bridge and its own connections, `python -m pendingctl.race.pod`.

It does what it is told on stdin (see `wire`) and is gone soon after its stdin has ended.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial

from psycopg_pool import PoolTimeout

from ..bridge import Answer, InteractionBridge
from ..database import Pool, open_pool
from ..errors import DatabaseUnreachable, PendingctlError
from ..platforms import Card, MessageHandle
from . import wire
from .broken import store_for
from .history import HandOver, Operation
from .plan import PlannedClick, plan_questions
from .recording import Note, RecordingStore, noting
from .rows import APPLICATION

CONNECT_SECONDS = 20.0
# How long a click's claim may outlast the bridge's reply before it counts as unknown.
CLAIM_SECONDS = 20.0
# Whatever hangs, nothing of a pod is left this long after the coordinator has gone.
LAST_BREATH_SECONDS = 8.0


class SilentPlatform:
    """A chat platform that shows nothing to anybody."""

    async def post_card(self, connection_id: str, card: Card) -> MessageHandle:
        """Show nothing."""
        return (connection_id, card.question_id)

    async def post_text(self, connection_id: str, conversation_id: str, text: str) -> MessageHandle:
        """Show nothing."""
        return (connection_id, conversation_id, text)

    async def edit_card(self, connection_id: str, handle: MessageHandle, text: str) -> None:
        """Show nothing."""


async def serve(orders: wire.Orders, coordinator: asyncio.StreamReader) -> None:
    """Fire the clicks of each question that the coordinator names, until its lines end.

    Raises DatabaseUnreachable when the connections cannot be had in time.
    """
    share = _share(orders)
    async with open_pool(
        orders.dsn,
        application=APPLICATION,
        min_size=orders.connections,
        max_size=orders.connections,
        timeout=CONNECT_SECONDS,
    ) as pool:
        await _connected(pool, orders.connections)
        store = RecordingStore(store_for(orders.settings.implementation, pool))
        async with InteractionBridge(store, SilentPlatform(), partial(_record_answer, orders.name)) as bridge:
            for organization in (orders.names.organization_id, orders.names.foreign_organization_id):
                for connection in orders.names.connections:
                    bridge.register(organization, connection)
            _say(wire.READY + b"\n")
            async with asyncio.TaskGroup() as firing:
                while line := await coordinator.readline():
                    question = int(line)
                    firing.create_task(_fire(bridge, orders.name, question, share[question]))
                _die_in(LAST_BREATH_SECONDS)
    _say(wire.ENDED + b"\n")


def _share(orders: wire.Orders) -> Mapping[int, Sequence[PlannedClick]]:
    mine: defaultdict[int, list[PlannedClick]] = defaultdict(list)
    for question in plan_questions(orders.settings, orders.names):
        for planned in question.clicks:
            if planned.pod == orders.number:
                mine[question.number].append(planned)
    return mine


async def _connected(pool: Pool, connections: int) -> None:
    try:
        await pool.wait(CONNECT_SECONDS)
    except PoolTimeout as error:
        raise DatabaseUnreachable(
            f"{connections} connections could not be had within {CONNECT_SECONDS:g} s; "
            "raise the server's max_connections, or race with fewer pods or clicks"
        ) from error


async def _fire(bridge: InteractionBridge, pod: str, question: int, clicks: Sequence[PlannedClick]) -> None:
    operations = await asyncio.gather(*(_click(bridge, pod, planned) for planned in clicks))
    _say(wire.encode_done(wire.QuestionDone(question, tuple(operations))))


async def _click(bridge: InteractionBridge, pod: str, planned: PlannedClick) -> Operation:
    note = Note()
    noting.set(note)
    fired_ns = time.monotonic_ns()
    reply = await bridge.click(planned.click)
    if note.started_ns is not None and not note.ended.is_set():
        try:
            async with asyncio.timeout(CLAIM_SECONDS):
                await note.ended.wait()
        except TimeoutError:
            note.detail = f"the claim had not ended after {CLAIM_SECONDS:g} s"
    return Operation(
        pod=pod,
        number=planned.number,
        kind=planned.kind,
        click=planned.click,
        started_ns=note.started_ns or fired_ns,
        ended_ns=note.ended_ns,
        outcome=note.outcome,
        told=note.told,
        reply=reply.kind.value,
        detail=note.detail,
    )


async def _record_answer(pod: str, answer: Answer) -> None:
    _say(
        wire.encode_hand_over(
            HandOver(
                pod,
                answer.question_id,
                answer.ask_number,
                answer.value,
                answer.user_id,
                answer.conversation_id,
            )
        )
    )


def _say(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def _die_in(seconds: float) -> None:
    """End the process then, whatever hangs by then: the coordinator may be gone, and nobody else would."""
    watchdog = threading.Timer(seconds, os._exit, [1])
    watchdog.daemon = True
    watchdog.start()


async def _run() -> None:
    coordinator = asyncio.StreamReader(limit=wire.MAX_LINE_BYTES)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(coordinator), sys.stdin)
    orders = await coordinator.readline()
    if not orders:
        return
    try:
        await serve(wire.decode_orders(orders), coordinator)
    except PendingctlError as error:
        _say(b"%s %s\n" % (wire.CANNOT, str(error).encode()))


def main() -> None:
    """Run a pod until its stdin ends."""
    try:
        asyncio.run(_run())
    except* BrokenPipeError:
        # The coordinator is gone, and with it everybody who could be told anything.
        os._exit(1)


if __name__ == "__main__":
    main()
