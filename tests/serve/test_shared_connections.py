"""What one organization's requests take of the connections to the database leaves enough to all others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from pendingctl.demo.slack_server import FakeSlack
from pendingctl.postgres.time_limits import Purpose
from pendingctl.serve import callers
from pendingctl.serve.questions_app import connections_of_reads
from tests.locks import until_waiting_for_a_lock, waiting_for_a_lock
from tests.patience import be_patient

from .applications import AssembledPod, assembled, bearer, written
from .clients import PATIENCE
from .pods import OTHER_TOKEN, configuration


@pytest.fixture(autouse=True)
def turns_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a test takes while the database hangs."""
    monkeypatch.setattr(callers, "TURN_SECONDS", PATIENCE)
    be_patient(monkeypatch, Purpose.READ)


@asynccontextmanager
async def hanging(dsn: str, table: str) -> AsyncIterator[None]:
    """Hold a table, so that all who read it wait."""
    async with await psycopg.AsyncConnection.connect(dsn) as holder:
        await holder.execute(f"lock table {table} in access exclusive mode")
        yield
        await holder.rollback()


@pytest.mark.parametrize("connections", [3, 10])
@pytest.mark.law(16)
async def test_hanging_reads_of_one_organization_leave_connections_to_others_and_to_clicks(
    dsn: str,
    connection: psycopg.Connection,
    slack: FakeSlack,
    tmp_path_factory: pytest.TempPathFactory,
    connections: int,
) -> None:
    text = configuration(slack_url=slack.url, worker_url=None)
    given = written(tmp_path_factory.mktemp("pod"), text.replace("connections = 10", f"connections = {connections}"))
    async with assembled(given, dsn) as pod:
        await pod.ask("q")
        # What the pod does of itself would wait as well.
        await pod.bridge.close()
        async with hanging(dsn, "pending_interactions"):
            of_acme = [asyncio.create_task(pod.internal.get("/questions/q")) for _ in range(30)]
            taken = connections_of_reads(connections) - 1
            await until_waiting_for_a_lock(connection, taken)
            # Whatever else it could take, it would take at once.
            await asyncio.sleep(0.3)
            assert waiting_for_a_lock(connection) == taken <= connections // 2

            headers = bearer(OTHER_TOKEN)
            of_globex = asyncio.create_task(pod.internal.get("/questions/q", headers=headers))
            await until_waiting_for_a_lock(connection, taken + 1)

            async with asyncio.timeout(PATIENCE), pod.pool.connection() as free:
                await free.execute("select")
        assert {each.status_code for each in await asyncio.gather(*of_acme)} == {200}
        assert (await of_globex).status_code == 404


async def test_one_organizations_requests_that_wait_leave_room_for_those_of_others(
    pod: AssembledPod, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that waits holds a connection of its client's, which others and probes need."""
    monkeypatch.setattr(callers, "MOST_REQUESTS", 20)
    await pod.ask("q")
    async with hanging(dsn, "pending_interactions"):
        tasks = [asyncio.create_task(pod.internal.get("/questions/q")) for _ in range(50)]
        refused, _ = await asyncio.wait(tasks, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        of_globex = asyncio.create_task(pod.internal.get("/questions/q", headers=bearer(OTHER_TOKEN)))
        assert {(await each).headers["Retry-After"] for each in refused} == {"1"}

    statuses = [each.status_code for each in await asyncio.gather(*tasks)]
    assert (statuses.count(200), statuses.count(429)) == (20, 30)
    assert (await of_globex).status_code == 404
    assert (await pod.internal.get("/questions/q")).status_code == 200
