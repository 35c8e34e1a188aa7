"""A broken store is raced only if a pod really goes through what is broken about it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import pytest

from pendingctl.postgres.connections import ConnectionSource, connect
from pendingctl.race.history.files import hand_over_record
from pendingctl.race.history.history import HandOver
from pendingctl.race.plan.operations import Names
from pendingctl.race.plan.plan import plan_question
from pendingctl.race.plan.schedule import FaultKind
from pendingctl.race.plan.settings import IMPLEMENTATIONS, RaceSettings
from pendingctl.race.pods import pod, wire, worker
from pendingctl.race.pods.controls import store_for
from pendingctl.race.rows import arrange, store_organizations, store_questions
from pendingctl.store import PendingStore
from pendingctl.store.inspection import Inspection
from pendingctl.store.leases import Leases
from tests.faults.moments import came_true

SETTINGS = RaceSettings(pods=1, questions=2, clicks=4, seed=1, faults=(FaultKind.SWEEP,))
NAMES = Names("run", "run", "run-foreign")


class FullDisk(Exception):
    """What a worker raises that cannot take an answer."""


def methods_of(type_: type, base: type) -> set[str]:
    """The methods that a class defines differently from its base."""
    above = base.__mro__
    defined = {name for each in type_.__mro__ if each not in above for name in vars(each)}
    return {name for name in defined if inspect.isfunction(getattr(type_, name)) and name != "__init__"}


def overridden_by(store: PendingStore) -> set[str]:
    return (
        methods_of(type(store), PendingStore)
        | {f"leases.{name}" for name in methods_of(type(store.leases), Leases)}
        | {f"inspection.{name}" for name in methods_of(type(store.inspection), Inspection)}
    )


def spied(part: object, base: type, prefix: str, reached: set[str]) -> None:
    """Let each public method of a part of the store note that it was reached."""
    for name in (each for each in vars(base) if not each.startswith("_")):
        method = getattr(part, name)

        @wraps(method)
        def noted(
            *arguments: object, method: Callable[..., object] = method, name: str = name, **named: object
        ) -> object:
            reached.add(prefix + name)
            return method(*arguments, **named)

        setattr(part, name, noted)


class Reports:
    """What the pod has reported to its coordinator, which is this test."""

    def __init__(self) -> None:
        self._keywords = asyncio.Queue[bytes]()

    def report(self, keyword: bytes, _argument: str = "") -> None:
        if keyword != wire.ASKED:
            self._keywords.put_nowait(keyword)

    async def wait_for(self, keyword: bytes) -> None:
        async with asyncio.timeout(60):
            assert await self._keywords.get() == keyword


class NoConnections:
    """What no store is to connect by."""

    def connection(self) -> object:
        raise AssertionError("not used")


def overridden() -> dict[str, set[str]]:
    """The methods that each implementation overrides."""
    stores = {each: store_for(each, NoConnections(), application="", pod="") for each in IMPLEMENTATIONS}  # type: ignore[arg-type]
    return {name: overridden_by(store) for name, store in stores.items()}


@pytest.fixture
async def reached(dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The methods of the store that one pod goes through, with a worker that fails once."""
    reached: set[str] = set()
    reports = Reports()
    failed: list[HandOver] = []

    def spied_store(implementation: str, source: ConnectionSource, *, application: str, pod: str) -> PendingStore:
        store = store_for(implementation, source, application=application, pod=pod)
        spied(store, PendingStore, "", reached)
        spied(store.leases, Leases, "leases.", reached)
        spied(store.inspection, Inspection, "inspection.", reached)
        return store

    def fails_once(handed: HandOver) -> dict[str, object]:
        if not failed:
            failed.append(handed)
            raise FullDisk
        return hand_over_record(handed)

    monkeypatch.setattr(pod, "store_for", spied_store)
    monkeypatch.setattr(pod, "exit_within", lambda _seconds: None)
    monkeypatch.setattr(worker, "hand_over_record", fails_once)
    monkeypatch.setattr(wire, "report", reports.report)
    arrangement = arrange(SETTINGS, NAMES)
    questions = [plan_question(SETTINGS, NAMES, label) for label in ("q0", "x0", "q1", "x1", "d1", "d4")]
    async with await connect(dsn, application="test") as connection:
        await store_organizations(connection, SETTINGS, arrangement)
        await store_questions(connection, arrangement, [each for each in questions if not each.is_extra])

    lines = asyncio.StreamReader()
    serving = asyncio.create_task(pod.serve(wire.Assignment(dsn, "pod-1", 0, 2, SETTINGS, NAMES, str(tmp_path)), lines))
    await reports.wait_for(wire.READY)
    orders = [(each.label, burst) for each in questions for burst in range(len(each.bursts))]
    for number, (label, burst) in enumerate(orders):
        lines.feed_data(wire.encode_order(wire.Order(number, [label], burst, askings=[[]])))
        await reports.wait_for(wire.DONE)
    # The pod looks for what is due in its own time.
    needed = {"leases.mark_failed", "leases.lease", "leases.mark_delivered"}.union(*overridden().values())
    assert await came_true(lambda: needed <= reached, 60), needed - reached
    lines.feed_eof()
    await serving
    return reached


async def test_a_pod_goes_through_whatever_a_control_overrides(reached: set[str]) -> None:
    assert {name: methods for name, methods in overridden().items() if not methods <= reached} == {}
    assert {"put", "claim", "delete", "sweep", "leases.lease", "leases.mark_delivered"} <= reached
    assert {"withdraw", "inspection.find"}.isdisjoint(reached)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_every_implementation_that_has_a_name_has_a_store(implementation: str) -> None:
    assert store_for(implementation, NoConnections(), application="", pod="")  # type: ignore[arg-type]
