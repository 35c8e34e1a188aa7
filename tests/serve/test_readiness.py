"""/readyz: not before the first successful look at the database, not while the pod drains, nor on an older schema."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from pendingctl.demo.slack_server import FakeSlack
from pendingctl.errors import NotConnected
from pendingctl.schema import migrations
from pendingctl.serve import readiness
from tests.faults.proxy import running_proxy

from .applications import AssembledPod, assembled, running, usual


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "FIRST_LOOK_SECONDS", 0.05)
    monkeypatch.setattr(readiness, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(readiness, "SCHEMA_SECONDS", timedelta(0))


async def nothing() -> None:
    """What a pod begins with, where nothing fails."""


@asynccontextmanager
async def looking(pod: AssembledPod) -> AsyncIterator[None]:
    async with running(pod.readiness.look(nothing)):
        yield


async def until(pod: AssembledPod, status: int, **shown: object) -> dict[str, object]:
    """Return what /readyz shows, once it shows this."""
    found: dict[str, object] = {}
    for _ in range(800):
        response = await pod.internal.get("/readyz")
        found = response.json()
        if response.status_code == status and found.items() >= shown.items():
            return found
        await asyncio.sleep(0.025)
    raise TimeoutError(str(found))


async def test_a_pod_is_ready_from_its_first_look_until_it_drains(pod: AssembledPod) -> None:
    assert (await pod.internal.get("/readyz")).status_code == 503

    async with looking(pod):
        assert await until(pod, 200) == {"ready": True, "draining": False, "database": "ok", "schema": "ok"}
        pod.readiness.drain()
        await until(pod, 503, ready=False, draining=True)
    assert (await pod.internal.get("/healthz")).status_code == 200


async def test_a_schema_that_is_not_there_or_older_than_needed_is_not_ready(
    empty_dsn: str, slack: FakeSlack, tmp_path: Path
) -> None:
    async with assembled(usual(tmp_path, slack.url), empty_dsn) as pod, looking(pod):
        everything = len(migrations.status(empty_dsn).pending)
        await until(pod, 503, schema=f"{everything} migrations are pending; run pendingctl migrate")

        await asyncio.to_thread(migrations.apply, empty_dsn)
        await until(pod, 200, schema="ok")

        await asyncio.to_thread(migrations.rollback, empty_dsn, 1)
        await until(pod, 503, schema="1 migration is pending; run pendingctl migrate")


async def test_a_later_outage_is_shown_and_leaves_the_pod_ready(
    dsn: str, connection: psycopg.Connection, slack: FakeSlack, tmp_path: Path
) -> None:
    async with (
        running_proxy(dsn, connection) as proxy,
        assembled(usual(tmp_path, slack.url), proxy.dsn, borrow_seconds=0.3) as pod,
        looking(pod),
    ):
        await until(pod, 200, database="ok")
        await proxy.stop()

        found = (await pod.internal.get("/readyz")).json()
        async with asyncio.timeout(20):
            while found["database"] == "ok":
                await asyncio.sleep(0.05)
                found = await until(pod, 200, ready=True)
        assert "\n" not in str(found["database"])
        metrics = (await pod.internal.get("/metrics")).text.splitlines()
        assert {"pendingctl_ready 1.0", "pendingctl_database_reachable 0.0"} <= set(metrics)


async def test_a_pod_whose_work_cannot_begin_is_not_ready_until_it_can(pod: AssembledPod) -> None:
    attempts = 0

    async def begin() -> None:
        nonlocal attempts
        attempts += 1
        if attempts < 3:
            raise NotConnected("the server went away")

    async with running(pod.readiness.look(begin)):
        await until(pod, 200, ready=True)
    assert attempts == 3
