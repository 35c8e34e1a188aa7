"""Histories of streams that break a law in a way that is easily overlooked; each check finds its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pendingctl.race.history.history import Outcome
from pendingctl.race.streams.checker import judge_streams
from pendingctl.race.streams.history import EndingKind, ItemKind, StruckFault, Way
from pendingctl.race.streams.plan import HARMLESS, LOCKING, StreamFaultKind

from .histories import SECOND, TALK, Writing, cursor
from .test_checker import broken


@pytest.fixture
def writing() -> Writing:
    return Writing()


# numbers_without_gaps


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.REFUSED])
def test_an_append_that_surely_failed_and_is_there_is_found(writing: Writing, outcome: Outcome) -> None:
    writing.append("a")
    writing.append("b", way=Way.ROLLED_BACK, outcome=outcome)
    writing.read([writing.event(1), writing.event(2)])
    assert broken(writing.history()) == {"numbers_without_gaps"}


def test_an_event_that_nobody_has_appended_is_found(writing: Writing) -> None:
    writing.append("a")
    writing.append("b")
    writing.appends.pop()
    assert broken(writing.history()) == {"numbers_without_gaps"}


def test_a_part_of_an_append_without_a_reply_is_found(writing: Writing) -> None:
    append = writing.append("a", events=2, outcome=Outcome.UNKNOWN)
    writing.appends = [replace(append, events=3)]
    assert broken(writing.history()) == {"numbers_without_gaps"}


def test_a_part_of_a_transaction_without_a_reply_is_found(writing: Writing) -> None:
    writing.append("a/0", way=Way.TRANSACTION, transaction="a", outcome=Outcome.UNKNOWN)
    append = writing.append("a/1", stream="acme/other", way=Way.TRANSACTION, transaction="a", outcome=Outcome.UNKNOWN)
    writing.appends[-1] = replace(append, stream="acme/third")
    writing.events.pop()
    del writing.rows["acme/other"]
    assert broken(writing.history()) == {"numbers_without_gaps"}


def test_a_writer_that_was_given_too_many_numbers_is_found(writing: Writing) -> None:
    append = writing.append("a")
    writing.appends = [replace(append, last_seq=2)]
    assert broken(writing.history()) == {"numbers_without_gaps"}


def test_an_event_that_stands_in_another_stream_is_found(writing: Writing) -> None:
    writing.append("a")
    writing.append("b", stream="rival/talk")
    first, second = writing.events
    writing.events = [replace(first, data=second.data), replace(second, data=first.data)]
    assert broken(writing.history()) == {"numbers_without_gaps"}


# appends_in_order


def test_an_append_without_a_reply_that_comes_before_one_that_had_returned_is_found(writing: Writing) -> None:
    first, second = writing.append("a", outcome=Outcome.UNKNOWN), writing.append("b")
    writing.appends = [
        replace(first, started_ns=second.started_ns, ended_ns=None),
        replace(second, started_ns=first.started_ns, ended_ns=first.ended_ns),
    ]
    assert broken(writing.history()) == {"appends_in_order"}


def test_a_repeated_append_that_comes_before_one_that_had_returned_is_found(writing: Writing) -> None:
    first, second = writing.append("a", way=Way.EXPECTED), writing.append("b")
    late = replace(first, started_ns=second.started_ns, ended_ns=second.ended_ns)
    writing.appends = [
        late,
        replace(late, number=7, started_ns=writing.tick(), ended_ns=writing.tick(), is_repeated=True),
        replace(second, started_ns=first.started_ns, ended_ns=first.ended_ns),
    ]
    assert broken(writing.history()) == {"appends_in_order"}


def test_the_appends_of_a_transaction_in_another_order_are_found(writing: Writing) -> None:
    first = writing.append("a/1", way=Way.TRANSACTION, transaction="a")
    second = writing.append("a/0", way=Way.TRANSACTION, transaction="a", started=first.started_ns)
    writing.appends = [replace(second, number=0), replace(first, number=1, ended_ns=second.ended_ns)]
    assert broken(writing.history()) == {"appends_in_order"}


# each_event_once


def test_a_cursor_that_leads_past_what_its_reader_got_is_found(writing: Writing) -> None:
    writing.append("a", events=3)
    writing.read([replace(writing.event(1), cursor=cursor(2))])
    writing.read([writing.event(3)], after=cursor(2), pod="pod-8")
    assert broken(writing.history()) == {"each_event_once"}


# jumps_are_announced


def test_a_gap_over_what_was_there_later_is_found(writing: Writing) -> None:
    writing.append("a", events=2)
    writing.append("b")
    for _ in range(4):
        writing.turn()
    writing.read([writing.item(ItemKind.GAP, 1, 2), writing.event(3)])
    assert broken(writing.history()) == {"jumps_are_announced"}


def test_a_gap_over_numbers_that_no_event_ever_had_is_found(writing: Writing) -> None:
    writing.append("a")
    for _ in range(4):
        writing.turn()
    writing.events.clear()
    writing.read([writing.item(ItemKind.GAP, 1, 3)])
    writing.end(EndingKind.DELETE)
    writing.read([writing.item(ItemKind.END, 3)], after=cursor(3))
    assert broken(writing.history()) == {"jumps_are_announced"}


# another_history_is_a_reset


def _made_anew(writing: Writing) -> None:
    writing.append("a")
    writing.end(EndingKind.DELETE)
    writing.append("b", events=2)


def test_a_second_reset_for_one_deletion_is_found(writing: Writing) -> None:
    _made_anew(writing)
    again = [writing.item(ItemKind.RESET, 2), writing.event(1, id=2), writing.event(2, id=2)]
    writing.read([writing.event(1), *again, writing.item(ItemKind.RESET, 2), writing.event(1, id=2), again[-1]])
    assert broken(writing.history()) == {"another_history_is_a_reset"}


def test_the_history_before_a_reset_after_it_is_found(writing: Writing) -> None:
    _made_anew(writing)
    writing.end(EndingKind.DELETE)
    writing.append("c")
    reset = writing.item(ItemKind.RESET, 1)
    writing.read(
        [writing.event(1, id=2), reset, writing.event(1), writing.item(ItemKind.RESET, 1), writing.event(1, id=3)]
    )
    assert broken(writing.history()) == {"another_history_is_a_reset"}


# nothing_uncommitted


def test_an_event_that_came_before_its_commit_is_found(writing: Writing) -> None:
    early = writing.tick()
    writing.snapshot()
    writing.append("a")
    writing.read([replace(writing.event(1), at_ns=early)])
    assert broken(writing.history()) == {"nothing_uncommitted"}


# nothing_young_removed


def test_an_event_without_a_reply_that_was_removed_before_its_time_is_found(writing: Writing) -> None:
    writing.append("a", outcome=Outcome.UNKNOWN)
    writing.append("b")
    for _ in range(3):
        writing.turn()
    del writing.events[0]
    assert broken(writing.history()) == {"nothing_young_removed"}


# retry_appends_once


def test_a_repetition_that_is_refused_although_the_first_attempt_is_there_is_found(writing: Writing) -> None:
    first = writing.append("a", way=Way.EXPECTED, outcome=Outcome.UNKNOWN)
    writing.appends.append(
        replace(first, number=1, started_ns=writing.tick(), ended_ns=writing.tick(), outcome=Outcome.REFUSED)
    )
    assert broken(writing.history()) == {"retry_appends_once"}


# closed_stays_closed


def test_the_end_of_a_stream_that_nobody_has_ended_is_found(writing: Writing) -> None:
    writing.append("a")
    writing.read([writing.event(1), writing.item(ItemKind.END, 1)])
    assert broken(writing.history()) == {"closed_stays_closed"}


def test_the_end_of_a_stream_that_was_made_anew_and_not_ended_since_is_found(writing: Writing) -> None:
    _made_anew(writing)
    writing.read([writing.event(1, id=2), writing.event(2, id=2), writing.item(ItemKind.END, 2)])
    assert broken(writing.history()) == {"closed_stays_closed"}


def test_an_end_that_names_another_number_than_its_readers_is_found(writing: Writing) -> None:
    writing.append("a")
    event = writing.event(1)
    writing.end(EndingKind.DELETE)
    writing.read([event, writing.item(ItemKind.END, 7)])
    assert broken(writing.history()) == {"closed_stays_closed"}


def test_a_stream_that_was_deleted_and_is_there_is_found(writing: Writing) -> None:
    writing.append("a")
    event, row = writing.event(1), writing.rows[TALK]
    writing.end(EndingKind.DELETE)
    writing.rows[TALK] = row
    writing.read([event])
    assert broken(writing.history()) == {"closed_stays_closed"}


def test_an_append_to_a_history_that_was_deleted_is_found(writing: Writing) -> None:
    writing.append("a")
    event, row = writing.event(1), writing.rows[TALK]
    writing.end(EndingKind.DELETE)
    writing.rows[TALK] = row
    writing.append("b")
    del writing.rows[TALK]
    writing.read([event, writing.item(ItemKind.END, 1)])
    assert broken(writing.history()) == {"closed_stays_closed"}


# lock_holds_up_no_other, nobody_is_delayed


def _raced(writing: Writing, fault: StruckFault, way: Way, received_after: tuple[int, ...]) -> None:
    """Append beside a fault; a reader each gets that so long after, as it had got what was there before."""
    writing.append("before", stream="acme/other")
    before = writing.event(1)
    writing.now = 10 * SECOND
    writing.faults.append(replace(fault, started_ns=writing.now, ended_ns=writing.now + 8 * SECOND))
    append = writing.append("a", stream="acme/other", way=way)
    for number, after in enumerate(received_after):
        event = replace(writing.event(2), at_ns=append.started_ns + after)
        writing.read([before, event], reader=f"r{number}", stream="acme/other")


PROMPT, LATE = SECOND // 10, 3 * SECOND


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        (StreamFaultKind.LOCK, "lock_holds_up_no_other"),
        (StreamFaultKind.LONG_APPEND, "lock_holds_up_no_other"),
        (StreamFaultKind.BACKUP, "nobody_is_delayed"),
        (StreamFaultKind.LONG_TRANSACTION, "nobody_is_delayed"),
    ],
)
@pytest.mark.parametrize("way", [Way.ALONE, Way.TOGETHER, Way.EXPECTED])
def test_one_reader_that_is_held_up_beside_another_is_found(
    writing: Writing, kind: StreamFaultKind, law: str, way: Way
) -> None:
    fault = StruckFault(kind, 0, landed=True, stream=TALK)
    _raced(writing, fault, way, (PROMPT, LATE))
    assert broken(writing.history()) == {law}


@pytest.mark.parametrize("kind", [StreamFaultKind.LOCK, StreamFaultKind.LONG_TRANSACTION])
def test_readers_that_are_not_held_up_are_right(writing: Writing, kind: StreamFaultKind) -> None:
    _raced(writing, StruckFault(kind, 0, landed=True, stream=TALK), Way.ALONE, (PROMPT, PROMPT))
    assert broken(writing.history()) == set()


def test_readers_that_stall_hold_up_themselves_alone(writing: Writing) -> None:
    _raced(writing, StruckFault(StreamFaultKind.STALL, 0, landed=True), Way.ALONE, (PROMPT, LATE))
    assert broken(writing.history()) == set()


def test_a_transaction_waits_for_the_locked_stream_that_is_in_it(writing: Writing) -> None:
    fault = StruckFault(StreamFaultKind.LOCK, 0, landed=True, stream=TALK)
    _raced(writing, fault, Way.TRANSACTION, (LATE,))
    append = replace(writing.appends[-1], transaction="t")
    locked = writing.append("t/0", way=Way.TRANSACTION, transaction="t", started=append.started_ns)
    writing.appends[-2:] = [append, locked]
    writing.read([writing.event(1, id=2)], reader="r9")
    assert broken(writing.history()) == set()


@pytest.mark.parametrize("kind", sorted(LOCKING | HARMLESS))
def test_a_fault_beside_which_nothing_was_appended_shows_no_delay(writing: Writing, kind: StreamFaultKind) -> None:
    said = f"nothing was appended this way that the fault {kind} might have held up: "
    _raced(writing, StruckFault(kind, 0, landed=True, stream=TALK), Way.ALONE, (PROMPT,))

    reasons = judge_streams(writing.history()).reasons

    assert said + Way.TOGETHER in reasons
    assert said + Way.ALONE not in reasons
