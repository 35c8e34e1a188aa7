"""Clicks that have won nothing: what of them a pod leaves in the trail, and how little a storm of them costs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from itertools import islice

import psycopg
import pytest

from pendingctl import Click, PendingStore
from pendingctl.errors import DatabaseUnreachable, InvalidInput
from pendingctl.pod.refused_clicks import ENTRIES_AN_HOUR, FLUSH_SECONDS, HOUR_SECONDS, MOST_COUNTED, RefusedClicks
from pendingctl.pod.replies import ReplyKind
from pendingctl.trail import Presses
from tests.pods import QUESTION, Pod, hang
from tests.questions import click


class Trail:
    """Takes presses down, unless it is `away`; there is no room for those of the users in `full`."""

    def __init__(self) -> None:
        self.noted: list[Presses] = []
        self.is_away = False
        self.full: set[str] = set()

    async def note(self, presses: Sequence[Presses]) -> list[Presses]:
        if self.is_away:
            raise DatabaseUnreachable("no server")
        without_room = [each for each in presses if each.user_id in self.full]
        self.noted += [each for each in presses if each not in without_room]
        return without_room

    @property
    def by_user(self) -> list[tuple[str | None, str | None, int]]:
        """Who pressed, why it was refused, and how often."""
        return [(each.user_id, each.reason, each.presses) for each in self.noted]


class Clock:
    """Time that a test lets pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def trail() -> Trail:
    return Trail()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def clicks(trail: Trail, clock: Clock) -> RefusedClicks:
    return RefusedClicks(trail, clock=clock)


def by(user: str, id: str = "q") -> Click:
    """A click of this user."""
    return click(id, user_id=user)


async def test_clicks_of_one_user_for_one_reason_are_one_entry(
    clicks: RefusedClicks, trail: Trail, clock: Clock
) -> None:
    for user in ("U2", "U3", "U2", "U2"):
        clicks.refused(by(user), "not_yours")
    clicks.repeated(by("U1"))
    clock.now += 5
    await clicks.flush()
    await clicks.flush()

    assert trail.by_user == [("U2", "not_yours", 3), ("U3", "not_yours", 1), ("U1", None, 1)]
    assert {each.seconds_ago for each in trail.noted} == {5}


async def test_they_are_written_every_other_second_and_only_if_there_are_any(
    clicks: RefusedClicks, clock: Clock
) -> None:
    clock.now += FLUSH_SECONDS
    assert not clicks.is_due()
    clicks.refused(by("U2"), "not_yours")
    assert clicks.is_due()
    await clicks.flush()
    clicks.refused(by("U2"), "not_yours")
    assert not clicks.is_due()


async def test_a_storm_on_one_question_is_a_few_entries_and_a_number(
    clicks: RefusedClicks, trail: Trail, clock: Clock
) -> None:
    for number in range(1_000):
        clicks.refused(by(f"U{number}"), "not_yours")
    await clicks.flush()
    assert len(trail.noted) == ENTRIES_AN_HOUR

    clicks.refused(by("U2", "another"), "not_yours")
    clock.now += HOUR_SECONDS
    assert clicks.is_due()
    await clicks.flush()
    assert trail.by_user[ENTRIES_AN_HOUR:] == [("U2", "not_yours", 1), (None, "more", 1_000 - ENTRIES_AN_HOUR)]


async def test_clicks_on_questions_that_are_not_there_are_few_entries_of_their_organization(
    clicks: RefusedClicks, trail: Trail
) -> None:
    """Or a stranger could fill the trail by making up ids."""
    for number in range(1_000):
        clicks.refused(by(f"U{number % 2 + 1}", f"q{number}"), "unknown_or_expired")
    clicks.refused(by("U3"), "not_yours")
    await clicks.flush(last=True)

    assert len(trail.noted) == ENTRIES_AN_HOUR + 2
    assert trail.by_user[-2:] == [("U3", "not_yours", 1), (None, "more", 1_000 - ENTRIES_AN_HOUR)]


async def test_whoever_presses_for_ever_hides_no_other_users_clicks(
    clicks: RefusedClicks, trail: Trail, clock: Clock
) -> None:
    """Neither on a question that does not ask them, nor on one that is not there."""
    for _ in range(ENTRIES_AN_HOUR + 5):
        for reason in ("not_yours", "unknown_or_expired"):
            clicks.refused(by("U9"), reason)
        clock.now += FLUSH_SECONDS
        await clicks.flush()
    clicks.refused(by("U2"), "not_yours")
    clicks.refused(by("U1"), "unknown_or_expired")
    await clicks.flush()

    assert trail.by_user[-2:] == [("U2", "not_yours", 1), ("U1", "unknown_or_expired", 1)]


async def test_a_crowd_that_a_question_does_not_ask_hides_no_click_of_the_user_whom_it_asks(
    clicks: RefusedClicks, trail: Trail
) -> None:
    for number in range(2, 100):
        clicks.refused(by(f"U{number}"), "not_yours")
        clicks.refused(by(f"U{number}"), "unknown_or_expired")
    clicks.refused(by("U1"), "invalid_answer")
    clicks.refused(by("U1"), "cannot_serve")
    await clicks.flush()

    assert trail.by_user[-2:] == [("U1", "invalid_answer", 1), ("U1", "cannot_serve", 1)]


