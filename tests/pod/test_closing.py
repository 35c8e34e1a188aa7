"""A pod that closes accepts nothing any more, and ends in time whatever hangs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from datetime import timedelta

import pytest

from pendingctl import AskOutcome, PendingStore, ReplyKind, State
from pendingctl.errors import DatabaseFailed
from pendingctl.leased import LeasedAnswer, PostedCard, Unreadable
from pendingctl.pod import bridge, cards, delivery, giving_back
from pendingctl.pod.background import Background
from pendingctl.pod.take_over import AT_ONCE
from pendingctl.postgres.connections import Pool
from pendingctl.schedule import MAX_AGE
from pendingctl.store.leases import Leases
from tests.deliveries import state_of, until, until_state
from tests.pods import QUESTION, FindingPlatform, Pod, failing
from tests.questions import click


async def hang() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("what", ["post", "edit", "worker", "note", "all"])
async def test_a_pod_ends_at_its_one_deadline_whatever_hangs(store: PendingStore, pool: Pool, what: str) -> None:
    class Hanging(Leases):
        async def mark_posted(self, posted: Collection[PostedCard], *, max_age: timedelta = MAX_AGE) -> set[str]:
            if what in {"note", "all"}:
                await hang()
            return await super().mark_posted(posted, max_age=max_age)

    store.leases = Hanging(pool)
    pod = Pod(store)
    pod.bridge.start()
    await pod.bridge.ask(QUESTION, event_id="e")
    if what in {"edit", "all"}:
        pod.platform.before_edit = hang
    if what in {"worker", "all"}:
        pod.before_answer = hang
    assert await pod.click() is ReplyKind.ANSWERED
    if what not in {"worker", "all"}:
        await until_state(store, State.CLAIMED)
    posting = None
    if what in {"post", "all"}:
        is_posting = asyncio.Event()

        async def post_for_ever() -> None:
            is_posting.set()
            await hang()

        pod.platform.before_card = post_for_ever
        posting = asyncio.create_task(pod.bridge.ask(replace(QUESTION, id="q-2"), event_id="e"))
        await is_posting.wait()

    closing = asyncio.create_task(pod.bridge.close(within=timedelta(seconds=0.5)))
    await asyncio.sleep(0)
    # Refused from the first moment on.
    assert await pod.click("later") is ReplyKind.CANNOT_SERVE
    assert await pod.bridge.ask(replace(QUESTION, id="q-3"), event_id="e") is AskOutcome.CANNOT_SERVE
    async with asyncio.timeout(20):
        await closing
    if posting is not None:
        with pytest.raises(asyncio.CancelledError):
            await posting
    assert await state_of(store) is (State.UNDELIVERED if what in {"worker", "all"} else State.CLAIMED)


@pytest.mark.law(16)
async def test_what_comes_after_the_deadline_is_done_side_by_side_where_the_database_is_silent(
    store: PendingStore, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is begun last finds all the others under way, and all of them end."""
    names = {"give_back", "give_back_posts", "leave", "mark_posted", "note"}
    begun: set[str] = set()
    have_begun = asyncio.Event()

    def silent(name: str) -> Callable[..., Awaitable[set[str]]]:
        async def be_silent(*_: object, **__: object) -> set[str]:
            begun.add(name)
            if begun >= names:
                have_begun.set()
            await have_begun.wait()
            return set()

        return be_silent

    for name in ("give_back", "give_back_posts", "leave", "mark_posted", "mark_edited"):
        monkeypatch.setattr(store.leases, name, silent(name))
    monkeypatch.setattr(store.trail, "note", silent("note"))
    # None of them is given up before the others have begun, however busy the machine is.
    for module in (bridge, cards, delivery, giving_back):
        monkeypatch.setattr(module, "LAST_SECONDS", 60.0)
    pod = Pod(store, platform=(platform := FindingPlatform()))
    pod.before_answer = hang
    pod.bridge.start()
    await pod.bridge.ask(QUESTION, event_id="e")
    assert await pod.click() is ReplyKind.ANSWERED
    assert await pod.click("later", user="U2") is ReplyKind.NOT_YOURS
    platform.before_card = failing(TimeoutError())
    await pod.bridge.ask(replace(QUESTION, id="q-2"), event_id="e")
    async with pool.connection() as connection:
        await connection.execute("update pending_interactions set post_due_at = now() where id = 'q-2'")
    platform.before_find = hang
    await until(lambda: bool(platform.searches))
    # A note about a card is under way, and is begun anew.
    begun.clear()

    async with asyncio.timeout(20):
        await pod.bridge.close(within=timedelta(seconds=0.5))

    assert begun >= names


