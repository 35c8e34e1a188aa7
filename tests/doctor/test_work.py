"""doctor on work that nobody does, and on the pods that should: it is named, and its remedy works."""

from __future__ import annotations

import re

import psycopg
import pytest

from pendingctl import Delivery, PendingStore, __version__, open_pool
from pendingctl.diagnosis.findings import Verdict
from pendingctl.doctor import examine
from tests.deliveries import Worker, claimed, run_out, until
from tests.doctor.examining import QUESTION, finding, of
from tests.questions import age

pytestmark = pytest.mark.usefixtures("patient")


async def test_a_sweep_that_does_not_run_is_named(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(QUESTION)
    age(connection, hours=26)
    late = await finding(dsn, "sweep")
    age(connection, hours=24)
    never = await finding(dsn, "sweep")

    assert (late.verdict, never.verdict) == (Verdict.WARN, Verdict.FAIL)
    assert "nobody sweeps: 1 row is stale, the oldest since 1 d 2 h; no sweep --every" in never.sentence


async def test_an_application_that_nobody_serves_is_named(dsn: str, connection: psycopg.Connection) -> None:
    async with open_pool(dsn) as pool:
        await claimed(PendingStore(pool, application="billing"))
    assert (await finding(dsn, "orphans")).verdict is Verdict.OK
    run_out(connection)
    connection.execute("update pending_interactions set delivery_due_at = now() - interval '1 day'")

    orphans = await finding(dsn, "orphans")

    assert orphans.verdict is Verdict.FAIL
    assert (
        "of application 'billing' 1 ending waits to be delivered, the longest for 1 d: no pod serves it"
        in orphans.sentence
    )
    assert "application='billing'" in orphans.remedies[0]
    worker = Worker()
    async with open_pool(dsn) as pool, Delivery(PendingStore(pool, application="billing"), worker):
        await until(lambda: worker.ids == ["q"])
    assert (await finding(dsn, "orphans")).verdict is Verdict.OK


async def test_a_stuck_answer_is_named_with_its_remedy(
    dsn: str, store: PendingStore, connection: psycopg.Connection
) -> None:
    await claimed(store)
    connection.execute("update pending_interactions set delivery_due_at = 'infinity'")

    deliveries = await finding(dsn, "deliveries")

    assert (deliveries.verdict, "1 ending is stuck" in deliveries.sentence) == (Verdict.FAIL, True)
    await store.leases.redeliver(["q"])
    assert (await finding(dsn, "deliveries")).verdict is Verdict.OK


async def test_a_card_that_nobody_posts_is_named(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute(QUESTION)
    connection.execute("update pending_interactions set post_due_at = now() - interval '1 hour'")

    checks = await examine(dsn)

    assert "due for 1 h" in of(checks, "cards").sentence
    assert "it registers acme/slack" in of(checks, "orphans").remedies[0]


async def test_pods_are_known_by_their_sessions(dsn: str) -> None:
    assert (await finding(dsn, "pods")).verdict is Verdict.UNKNOWN

    async with open_pool(dsn) as one, open_pool(dsn, application="pendingctl pod 0.0.9 old-host") as other:
        await one.wait()
        await other.wait()
        pods = await finding(dsn, "pods")

    assert pods.verdict is Verdict.WARN
    assert "2 hosts have pods with 2 sessions" in pods.sentence
    assert f"versions 0.0.9, {__version__}" in pods.sentence


async def test_pods_are_known_by_what_they_note(dsn: str, connection: psycopg.Connection) -> None:
    async with open_pool(dsn) as pool:
        async with Delivery(PendingStore(pool, pod="bot-1"), Worker()):
            await until(lambda: connection.execute("select from pending_pods").fetchone() is not None)
            alive = await finding(dsn, "pods")
        connection.execute(
            "insert into pending_pods (instance, pod, application, version, seen_at, connections, claims, cards, "
            "answers) values (gen_random_uuid(), 'bot-1', '', '0.1.0', now() - interval '2 minutes', 0, 0, 0, 2)"
        )
        connection.execute(QUESTION)
        connection.execute("update pending_interactions set post_due_at = now() - interval '1 day'")
        dead = await finding(dsn, "pods")

    assert (alive.verdict, alive.sentence) == (Verdict.OK, f"1 pod is alive: bot-1; version {__version__}")
    assert dead.verdict is Verdict.FAIL
    assert re.fullmatch(
        r"no pod is alive, and something has been due for 1 d; bot-1 died 2 min( \d+ s)? ago with 2 answers",
        dead.sentence,
    )


async def test_a_role_that_may_not_read_the_notes_knows_pods_by_their_sessions(
    dsn: str, connection: psycopg.Connection
) -> None:
    connection.execute("drop table pending_pods")

    async with open_pool(dsn) as pool:
        await pool.wait()
        assert "1 host has pods with 1 session" in (await finding(dsn, "pods")).sentence
