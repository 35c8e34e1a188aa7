"""A pod of `serve`: how soon after its start it is ready, and whether its memory grows with the questions it served."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from statistics import median
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener

from .figures import Figure, doing
from .http_cycles import AT_ONCE, client, cycle_of, run
from .served import Presses, cpu_seconds, resident_mib, served_pod, silent_slack
from .stage import YOUNG, Stage

_ROWS_BESIDE = 10_000
_READY_MS = 2_000.0
_READY_WITHIN_SECONDS = 30.0
_LOOK_SECONDS = 0.01
# Whoever runs behind a proxy reaches loopback without it.
_OPENER = build_opener(ProxyHandler({}))


def measure_readiness(stage: Stage, *, starts: int) -> Iterator[Figure]:
    """From the start of the process until /readyz says 200, on a database that is migrated."""
    doing("until a pod is ready")
    stage.fill(_ROWS_BESIDE, YOUNG)
    walls, cpus = [], []
    with silent_slack() as slack:
        for _ in range(starts):
            began = time.perf_counter()
            with served_pod(stage, slack) as pod:
                _wait_until_ready(pod.url)
                walls.append((time.perf_counter() - began) * 1_000)
                cpu = cpu_seconds(pod.popen.pid)
                if cpu is not None:
                    cpus.append(cpu * 1_000)
    wall = median(walls)
    name = "start of a pod until it is ready"
    yield Figure(name, "ms", wall, "2 s", _READY_MS, "ratio", wall / _READY_MS, 1.0, "at most")
    if cpus:
        yield Figure(f"{name}, CPU", "ms", median(cpus), "its wall time", wall, "ratio", median(cpus) / wall)


def _wait_until_ready(url: str) -> None:
    until = time.monotonic() + _READY_WITHIN_SECONDS
    while time.monotonic() < until:
        try:
            with _OPENER.open(f"{url}/readyz", timeout=5):
                return
        except HTTPError as error:
            error.close()
        except OSError:
            # It takes its time, or has just begun to listen.
            pass
        time.sleep(_LOOK_SECONDS)
    raise RuntimeError(f"a pod was not ready within {_READY_WITHIN_SECONDS:g} s")


def measure_pod_memory(stage: Stage, *, few: int, many: int) -> Figure:
    """What a pod holds after `few` questions, asked over HTTP, answered by presses and read, and after `many`."""
    name = f"memory of a pod, {many:,} questions"
    doing(name)
    stage.fill(_ROWS_BESIDE, YOUNG)
    with ExitStack() as ending:
        slack = ending.enter_context(silent_slack())
        pod = ending.enter_context(served_pod(stage, slack))
        numbers = count(1)

        async def after(questions: int) -> float:
            async with client() as session:
                await run(cycle_of(session, pod, Presses(slack)), numbers, questions, AT_ONCE)
            return resident_mib(pod.popen.pid)

        little = asyncio.run(after(few))
        much = asyncio.run(after(many - few))
    return Figure(name, "MiB", much, f"after {few:,}", little, "ratio", much / little, 1.2, "at most")
