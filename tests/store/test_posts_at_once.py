"""Pods that lease what is to be posted at the same moment, each with what it saw before the other changed it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest

from pendingctl import Claim, PendingStore
from pendingctl.leased import Duty
from pendingctl.model import Stored
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
                assert [post.question_id for post in await asyncio.wait_for(posts(store), 30)] == ["b"]
            case "answered":
                assert isinstance(await store.claim(click("b")), Claim)
            case "withdrawn":
                await store.withdraw("b", SCOPE)
            case _:
                connection.execute("update pending_interactions set expires_at = '-infinity' where id = 'b'")
        holding.rollback()

    assert [(post.question_id, post.duty) for post in await leasing] == [("a", duty)]


@pytest.mark.law(13)
async def test_of_callers_and_pods_at_the_same_moment_one_posts_the_card(store: PendingStore) -> None:
    for number in range(15):
        await store.put(f"q{number}", SCOPE, PAYLOAD, show=True)
        puts = [store.put(f"q{number}", SCOPE, PAYLOAD, show=True, posting=timedelta(seconds=30)) for _ in range(4)]
        *stored, one, other = await asyncio.gather(*puts, posts(store), posts(store))

        assert isinstance(one, list)
        assert isinstance(other, list)
        callers = [each for each in stored if isinstance(each, Stored) and each.is_to_be_posted]
        assert len(callers) + len(one) + len(other) == 1
