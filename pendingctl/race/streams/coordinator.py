"""The middle of a race on streams: rounds in which pods write while others read, move on, and faults strike."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack

from ...postgres.connections import connect
from ..faults.locks import transaction
from ..history.files import FAULTS, HistoryFile
from ..pods.dispatcher import RaceBrokenOff
from ..rows import APPLICATION
from .controls import EXPECTED_STREAM_CHECKS
from .files import append_fault, write_snapshot
from .history import StruckFault
from .plan import (
    CLOSED,
    DELETED,
    ENDED_IN_ROUND,
    LASTING,
    REMADE,
    StreamFaultKind,
    StreamRaceSettings,
    schedule_stream_faults,
)
from .readers import PATIENCE_SECONDS
from .reading import all_arrives
from .rows import begin, is_open, take_snapshot
from .scene import Scene
from .strikes import events_at_a_time, strike
from .wire import Do

# Within this a reader that nobody wakes looks by itself.
POLLED_SECONDS = 1.5
# Long enough to see that what is appended meanwhile is read soon.
BESIDE_A_TRANSACTION_SECONDS = 3.5


async def race_in_rounds(scene: Scene, on_progress: Callable[[int], None] | None) -> list[str]:
    """Run all rounds, end all pods, and return why they prove nothing. Raises DatabaseFailed when a pod cannot start.

    `on_progress` is called with the number of rounds that are done.
    """
    settings, readers = scene.settings, scene.readers
    faults = HistoryFile(scene.directory / FAULTS)
    reasons: list[str] = []
    try:
        async with AsyncExitStack() as lasting:
            for kind in LASTING.intersection(settings.faults) - {StreamFaultKind.LONG_TRANSACTION}:
                append_fault(faults, StruckFault(kind, time.monotonic_ns(), time.monotonic_ns(), True))
            await scene.pods.start(*scene.pods.writers, *scene.pods.readers)
            await readers.read([(reader, place) for place, reader in enumerate([readers.absent, *readers.all])])
            if StreamFaultKind.LONG_TRANSACTION in settings.faults:
                append_fault(faults, await _beside_a_transaction(scene, lasting))
            for number, planned in enumerate(schedule_stream_faults(settings)):
                fault = await _round(scene, number, planned)
                if fault is not None:
                    append_fault(faults, fault)
                if on_progress is not None:
                    on_progress(number + 1)
            # Who has got nothing of it yet would be told nothing of its end.
            await readers.until_settled(scene.dsn, patience=POLLED_SECONDS)
            await scene.pods.carry_out(0, Do.DELETE, stream=_own(scene, DELETED))
            await readers.read([(readers.absent, 0)])
            await readers.until_settled(scene.dsn, patience=_patience(settings))
            async with await connect(scene.dsn, application=APPLICATION) as connection:
                write_snapshot(scene.directory, await take_snapshot(connection, scene.organizations))
    except RaceBrokenOff as broken:
        reasons.append(str(broken))
    finally:
        faults.close()
    return [*reasons, *await scene.pods.end()]


def _patience(settings: StreamRaceSettings) -> float:
    """Where something else is broken some may never get everything, and nobody waits for that."""
    law = EXPECTED_STREAM_CHECKS.get(settings.implementation, all_arrives.__name__)
    return PATIENCE_SECONDS if law == all_arrives.__name__ else POLLED_SECONDS


async def _beside_a_transaction(scene: Scene, lasting: AsyncExitStack) -> StruckFault:
    """Begin a transaction that stays open, and have all pods append for a while beside nothing else."""
    connection = await lasting.enter_async_context(await connect(scene.dsn, application=APPLICATION))
    await lasting.enter_async_context(transaction(connection))
    id = await begin(connection)
    started = time.monotonic_ns()
    await scene.pods.press(1)
    await asyncio.sleep(BESIDE_A_TRANSACTION_SECONDS)
    async with await connect(scene.dsn, application=APPLICATION) as other:
        detail = "" if await is_open(other, id) else "the transaction was over before anything was seen"
    ended = time.monotonic_ns()
    await scene.pods.ease()
    return StruckFault(StreamFaultKind.LONG_TRANSACTION, started, ended, not detail, detail)


async def _round(scene: Scene, number: int, kind: StreamFaultKind | None) -> StruckFault | None:
    """Let all pods that write append, while a fault strikes and then readers move."""
    pods, readers = scene.pods, scene.readers
    fault: StruckFault | None = None
    await readers.come_back()
    if kind is not None:
        await pods.press(events_at_a_time(kind))
    if kind is StreamFaultKind.CLOCK_BACK:
        # What this round takes shows what came of it.
        fault = await strike(scene, kind)
    orders = [(pod, pods.send(pod, Do.ROUND, round=number)) for pod in pods.writers]
    writing = asyncio.create_task(pods.finish(orders))
    try:
        if kind is not None:
            fault = fault or await strike(scene, kind)
            await pods.ease()
        if number == ENDED_IN_ROUND:
            await pods.carry_out(1, Do.CLOSE, stream=_own(scene, CLOSED))
            await pods.carry_out(1, Do.DELETE, stream=_own(scene, REMADE))
        await readers.move(readers.all[number % 3 :: 3])
        await writing
    finally:
        writing.cancel()
    await readers.come_back()
    if number == 0:
        await readers.stop([readers.absent])
    return fault


def _own(scene: Scene, name: str) -> str:
    return f"{scene.organizations[0]}/{name}"
