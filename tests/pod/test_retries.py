"""A claim that loses its connection, or has waited: whose the answer is, and whether it is still in time."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from pendingctl import Claim, Click, InteractionBridge, PendingStore, Refusal, ReplyKind, State, open_pool
from pendingctl.errors import DatabaseUnreachable
from pendingctl.postgres.connections import Pool
from tests.deliveries import SHORT, Worker, until, until_state
from tests.faults.proxy import Hold, fields, running_proxy
from tests.pods import QUESTION, Pod, RecordingPlatform
from tests.questions import click

KILL_CLAIMS = """
    select count(pg_terminate_backend(pid))
    from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and query like '%answered_by = %'
"""


@pytest.mark.law(6, 7)
async def test_a_claim_whose_reply_is_lost_is_made_again_and_delivered_at_once(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    """The server ends the session after its commit; by its key and token the pod finds that it has won."""
    async with running_proxy(dsn, connection) as proxy, open_pool(proxy.dsn) as far:
        pod = Pod(PendingStore(far), reply_within=timedelta(seconds=20))
        await pod.bridge.ask(QUESTION, event_id="e")
        row = await store.inspection.get("q")
        assert row is not None
        proxy.hold = hold = Hold(fields("q", str(row.ask_number)))
        pressing = asyncio.create_task(pod.click())
        await asyncio.wait_for(hold.has_come.wait(), 20)
        assert connection.execute("select answer from pending_interactions").fetchone() == ("yes",)
        connection.execute(KILL_CLAIMS)
        await proxy.hang_up()

        assert await pressing is ReplyKind.ANSWERED
        # Long before the end of its lease.
        await until(lambda: bool(pod.answers))
        await until_state(store, State.CLAIMED)
        await pod.bridge.close()
    row = await store.inspection.get("q")
    assert row is not None
    assert (row.delivery_attempts, len(pod.answers)) == (1, 1)


async def test_a_pod_that_closes_while_a_claim_is_made_again_ends_in_time(pool: Pool) -> None:
    has_begun = asyncio.Event()

    class Gone(PendingStore):
        async def claim(
            self,
            click: Click,
            *,
            lease: timedelta | None = None,
            lease_token: UUID | None = None,
        ) -> Claim | Refusal:
            has_begun.set()
            raise DatabaseUnreachable(f"no server for {click.question_id}, {lease}, {lease_token}")

    pod = Pod(Gone(pool), reply_within=timedelta(seconds=60))
    pressing = asyncio.create_task(pod.click())
    await until(has_begun.is_set)
    async with asyncio.timeout(20):
        await pod.bridge.close(within=timedelta(seconds=0.2))

    assert await pressing is ReplyKind.CANNOT_SERVE


@pytest.mark.law(6)
async def test_a_claim_that_took_longer_than_its_lease_is_left_to_the_pods(store: PendingStore, pool: Pool) -> None:
    """Its reply comes when another pod may have the answer already."""

    class Slow(PendingStore):
        async def claim(
            self,
            click: Click,
            *,
            lease: timedelta | None = None,
            lease_token: UUID | None = None,
        ) -> Claim | Refusal:
            claim = await super().claim(click, lease=lease, lease_token=lease_token)
            await asyncio.sleep(SHORT.total_seconds())
            return claim

    await store.put("q", QUESTION.scope, QUESTION.payload())
    worker = Worker()
    bridge = InteractionBridge(Slow(pool), RecordingPlatform(), worker, lease=SHORT, reply_within=timedelta(seconds=20))
    bridge.register("acme", "slack")
    assert (await bridge.click(click())).kind is ReplyKind.ANSWERED
    await bridge.close()

    assert worker.ids == []
    row = await store.inspection.get("q")
    assert row is not None
    assert (row.state, row.delivery_attempts) == (State.UNDELIVERED, 0)