async def test_a_pod_ends_although_its_platform_swallows_the_cancellation(store: PendingStore) -> None:
    pod = Pod(store)
    going = asyncio.Event()

    async def be_stubborn() -> None:
        while not going.is_set():
            try:
                await going.wait()
            except asyncio.CancelledError:
                continue

    await pod.bridge.ask(QUESTION, event_id="e")
    pod.platform.before_edit = be_stubborn
    await pod.click()
    async with asyncio.timeout(20):
        await pod.bridge.close(within=timedelta(seconds=0.2))
    going.set()


async def test_what_nobody_awaits_is_logged_when_it_fails(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("nobody would see this")

    background = Background()
    background.leave(fail(), "card of q")
    await background.drain(time.monotonic() + 5)
    await asyncio.sleep(0)

    assert "card of q has failed" in caplog.text
    assert "nobody would see this" in caplog.text


async def test_taking_over_begins_anew_after_an_error_that_nobody_expected(
    store: PendingStore, pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(Leases):
        tries = 0

        async def lease(
            self,
            *,
            lease: timedelta,
            limit: int,
            most_attempts: int,
            after: str = "",
            busy: Collection[str] = (),
            endings: bool = False,  # noqa: ARG002
        ) -> list[LeasedAnswer | Unreadable]:
            self.tries += 1
            if self.tries == 1:
                raise UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte")
            return await super().lease(lease=lease, limit=limit, most_attempts=most_attempts, after=after, busy=busy)

    await store.put("q", QUESTION.scope, QUESTION.payload())
    store.leases = Broken(pool)
    pod = Pod(store)
    async with pod.bridge:
        await store.claim(click(), lease=timedelta())
        await until(lambda: bool(pod.answers))
    assert "invalid start byte" in caplog.text


async def test_a_mark_of_an_unreadable_answer_that_fails_is_logged(
    store: PendingStore, pool: Pool, caplog: pytest.LogCaptureFixture
) -> None:
    class Away(Leases):
        async def mark_failed(
            self,
            leased: LeasedAnswer | Unreadable,
            error: str,
            *,
            retry_in: timedelta,
            most_attempts: int,
            permanent: bool = False,
        ) -> State | None:
            raise DatabaseFailed(f"{leased.token} {error} {retry_in} {most_attempts} {permanent}")

    await store.put("q", QUESTION.scope, QUESTION.payload())
    await store.claim(click(), lease=timedelta())
    async with store.transaction() as connection:
        await connection.execute("update pending_interactions set entry_payload = '[1]'")
    store.leases = Away(pool)
    async with Pod(store).bridge:
        await until(lambda: "mark of the unreadable answer of question 'q' has failed" in caplog.text)


@pytest.mark.law(13)
async def test_a_pod_that_closes_takes_over_no_more_cards_while_others_are_under_way(store: PendingStore) -> None:
    pod = Pod(store)
    posting, may_end, began = asyncio.Event(), asyncio.Event(), 0

    async def be_slow() -> None:
        nonlocal began
        began += 1
        if began == 1:
            await may_end.wait()
        posting.set()
        await asyncio.sleep(0.02)

    pod.platform.before_card = be_slow
    asking = asyncio.create_task(pod.bridge.ask(QUESTION, event_id="e"))
    await until(lambda: began == 1)
    many = ((f"due {number}", QUESTION.scope, QUESTION.payload()) for number in range(100))
    await store.put_many(many, show=True)
    pod.bridge.start()
    await until(posting.is_set)
    before = began
    closing = asyncio.create_task(pod.bridge.close(within=timedelta(seconds=20)))
    taking_over = pod.bridge._posts._due
    await until(lambda: taking_over._task is not None and taking_over._task.done() and len(taking_over) == 0)
    so_far = began
    assert not asking.done()
    may_end.set()
    await closing

    # And what it was about to lease.
    assert began == so_far <= before + AT_ONCE
    assert await asking is AskOutcome.POSTED


async def test_a_pod_closes_in_time_over_a_platform_that_hangs(
    store: PendingStore, caplog: pytest.LogCaptureFixture
) -> None:
    pod = Pod(store)
    posting = asyncio.Event()

    async def hang() -> None:
        posting.set()
        await asyncio.Event().wait()

    pod.platform.before_card = hang
    asking = asyncio.create_task(pod.bridge.ask(QUESTION, event_id="e"))
    await until(posting.is_set)
    async with asyncio.timeout(20):
        await pod.bridge.close(within=timedelta(seconds=0.1))

    assert "card of 'q' is given up" in caplog.text
    with pytest.raises(asyncio.CancelledError):
        await asking
