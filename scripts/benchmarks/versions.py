"""This version of pendingctl against another one of its history, each on a database of its own on one server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .contenders import Process, database_beside, started
from .figures import Figure, Round, doing, in_turns, ratio
from .stage import Stage

_ROOT = Path(__file__).parents[2]
_SCRIPT = Path(__file__).parent / "others" / "version_rounds.py"
_GIT_SECONDS = 60
# No slower than a twentieth below the version before.
_REACH = 0.95


def measure_versions(stage: Stage, commit: str, *, claims: int, cycles: int, rounds: int) -> list[Figure]:
    """Claims with their answers, one and eight at a time, and whole cycles, in turns with the version of a commit.

    Raises CalledProcessError where the commit is unknown, RuntimeError when a version does not start.
    """
    doing(f"this version and that of {commit}")
    with ExitStack() as ending:
        other = _start(stage, ending, "before", ending.enter_context(_checkout(commit)))
        ours = _start(stage, ending, "after", _ROOT)
        return [
            _figure(name, unit, commit, order, ours, other, rounds)
            for name, unit, order in (
                ("claim with answer, one at a time", "claims/s", f"claims {claims} 1"),
                ("claim with answer, 8 at a time", "claims/s", f"claims {claims} 8"),
                ("cycles of ask, click and delivery", "cycles/s", f"cycles {cycles} 1"),
            )
        ]


def _figure(name: str, unit: str, commit: str, order: str, ours: Process, other: Process, rounds: int) -> Figure:
    def rounds_of(process: Process) -> Round:
        async def one() -> float:
            return float(await asyncio.to_thread(process.answer, order))

        return one

    measured = asyncio.run(in_turns({"ours": rounds_of(ours), "other": rounds_of(other)}, rounds))
    return ratio(name, unit, f"version {commit}", measured["ours"], measured["other"], at_least=_REACH)


@contextmanager
def _checkout(commit: str) -> Iterator[Path]:
    """The files of a commit, in a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pendingctl-bench-") as folder:
        files = subprocess.run(
            ["git", "archive", commit], cwd=_ROOT, check=True, capture_output=True, timeout=_GIT_SECONDS
        ).stdout
        subprocess.run(["tar", "-x"], cwd=folder, input=files, check=True, timeout=_GIT_SECONDS)
        yield Path(folder)


def _start(stage: Stage, ending: ExitStack, name: str, root: Path) -> Process:
    process = started(ending, [sys.executable, str(_SCRIPT)], {**os.environ, "PYTHONPATH": str(root)})
    process.answer(database_beside(stage, ending, name))
    return process
