"""What the person on call reads of leases: which pod posts a card or delivers an ending, since when and until when."""

from __future__ import annotations

import psycopg
import pytest

from pendingctl import PendingStore
from pendingctl.inspected import Leased
from pendingctl.payload import question_payload
from pendingctl.postgres.connections import Pool
from tests.deliveries import LEASE, claimed, run_out
from tests.deliveries import lease as take_over
from tests.endings import EVERYTHING, HOUR, endings, pass_the_deadline
from tests.posts import MOST_ATTEMPTS, fails, let_pass, note, posts
from tests.questions import PAYLOAD, SCOPE

ANOTHER = question_payload("Roll back?", ["yes", "no"], {"conversation_id": "C1"})


@pytest.fixture
def a(pool: Pool) -> PendingStore:
    return PendingStore(pool, pod="A")


@pytest.fixture
def b(pool: Pool) -> PendingStore:
    return PendingStore(pool, pod="B")


async def who(store: PendingStore) -> tuple[Leased, str | None, bool] | None:
    """What is leased of the question, by which pod, and whether the lease still runs."""
    lease = (await store.inspection.history("q")).lease
    return None if lease is None else (lease.what, lease.pod, lease.seconds_left > 0)


async def test_a_card_is_its_askers_to_post_until_that_has_failed_or_its_lease_has_run_out(
    a: PendingStore, b: PendingStore, connection: psycopg.Connection
) -> None:
    await a.put("q", SCOPE, PAYLOAD, show=True, posting=LEASE)
    assert await who(b) == ("post", "A", True)

    let_pass(connection)
    assert await who(b) == ("post", "A", False)
    (post,) = await posts(b)
    assert await who(a) == ("post", "B", True)
    await fails(b, post)
    assert await who(a) is None

    (again,) = await posts(a)
    assert await who(a) == ("post", "A", True)
    await note(a, again)
    assert await who(a) is None


async def test_a_card_that_the_pods_have_given_up_is_leased_to_nobody_also_when_it_is_to_be_posted_again(
    a: PendingStore, connection: psycopg.Connection
) -> None:
    await a.put("q", SCOPE, PAYLOAD, show=True)
    await posts(a)
    connection.execute("update pending_interactions set post_attempts = %s", [MOST_ATTEMPTS])
    let_pass(connection)
    assert len(await posts(a)) == 0
    assert await who(a) is None

    await a.remedies.repair_cards(await a.inspection.find())
    assert await who(a) is None


async def test_an_answer_is_delivered_by_the_pod_that_has_claimed_it_until_another_takes_over(
    a: PendingStore, b: PendingStore, connection: psycopg.Connection
) -> None:
    await a.put("q", SCOPE, PAYLOAD, show=True, posting=LEASE)
    answer = await claimed(a)
    (first,) = await b.inspection.leases(["q", "x"])
    assert (first.question_id, first.what, first.pod) == ("q", Leased.DELIVERY, "A")
    assert first.since is not None
    assert answer.leased_at <= first.since < first.until
    assert 0 < first.seconds_left < LEASE.total_seconds()

    run_out(connection)
    assert await who(b) == ("delivery", "A", False)
    (taken_over,) = await take_over(b)
    assert await who(a) == ("delivery", "B", True)
    await b.leases.mark_failed(taken_over, "503", retry_in=LEASE, most_attempts=20)
    assert await who(a) is None


async def test_a_deadline_that_has_passed_is_told_by_the_pod_that_leases_it(
    a: PendingStore, b: PendingStore, connection: psycopg.Connection
) -> None:
    await a.leases.hear(EVERYTHING)
    await a.put("q", SCOPE, PAYLOAD, expires_in=HOUR)
    pass_the_deadline(connection)
    await a.leases.expire(limit=10)
    assert await who(b) is None

    assert len(await endings(b)) == 1
    assert await who(a) == ("delivery", "B", True)


async def test_what_is_stuck_is_leased_to_nobody(a: PendingStore, connection: psycopg.Connection) -> None:
    await claimed(a)
    connection.execute("update pending_interactions set delivery_due_at = 'infinity'")

    assert await who(a) is None


async def test_the_pod_of_another_asking_has_no_lease(
    a: PendingStore, b: PendingStore, connection: psycopg.Connection
) -> None:
    await a.put("q", SCOPE, PAYLOAD, show=True, posting=LEASE)
    await b.put("q", SCOPE, ANOTHER, show=True, posting=LEASE)
    assert await who(a) == ("post", "B", True)

    connection.execute("delete from pending_trail where pod = 'B'")
    assert await who(a) == ("post", None, True)


async def test_without_a_trail_an_answer_is_taken_to_be_with_the_pod_that_has_claimed_it(
    a: PendingStore, connection: psycopg.Connection
) -> None:
    await claimed(a)
    connection.execute("delete from pending_trail")

    row = await a.inspection.get("q")
    (lease,) = await a.inspection.leases(["q"])
    assert row is not None
    assert (lease.what, lease.pod, lease.since) == (Leased.DELIVERY, "A", row.claimed_at)
