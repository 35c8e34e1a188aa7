"""pendingctl simulate-race --streams"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from . import race_report, render
from .event_loop import run
from .options import Output
from .race_target import Target, faults_named, show_race, show_self_test, steps, target_of_race

if TYPE_CHECKING:
    from ..race.self_test import SelfTestResult
    from ..race.streams.plan import StreamRaceSettings
    from ..race.streams.report import StreamRaceResult

ROUNDS = 6
ROUNDS_OF_A_SELF_TEST = 4


@dataclass(frozen=True, slots=True)
class StreamRace:
    """What the command line says of a race on streams."""

    pods: int
    rounds: int | None
    appends: int
    seed: int
    faults: Sequence[str]
    implementation: str
    history: Path | None
    dsn: str | None


def simulate(race: StreamRace, *, seeds: int | None, output: Output, junit: Path | None) -> None:
    """Race on streams, with so many seeds each for the self-test, print what it showed, and set the exit code."""
    from ..race.streams.plan import StreamFaultKind, StreamRaceSettings, rounds_for

    faults = faults_named(StreamFaultKind, race.faults, of=" of streams")
    rounds = race.rounds or max(ROUNDS if seeds is None else ROUNDS_OF_A_SELF_TEST, rounds_for(faults))
    settings = StreamRaceSettings(race.pods, rounds, race.appends, race.seed, race.implementation, faults)
    is_pair = StreamFaultKind.FAILOVER in faults
    with target_of_race(race.dsn, is_pair=is_pair, is_synchronous=False) as target:
        if seeds is not None:
            show_self_test(run(_self_tested(target, settings, seeds)), output)
            return
        result = run(_raced(target, settings, race.history))
    show_race(result, race_report.stream_race_report(result), output, junit)


async def _raced(target: Target, settings: StreamRaceSettings, history: Path | None) -> StreamRaceResult:
    from ..race.streams.run import race_on_streams

    with render.progress("racing", settings.rounds) as advance:
        return await race_on_streams(
            target.dsn, settings, history=history, server=target.server, on_progress=steps(advance)
        )


async def _self_tested(target: Target, settings: StreamRaceSettings, seeds: int) -> SelfTestResult:
    from ..race.streams.run import race_on_streams
    from ..race.streams.self_test import races_of, self_test

    async def race_once(each: StreamRaceSettings) -> StreamRaceResult:
        return await race_on_streams(target.dsn, each, server=target.server)

    with render.progress("racing", len(races_of(settings, seeds))) as advance:
        return await self_test(race_once, settings, seeds, on_progress=steps(advance))
