"""The checker's own test: the product's streams pass, and each negative control is caught by its check."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from ..self_test import SelfTestResult, tested
from .controls import EXPECTED_STREAM_CHECKS
from .plan import StreamFaultKind, StreamRaceSettings, rounds_for
from .report import StreamRaceResult

# The faults without which a control would break no law.
_NEEDED: Mapping[str, tuple[StreamFaultKind, ...]] = {
    "notify-only": (StreamFaultKind.DROP_WAKE_UPS,),
    "turn-without-truncating-next": (StreamFaultKind.TURN,),
    "batch-waits": (StreamFaultKind.LOCK,),
    "xmin-cursor": (StreamFaultKind.LONG_TRANSACTION,),
    "no-clamp": (StreamFaultKind.CLOCK_BACK,),
}
# The product's own is raced with these.
FAULTS = (
    StreamFaultKind.KILL,
    StreamFaultKind.CUT_LISTEN,
    StreamFaultKind.TURN,
    StreamFaultKind.LOCK,
    StreamFaultKind.CLOCK_BACK,
)

RaceOnce = Callable[[StreamRaceSettings], Awaitable[StreamRaceResult]]


def races_of(settings: StreamRaceSettings, seeds: int) -> list[StreamRaceSettings]:
    """Return the races of a self-test: the product's own and each control, with the same seeds."""
    needed = {"correct": FAULTS, **{name: _NEEDED.get(name, ()) for name in EXPECTED_STREAM_CHECKS}}
    raced = [
        replace(settings, implementation=name, faults=faults, rounds=max(settings.rounds, rounds_for(faults)))
        for name, faults in needed.items()
    ]
    return [replace(each, seed=settings.seed + number) for each in raced for number in range(seeds)]


async def self_test(
    race: RaceOnce,
    settings: StreamRaceSettings,
    seeds: int,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> SelfTestResult:
    """Race the product's own and each control, with consecutive seeds from the settings' seed on.

    `race` runs one race; `on_progress` is called with the number of races of `races_of` that are done. Raises what
    `race` raises.
    """
    results: list[StreamRaceResult] = []
    for each in races_of(settings, seeds):
        results.append(await race(each))
        if on_progress is not None:
            on_progress(len(results))
    return tested(results, EXPECTED_STREAM_CHECKS, seeds)
