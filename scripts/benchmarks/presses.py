"""Presses of buttons on two pods of `serve`, at a fixed rate: how soon they are acknowledged, and what they cost."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import median

from .contenders import Process, started
from .figures import Figure, Round, doing, in_turns, ratio
from .served import PROCESSES, SECRET, Presses, cpu_seconds, order, served_pod, silent_slack, store_shown
from .stage import YOUNG, Stage

_RATE = 200
_PODS = 2
_ROWS_BESIDE = 10_000
_QUIET_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class _Contender:
    """Processes that take presses, on these ports."""

    pids: list[int]
    ports: list[int]
    p95: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


def measure_presses(stage: Stage, *, presses: int, rounds: int) -> Iterator[Figure]:
    """So many presses a round at 200 a second, each on an open question, which it wins.

    Beside the pods are two processes each that claim with one UPDATE and do nothing else. A pod also keeps the answer
    until it is delivered, delivers it, edits the card and replies to whoever has pressed: what that costs it after the
    acknowledgement slows the next presses. Raises RuntimeError where a press was not acknowledged or has not won.
    """
    doing(f"{_RATE} presses a second on {_PODS} pods")
    stage.fill(_ROWS_BESIDE, YOUNG)
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="pendingctl-bench-")))
        slack = ending.enter_context(silent_slack())
        pods = [ending.enter_context(served_pod(stage, slack)) for _ in range(_PODS)]
        contenders = {"pods": _Contender([each.popen.pid for each in pods], [each.public_port for each in pods])}
        for kind in ("starlette", "bolt"):
            command = [sys.executable, str(PROCESSES / "endpoint.py"), kind]
            processes = [started(ending, command) for _ in range(_PODS)]
            asked = order(dsn=stage.dsn, secret=SECRET, slack_url=f"{slack}/api/")
            ports = [int(each.answer(asked)) for each in processes]
            contenders[kind] = _Contender([each.popen.pid for each in processes], ports)
        load = started(ending, [sys.executable, str(PROCESSES / "load.py")])
        yield from asyncio.run(_presses(stage, contenders, load, Presses(slack), folder, presses, rounds))


async def _presses(
    stage: Stage,
    contenders: dict[str, _Contender],
    load: Process,
    made: Presses,
    folder: Path,
    presses: int,
    rounds: int,
) -> list[Figure]:
    numbers = count(1)
    shares: list[float] = []
    late: list[float] = []

    def round_of(contender: _Contender) -> Round:
        def one() -> float:
            ids = [f"q-{next(numbers):010d}" for _ in range(presses)]
            store_shown(stage, ids)
            file = folder / "requests"
            file.write_text(json.dumps([made.request(id).decode("latin-1") for id in ids]), "ascii")
            cpu = _cpu(contender)
            said = json.loads(load.answer(order(ports=contender.ports, rate=_RATE, requests=str(file))))
            _check(stage, said["statuses"], presses, ids)
            contender.cpu.append((_cpu(contender) - cpu) / presses * 1_000)
            shares.append(said["own_cpu"] * 100)
            late.append(said["late_p95"] * 1_000)
            return float(said["p95"]) * 1_000

        return lambda: asyncio.to_thread(one)

    measured = await in_turns({name: round_of(each) for name, each in contenders.items()}, rounds)
    for each in contenders.values():
        del each.cpu[:-rounds]
    ours, bare, bolt = measured["pods"], measured["starlette"], measured["bolt"]
    name, cpu_name = f"press acknowledged, p95, {_RATE}/s on {_PODS} pods", "CPU of a press and all that follows"
    bare_name, bolt_name = "Starlette, one UPDATE", "slack_bolt, one UPDATE"
    own = f"of a core; it sends at most {median(late):.1f} ms late (p95)"
    costs = [
        ratio(cpu_name, "ms", against, contenders["pods"].cpu, contenders[kind].cpu)
        for against, kind in ((bare_name, "starlette"), (bolt_name, "bolt"))
        # On a machine without /proc nothing is known of them.
        if all(contenders[kind].cpu)
    ]
    return [
        ratio(name, "ms", bare_name, ours, bare, at_most=2.0),
        ratio(name, "ms", bolt_name, ours, bolt, at_most=1.0),
        *costs,
        Figure("the load's own share", "%", median(shares), own, None, "ratio", None),
    ]


def _cpu(contender: _Contender) -> float:
    return sum(cpu_seconds(pid) or 0.0 for pid in contender.pids)


def _check(stage: Stage, statuses: dict[str, int], presses: int, ids: list[str]) -> None:
    """Wait for what follows the presses: the next round must not pay for it."""
    if statuses != {"200": presses}:
        raise RuntimeError(f"of {presses:,} presses were acknowledged {statuses}")
    between = f"id between '{ids[0]}' and '{ids[-1]}'"
    if (won := stage.count(f"{between} and claimed_at is not null")) != presses:
        raise RuntimeError(f"{won:,} of {presses:,} presses have won")
    until = time.monotonic() + _QUIET_SECONDS
    while stage.count(f"{between} and (delivery_due_at is not null or card_due_at is not null)"):
        if time.monotonic() > until:
            raise RuntimeError(f"answers or cards were left undone for {_QUIET_SECONDS:g} s")
        time.sleep(0.1)
