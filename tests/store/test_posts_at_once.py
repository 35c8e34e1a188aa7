"""Pods that lease what is to be posted at the same moment, each with what it saw before the other changed it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Claim, PendingStore
from pendingctl.model import Duty
from tests.endings import HOUR
from tests.locks import until_waiting_for_a_lock
from tests.posts import note, posts
from tests.questions import PAYLOAD, SCOPE, click

# A pod that writes row a waits there, and has seen the others as due.
STOP_AT_A = """
    create function stop() returns trigger language plpgsql as $$
    begin
        perform pg_advisory_xact_lock(1);
        return new;
    end $$;
    create trigger stop before update on pending_interactions
        for each row when (old.id = 'a' and old.post_due_at is distinct from new.post_due_at) execute function stop();
"""


@pytest.mark.parametrize("became", ["leased by another pod", "answered", "withdrawn", "past its deadline"])
@pytest.mark.parametrize("duty", Duty)
@pytest.mark.law(13)
async def test_a_pod_that_saw_a_row_before_it_changed_does_not_post_it(
    store: PendingStore, connection: psycopg.Connection, dsn: str, became: str, duty: Duty
) -> None:
    for id in ("a", "b"):
        await store.put(
            id,
            SCOPE,
            PAYLOAD,
            show=True,
            remind_every=HOUR,
            expires_in=2 * HOUR,
            escalate_after=timedelta(microseconds=1) if duty is Duty.ESCALATION else HOUR,
            escalate_to="U2",
        )
    if duty is not Duty.CARD:
        for post in await posts(store):
            await note(store, post)
    connection.execute("update pending_interactions set post_due_at = now() - interval '1 s' * (id = 'a')::integer")
    connection.execute(STOP_AT_A)
    with psycopg.connect(dsn) as holding:
        holding.execute("select pg_advisory_xact_lock(1)")
        leasing = asyncio.create_task(posts(store))
        await until_waiting_for_a_lock(connection)
        match became:
            case "leased by another pod":
                assert [post.question_id for post in await asyncio.wait_for(posts(store), 5)] == ["b"]
            case "answered":
                assert isinstance(await store.claim(click("b")), Claim)
            case "withdrawn":
                await store.withdraw("b", SCOPE)
            case _:
                connection.execute("update pending_interactions set expires_at = '-infinity' where id = 'b'")
        holding.rollback()

    assert [(post.question_id, post.duty) for post in await leasing] == [("a", duty)]