async def test_clicks_on_any_number_of_questions_are_bounded_in_memory(clicks: RefusedClicks, trail: Trail) -> None:
    for number in range(MOST_COUNTED + 10):
        clicks.refused(by("U2", f"q{number}"), "not_yours")
    await clicks.flush()

    assert len(trail.noted) == MOST_COUNTED


async def test_what_the_trail_has_no_room_for_is_counted_and_comes_at_the_end_of_the_hour(
    clicks: RefusedClicks, trail: Trail, clock: Clock
) -> None:
    """Other pods have written all that one question may have."""
    trail.full = {"U2"}
    clicks.refused(by("U2"), "not_yours")
    await clicks.flush()
    clicks.refused(by("U3"), "not_yours")
    clock.now += HOUR_SECONDS
    await clicks.flush()

    assert trail.by_user == [(None, "more", 2)]


async def test_while_the_database_is_away_they_are_kept_and_counted_on(clicks: RefusedClicks, trail: Trail) -> None:
    trail.is_away = True
    clicks.refused(by("U2"), "cannot_serve")
    await clicks.flush()
    clicks.refused(by("U2"), "cannot_serve")
    await clicks.flush()
    trail.is_away = False
    await clicks.flush()

    assert trail.by_user == [("U2", "cannot_serve", 2)]


async def test_those_without_room_keep_their_time_while_the_database_is_away(
    clicks: RefusedClicks, trail: Trail, clock: Clock
) -> None:
    clock.now = 10_000_000
    for number in range(ENTRIES_AN_HOUR + 1):
        clicks.refused(by(f"U{number}"), "not_yours")
    await clicks.flush()
    clock.now += HOUR_SECONDS
    trail.is_away = True
    await clicks.flush()
    trail.is_away = False
    await clicks.flush(last=True)

    assert [(each.reason, each.seconds_ago) for each in trail.noted[ENTRIES_AN_HOUR:]] == [("more", HOUR_SECONDS)]


async def test_they_are_bounded_in_memory_however_long_the_database_is_away(
    clicks: RefusedClicks, trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others come while a note is under way, and that fails."""
    numbers = iter(range(10 * MOST_COUNTED))

    async def fails(presses: Sequence[Presses]) -> list[Presses]:  # noqa: ARG001
        for number in islice(numbers, MOST_COUNTED):
            clicks.refused(by("U2", f"q{number}"), "not_yours")
        raise DatabaseUnreachable("no server")

    clicks.refused(by("U2"), "not_yours")
    with monkeypatch.context() as away:
        away.setattr(trail, "note", fails)
        for _ in range(5):
            await clicks.flush()
    await clicks.flush(last=True)

    assert len([each for each in trail.noted if each.reason == "not_yours"]) == MOST_COUNTED
    assert sum(each.presses for each in trail.noted) == 5 * MOST_COUNTED + 1


async def test_one_that_the_databases_encoding_cannot_hold_fails_nobody_elses_entry(
    clicks: RefusedClicks, trail: Trail, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = trail.note

    async def note_ascii(presses: Sequence[Presses]) -> list[Presses]:
        if not all(each.question_id.isascii() for each in presses):
            raise InvalidInput("the database's encoding lacks a character")
        return await note(presses)

    monkeypatch.setattr(trail, "note", note_ascii)
    for number, id in enumerate(("q", "q", "\N{WAVING HAND SIGN}", "q")):
        clicks.refused(by(f"U{number}", id), "cannot_serve")
    await clicks.flush()
    await clicks.flush(last=True)

    assert [each.user_id for each in trail.noted] == ["U0", "U1", "U3"]


async def test_an_ask_number_that_no_row_can_have_fails_nobody_elses_entry(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    clicks = RefusedClicks(store.trail)
    for number in (-1, 2**31, 10**30):
        clicks.refused(click(ask_number=number), "unknown_or_expired")
    clicks.refused(by("U3"), "not_yours")
    await clicks.flush()

    assert connection.execute("select count(*), count(ask_number) from pending_trail").fetchone() == (2, 0)


async def test_a_pod_leaves_each_kind_of_click_that_won_nothing(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    pod = Pod(store)
    assert await pod.click() is ReplyKind.UNKNOWN_OR_EXPIRED
    await pod.bridge.ask(QUESTION, event_id="e")
    assert await pod.click(user="U2") is ReplyKind.NOT_YOURS
    assert await pod.click() is ReplyKind.ANSWERED
    assert await pod.click() is ReplyKind.ANSWERED
    assert await pod.click(key="again") is ReplyKind.ALREADY_ANSWERED
    pod.bridge.unregister("acme", "slack")
    assert await pod.click() is ReplyKind.CANNOT_SERVE
    await pod.bridge.close()

    query = "select step, user_id, detail from pending_trail where presses is not null order by id"
    assert connection.execute(query).fetchall() == [
        ("refused", "U1", "unknown_or_expired"),
        ("refused", "U2", "not_yours"),
        ("repeated", "U1", None),
        ("refused", "U1", "already_answered"),
        ("refused", "U1", "cannot_serve"),
    ]


async def test_a_pod_that_closes_waits_no_longer_for_them_than_it_may(
    store: PendingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As while somebody has locked the trail."""

    async def waits(presses: Sequence[Presses]) -> list[Presses]:  # noqa: ARG001
        await hang()
        return []

    monkeypatch.setattr(store.trail, "note", waits)
    pod = Pod(store)
    assert await pod.click() is ReplyKind.UNKNOWN_OR_EXPIRED

    async with asyncio.timeout(20):
        await pod.bridge.close(within=timedelta(seconds=0.1))
