"""What a worker learns of an ending beside its value: who answered, and why a default did not."""

from __future__ import annotations

import json
from datetime import timedelta

import psycopg

from pendingctl import HttpSink, LeasedAnswer, PendingStore, PostgresSink
from pendingctl.model import Outcome
from tests.deliveries import lease
from tests.endings import EVERYTHING, HOUR, endings, pass_the_deadline
from tests.http_worker import working
from tests.questions import PAYLOAD, SCOPE, click

INSERT = """
    insert into ending (question, outcome, asked, answered_by, reason)
    values (%(question_id)s, %(outcome)s, %(user_id)s, %(answered_by)s, %(reason)s)
"""


async def ended(store: PendingStore, connection: psycopg.Connection) -> list[LeasedAnswer]:
    """An answer by the user to whom its question was escalated, and a question that expired since nobody saw it."""
    await store.leases.hear(EVERYTHING)
    await store.put("escalated", SCOPE, PAYLOAD, show=True, escalate_after=HOUR, escalate_to="U2")
    connection.execute("update pending_interactions set escalate_at = now()")
    await store.claim(click("escalated", user_id="U2"), lease=timedelta(0))
    await store.put("unseen", SCOPE, PAYLOAD, expires_in=HOUR, default="no")
    pass_the_deadline(connection, "unseen")
    await store.leases.expire(limit=10)
    return [*await lease(store), *await endings(store)]


async def test_a_url_gets_who_answered_and_why_a_default_did_not(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    async with working() as worker, HttpSink(worker.url, outcomes=EVERYTHING) as sink:
        for each in await ended(store, connection):
            assert await sink.deliver(each, store.leases)

    bodies = [json.loads(request.body) for request in worker.requests]
    assert [(body["outcome"], body["user_id"], body["answered_by"], body["reason"]) for body in bodies] == [
        ("answered", "U1", "U2", None),
        ("expired", "U1", None, "its card was never posted"),
    ]


async def test_a_statement_has_who_answered_and_why_a_default_did_not(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    connection.execute("create table ending (question text, outcome text, asked text, answered_by text, reason text)")
    sink = PostgresSink(INSERT, outcomes=EVERYTHING)
    for each in await ended(store, connection):
        assert await sink.deliver(each, store.leases)

    assert connection.execute("select * from ending order by question").fetchall() == [
        ("escalated", Outcome.ANSWERED, "U1", "U2", None),
        ("unseen", Outcome.EXPIRED, "U1", None, "its card was never posted"),
    ]
