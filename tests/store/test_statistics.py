"""Counts: exact for what is open, late, stuck or ended within the hour; else by a sample, and said to be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from pendingctl import PendingStore, Scope, __version__
from pendingctl.counts import Durations, Grouping, Numbers, Part, Trouble
from pendingctl.model import ANSWERS, Outcome
from pendingctl.pods import Heartbeat
from pendingctl.postgres.connections import Pool
from pendingctl.store import count_statements, statistics
from tests.deliveries import claimed
from tests.posts import fails, posts
from tests.questions import PAYLOAD, SCOPE, age, click

HOUR = timedelta(hours=1)


async def test_an_empty_table_counts_nothing(store: PendingStore) -> None:
    found = await store.statistics.overview(by=Grouping.ORGANIZATION)

    assert found.counts.total == Numbers()
    assert (found.counts.groups, found.counts.estimated) == ({}, frozenset())
    assert found.times is not None
    assert found.times.total == Durations()
    assert found.pods == []
    assert found.last_sweep is not None
    assert found.last_sweep.seconds_ago is None


async def test_open_questions_are_counted_by_their_age_and_their_deadline(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for id, hours in (("new", 0), ("half", 0.5), ("two", 2), ("ten", 10), ("old", 25)):
        await store.put(id, SCOPE, PAYLOAD)
        age(connection, hours=hours, id=id)
    await store.put("soon", SCOPE, PAYLOAD, expires_in=HOUR / 2)
    await store.put("overdue", SCOPE, PAYLOAD, expires_in=HOUR)
    connection.execute("update pending_interactions set expires_at = now() - interval '61 s' where id = 'overdue'")

    counts = (await store.statistics.counts()).total

    assert (counts.pending, counts.stale) == (6, 1)
    assert counts.ages == (3, 1, 1, 1, 1)
    assert (counts.due_within_the_hour, counts.overdue_deadlines) == (2, 1)
    assert counts.oldest_pending_seconds == pytest.approx(25 * 3600, abs=60)
    assert (await store.statistics.counts(max_age=timedelta(days=2))).total.stale == 0


async def test_cards_that_are_to_be_posted_late_and_given_up_are_counted(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for id in ("given up", "late", "to post"):
        await store.put(id, SCOPE, PAYLOAD, show=True)
    for post in await posts(store):
        await fails(store, post, permanent=post.question_id == "given up")
    connection.execute("update pending_interactions set post_due_at = now() - interval '61 s' where id = 'late'")

    counts = (await store.statistics.counts()).total

    assert (counts.cards_to_post, counts.overdue_cards, counts.cards_never_posted) == (2, 1, 1)


async def test_endings_that_wait_and_those_of_the_last_hour_are_counted(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.leases.hear(frozenset(Outcome))
    for id in ("undelivered", "stuck", "overdue"):
        await claimed(store, id)
    connection.execute("update pending_interactions set delivery_due_at = 'infinity' where id = 'stuck'")
    connection.execute("update pending_interactions set delivery_due_at = now() - interval '61 s' where id = 'overdue'")
    await store.put("withdrawn", SCOPE, PAYLOAD)
    await store.withdraw("withdrawn", SCOPE)
    await store.put("taken", SCOPE, PAYLOAD)
    await store.claim(click("taken"))
    await store.put("long ago", SCOPE, PAYLOAD)
    await store.claim(click("long ago"))
    connection.execute("update pending_interactions set claimed_at = now() - interval '61 min' where id = 'long ago'")

    counts = (await store.statistics.counts()).total

    assert (counts.undelivered, counts.stuck, counts.endings_to_tell, counts.overdue_endings) == (2, 1, 1, 1)
    assert (counts.answered, counts.withdrawn, counts.defaulted, counts.expired) == (4, 1, 0, 0)
    assert counts.oldest_undelivered_seconds == pytest.approx(0, abs=60)


@pytest.mark.parametrize(
    ("by", "keys"),
    [
        (Grouping.ORGANIZATION, {("acme",): 3, ("globex",): 1}),
        (Grouping.CONNECTION, {("acme", "slack"): 2, ("acme", "teams"): 1, ("globex", "slack"): 1}),
        (Grouping.USER, {("acme", "U1"): 2, ("acme", "U2"): 1, ("globex", "U1"): 1}),
        (Grouping.APPLICATION, {("",): 4, ("billing",): 1}),
    ],
)
async def test_rows_are_counted_by_group(pool: Pool, by: Grouping, keys: dict[tuple[str, ...], int]) -> None:
    store = PendingStore(pool)
    await store.put("a", SCOPE, PAYLOAD)
    await store.put("b", Scope("acme", "slack", "U2"), PAYLOAD)
    await store.put("c", Scope("acme", "teams", "U1"), PAYLOAD)
    await store.put("d", Scope("globex", "slack", "U1"), PAYLOAD)
    if by is Grouping.APPLICATION:
        await PendingStore(pool, application="billing").put("e", SCOPE, PAYLOAD)

    counts = await store.statistics.counts(by=by)

    assert {key: numbers.pending for key, numbers in counts.groups.items()} == keys
    assert counts.total.pending == sum(keys.values())
    of_one = await store.statistics.counts(by=by, application="")
    assert of_one.total.pending == 4


async def test_a_part_of_too_many_rows_is_estimated_and_no_other(
    store: PendingStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(60))
    connection.execute("update pending_interactions set post_due_at = 'infinity' where id in ('q1', 'q2')")
    exact = await store.statistics.counts(by=Grouping.ORGANIZATION)
    monkeypatch.setattr(statistics, "MOST_COUNTED", 50)

    estimated = await store.statistics.counts(by=Grouping.ORGANIZATION)

    assert not exact.estimated
    assert estimated.estimated == {Part.OPEN}
    # Of a table this small the sample is all of it.
    assert estimated.total == replace(exact.total, oldest_pending_seconds=estimated.total.oldest_pending_seconds)
    assert estimated.groups.keys() == exact.groups.keys()


async def test_what_cannot_be_counted_in_time_is_estimated(
    store: PendingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(60))
    _, by_sample = count_statements.OF_PART[Part.OPEN]
    monkeypatch.setitem(count_statements.OF_PART, Part.OPEN, ("select pg_sleep(10)", by_sample))
    monkeypatch.setattr("pendingctl.store.reading.QUICK_TIMEOUT", timedelta(milliseconds=50))

    counts = await store.statistics.counts()

    assert Part.OPEN in counts.estimated
    # Of a table this small the sample is all of it.
    assert counts.total.pending == 60


def write(connection: psycopg.Connection, question_id: str, **seconds_ago: float) -> None:
    """Steps of the trail of one asking, each so long ago by one clock: that of the transaction."""
    with connection.transaction():
        for step, ago in seconds_ago.items():
            connection.execute(
                "insert into pending_trail (at, question_id, ask_number, organization_id, step, user_id, "
                "connection_id, application) "
                "values (now() - %s * interval '1 s', %s, 7, 'acme', %s, 'U1', 'slack', '')",
                [ago, question_id, step],
            )


async def test_answers_and_deliveries_are_timed_by_the_trail(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    write(connection, "a", asked=7_300, answered=100, delivered=98)
    write(connection, "b", asked=70, answered=60, delivered=20)
    write(connection, "again", asked=9_000, answered=8_000, delivered=7_000, redelivered=10, delivered_=9)
    connection.execute("update pending_trail set step = 'delivered' where step = 'delivered_'")
    write(connection, "expired", asked=50, expired=45, delivered=44)
    write(connection, "yesterday", asked=90_000, answered=86_400, delivered=80_000)

    times = await store.statistics.times(by=Grouping.USER)

    total = times.total
    assert (total.answers, total.deliveries) == (2, 4)
    assert total.answer_p50_seconds == pytest.approx((7_200 + 10) / 2, abs=0.1)
    assert total.delivery_p50_seconds == pytest.approx(1.5, abs=0.1)
    assert total.delivery_p95_seconds == pytest.approx(34.3, abs=1)
    assert times.groups == {("acme", "U1"): total}
    assert (await store.statistics.times(application="billing")).total.answers == 0


async def test_errors_are_counted_by_what_they_have_in_common(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for id, error in (
        ("a", "timeout after 3.1 s"),
        ("b", "timeout after 12 s"),
        ("c", "the worker replied 503 to request 8f14e45fceea167a"),
        ("d", "the worker replied 503 to request 45c48cce2e2d7fbd"),
        ("e", "the worker replied 500 to request 45c48cce2e2d7fbd"),
        ("f", "no run 6f1ed002-ab5a-4c9e-9f0a-1d2c3b4a5f60"),
    ):
        await store.leases.mark_failed(
            await claimed(store, id), error, retry_in=HOUR, most_attempts=3, permanent=id == "a"
        )
    await store.put("card", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    await fails(store, post, permanent=True)
    age(connection, hours=2, id="card")

    errors = await store.statistics.errors()

    assert [(each.trouble, each.error, each.rows, each.given_up) for each in errors] == [
        (Trouble.DELIVERY, "the worker replied 503 to request #", 2, 0),
        (Trouble.DELIVERY, "timeout after # s", 2, 1),
        (Trouble.CARD, "the platform is down", 1, 1),
        (Trouble.DELIVERY, "no run #", 1, 0),
        (Trouble.DELIVERY, "the worker replied 500 to request #", 1, 0),
    ]
    timeout, card = errors[1], errors[2]
    assert timeout.example == "a"
    assert timeout.next_attempt_seconds == pytest.approx(3_600, abs=60)
    assert (card.example, card.next_attempt_seconds) == ("card", None)
    assert card.oldest_seconds == pytest.approx(7_200, abs=60)


async def test_pods_are_listed_with_what_they_hold(pool: Pool, connection: psycopg.Connection) -> None:
    for name, application in (("pod-2", ""), ("pod-1", "billing")):
        heartbeat = Heartbeat(instance=uuid4(), version=__version__, connections=3, claims=0, cards=1, answers=2)
        await PendingStore(pool, application=application, pod=name).leases.beat(ANSWERS, heartbeat)
    connection.execute("update pending_pods set seen_at = now() - interval '31 s' where pod = 'pod-2'")

    statistics = PendingStore(pool).statistics
    alive, dead = await statistics.pods()

    assert (alive.pod, alive.application, alive.is_alive) == ("pod-1", "billing", True)
    assert (dead.pod, dead.is_alive, dead.connections, dead.cards, dead.answers) == ("pod-2", False, 3, 1, 2)
    assert [each.pod for each in await statistics.pods(application="billing")] == ["pod-1"]


async def test_keys_of_limits_are_counted_exactly_up_to_a_number(
    store: PendingStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection.execute("insert into pending_rate_limit select 'acme', i::text, now() from generate_series(1, 30) as i")
    exact = await store.statistics.limits()
    connection.execute("analyze pending_rate_limit")
    monkeypatch.setattr(statistics, "MOST_COUNTED", 20)
    estimated = await store.statistics.limits()

    assert (exact.keys, exact.is_estimate) == (30, False)
    assert (estimated.keys, estimated.is_estimate) == (30, True)
    assert exact.bytes > 0


async def test_a_standby_knows_no_limits_and_all_else(store: PendingStore, connection: psycopg.Connection) -> None:
    # What Postgres says of an unlogged table there.
    connection.execute("""
        drop table pending_rate_limit;
        create function unlogged() returns setof integer language plpgsql as
        $$ begin raise feature_not_supported; end $$;
        create view pending_rate_limit as select * from unlogged()
    """)

    found = await store.statistics.overview()

    assert (found.limits, found.counts.total.pending) == (None, 0)


async def test_what_a_role_may_not_read_is_not_known_and_all_else_is(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    connection.execute("drop table pending_trail; drop table pending_pods")

    found = await store.statistics.overview()

    assert (found.counts.total.pending, found.times, found.pods) == (1, None, None)
    assert found.storage is not None
    assert found.storage.trail_bytes is None
