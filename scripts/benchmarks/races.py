"""simulate-race: how fast its pods click, and how fast and how frugally its checker judges."""

from __future__ import annotations

import asyncio
import os
import sys
from itertools import count
from time import perf_counter

from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.pods.supervisor import CONNECTIONS_OF_A_POD
from pendingctl.race.run import simulate_race
from pendingctl.race.verdict.checker import judge

from .claims import pgbench
from .figures import Figure, Round, doing, in_turns, ratio
from .made_up import made_up_history
from .memory import peak_memory
from .stage import FIRST_ID, YOUNG, Stage

_PODS = 4
_CLICKS = 8
_CHECK_SECONDS = 10.0

_CHECK = """
import sys
from benchmarks.made_up import made_up_history
from pendingctl.race.verdict.checker import judge
judge(made_up_history(questions=int(sys.argv[1]), clicks=int(sys.argv[2])))
"""


def measure_races(stage: Stage, *, questions: int, rounds: int) -> Figure:
    """Attempts a second of a whole race, its history written, against pgbench with as many connections.

    An attempt that loses is two statements, and pgbench runs one.
    """
    doing("races")
    connections = _PODS * CONNECTIONS_OF_A_POD
    attempts = questions * _CLICKS // connections * connections
    stage.fill((rounds + 1) * attempts, YOUNG)
    seeds = count()

    async def by_pods() -> float:
        settings = RaceSettings(_PODS, questions, _CLICKS, next(seeds))
        result = await simulate_race(stage.dsn, settings)
        if result.verdict != "pass":
            raise RuntimeError(f"a race on the correct store: {result.verdict} {result.reasons} {result.violations}")
        return result.attempts_per_second

    contenders: dict[str, Round] = {"pods": by_pods}
    if stage.pgbench is not None:
        run = pgbench(stage.pgbench, stage.dsn, connections, attempts)
        firsts = (FIRST_ID + turn * attempts for turn in count())
        contenders["pgbench"] = lambda: asyncio.to_thread(run, next(firsts))
    measured = asyncio.run(in_turns(contenders, rounds))
    name = f"simulate-race, {_PODS} pods, {connections} connections"
    if "pgbench" not in measured:
        return Figure(name, "attempts/s", measured["pods"][0], "pgbench (missing on this machine)", None, "ratio", None)
    return ratio(name, "attempts/s", "pgbench -M prepared", measured["pods"], measured["pgbench"], at_least=0.3)


def measure_checker(*, few: int, many: int) -> list[Figure]:
    """The time to judge a history, and how the memory of it and its judgement grows with its length."""
    doing(f"checking {many:,} questions")
    history = made_up_history(questions=many, clicks=_CLICKS)
    started = perf_counter()
    judgement = judge(history)
    took = perf_counter() - started
    if judgement.verdict != "pass":
        raise RuntimeError(f"a lawful history: {judgement.verdict} {judgement.reasons} {judgement.violations}")
    speed = Figure(
        f"checker, {many:,} questions × {_CLICKS} clicks",
        "s",
        took,
        "the time allowed",
        _CHECK_SECONDS,
        "ratio",
        took / _CHECK_SECONDS,
        1.0,
        "at most",
    )
    start, with_few, with_many = (_peak(questions) for questions in (1, few, many))
    growth = (with_many - start) / max(with_few - start, 0.1)
    linear = Figure(
        f"checker's memory, {many:,} questions",
        "MiB",
        with_many - start,
        f"{many / few:g} times that of {few:,}",
        (with_few - start) * many / few,
        "ratio",
        growth / (many / few),
        1.2,
        "at most",
    )
    return [speed, linear]


def _peak(questions: int) -> float:
    command = [sys.executable, "-c", _CHECK, str(questions), str(_CLICKS)]
    return peak_memory(command, {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
