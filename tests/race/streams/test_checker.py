from __future__ import annotations

from dataclasses import replace

import pytest

from pendingctl.race.history.history import Outcome
from pendingctl.race.streams.checker import STREAM_CHECKS, judge_streams
from pendingctl.race.streams.history import (
    Append,
    EndingKind,
    Item,
    ItemKind,
    StreamHistory,
    StruckFault,
    Tag,
    Way,
)
from pendingctl.race.streams.plan import LEAVING_BEHIND, StreamFaultKind
from pendingctl.race.verdict.checker import Verdict

from .histories import SECOND, TALK, Writing, cursor


def broken(history: StreamHistory) -> set[str]:
    """Which checks fail."""
    return {check.name for check in judge_streams(history).checks if check.verdict is Verdict.FAIL}


@pytest.fixture
def writing() -> Writing:
    return Writing()


def test_readers_that_got_everything_break_nothing(writing: Writing) -> None:
    writing.append("a", events=2)
    writing.append("b")
    writing.read([writing.event(1)])
    writing.read([writing.event(2), writing.event(3)], after=cursor(1), pod="pod-8")
    assert broken(writing.history()) == set()


def test_every_check_has_a_result(writing: Writing) -> None:
    assert tuple(check.name for check in judge_streams(writing.history()).checks) == STREAM_CHECKS


def test_a_number_that_is_missing_is_found(writing: Writing) -> None:
    writing.append("a", events=3)
    del writing.events[1]
    assert "numbers_without_gaps" in broken(writing.history())


def test_a_number_that_two_events_have_is_found(writing: Writing) -> None:
    writing.append("a")
    writing.store(1, 1, Tag(TALK, "b", 0))
    assert "numbers_without_gaps" in broken(writing.history())


def test_an_acknowledged_event_that_is_not_there_is_found(writing: Writing) -> None:
    append = writing.append("a")
    writing.appends.append(replace(append, name="b", number=1))
    assert "numbers_without_gaps" in broken(writing.history())


def test_an_append_after_another_that_comes_before_it_is_found(writing: Writing) -> None:
    first, second = writing.append("a"), writing.append("b")
    writing.appends = [
        replace(first, started_ns=second.started_ns, ended_ns=second.ended_ns),
        replace(second, started_ns=first.started_ns, ended_ns=first.ended_ns),
    ]
    assert broken(writing.history()) == {"appends_in_order"}


def test_appends_at_the_same_time_may_come_in_either_order(writing: Writing) -> None:
    first, second = writing.append("a"), writing.append("b")
    writing.appends = [replace(first, ended_ns=second.ended_ns), replace(second, started_ns=first.started_ns)]
    assert broken(writing.history()) == set()


def test_an_event_between_those_of_one_append_is_found(writing: Writing) -> None:
    writing.append("a", events=2)
    writing.append("b")
    one, two, three = writing.events
    writing.events = [one, replace(two, data=three.data), replace(three, data=two.data)]
    assert "appends_in_order" in broken(writing.history())


def test_an_event_between_those_of_one_transaction_is_found(writing: Writing) -> None:
    writing.append("a/0", way=Way.TRANSACTION, transaction="a")
    writing.append("b")
    writing.append("a/1", way=Way.TRANSACTION, transaction="a")
    assert broken(writing.history()) == {"appends_in_order"}


def test_an_event_that_comes_twice_is_found(writing: Writing) -> None:
    writing.append("a", events=2)
    writing.read([writing.event(1), writing.event(1), writing.event(2)])
    assert broken(writing.history()) == {"each_event_once"}


def test_an_event_that_is_skipped_is_found(writing: Writing) -> None:
    writing.append("a", events=3)
    writing.read([writing.event(1), writing.event(3)])
    assert broken(writing.history()) == {"each_event_once", "jumps_are_announced"}


def test_an_event_that_is_skipped_between_two_pods_is_found(writing: Writing) -> None:
    writing.append("a", events=3)
    writing.read([writing.event(1)])
    writing.read([writing.event(3)], after=cursor(1), pod="pod-8")
    assert "each_event_once" in broken(writing.history())


def test_a_gap_that_names_what_is_still_there_is_found(writing: Writing) -> None:
    writing.append("a", events=3)
    writing.read([writing.event(1), writing.item(ItemKind.GAP, 2), writing.event(3)])
    assert broken(writing.history()) == {"jumps_are_announced"}


def test_a_gap_that_names_too_little_is_found(writing: Writing) -> None:
    writing.append("a", events=3)
    for _ in range(4):
        writing.turn()
    writing.read([writing.item(ItemKind.GAP, 1), writing.event(3)])
    assert "jumps_are_announced" in broken(writing.history())


def test_a_gap_over_what_the_ring_has_removed_is_right(writing: Writing) -> None:
    writing.append("a", events=2)
    events = [writing.event(1), writing.event(2)]
    writing.append("b")
    for _ in range(4):
        writing.turn()
    writing.events = writing.events[2:]
    writing.read([writing.item(ItemKind.GAP, 1, 2), writing.event(3)])
    writing.read([*events, writing.event(3)], reader="r2")
    assert broken(writing.history()) == set()


def test_another_history_without_a_reset_is_found(writing: Writing) -> None:
    writing.append("a", events=2)
    read = writing.event(1)
    writing.end(EndingKind.DELETE)
    writing.append("b", events=2)
    writing.read([read, writing.event(2, id=2)])
    assert "another_history_is_a_reset" in broken(writing.history())


def test_another_history_after_a_reset_is_right(writing: Writing) -> None:
    writing.append("a", events=2)
    read = writing.event(1)
    writing.end(EndingKind.DELETE)
    writing.append("b", events=2)
    writing.read([read, writing.item(ItemKind.RESET, 2), writing.event(1, id=2), writing.event(2, id=2)])
    assert broken(writing.history()) == set()


def test_a_reset_within_one_history_is_found(writing: Writing) -> None:
    writing.append("a", events=2)
    writing.read([writing.event(1), writing.item(ItemKind.RESET, 2), writing.event(1), writing.event(2)])
    assert broken(writing.history()) == {"another_history_is_a_reset"}


def test_an_event_of_another_organization_is_found(writing: Writing) -> None:
    writing.append("a")
    writing.append("b", stream="rival/talk")
    writing.read([writing.event(1, id=2)])
    assert "only_its_organization" in broken(writing.history())


def test_an_event_that_was_never_committed_is_found(writing: Writing) -> None:
    writing.append("a")
    item = Item(writing.tick(), ItemKind.EVENT, 2, 2, "", str(Tag(TALK, "b", 0)))
    writing.read([writing.event(1), item])
    assert "nothing_uncommitted" in broken(writing.history())


def test_an_event_that_never_comes_is_found(writing: Writing) -> None:
    writing.append("a", events=2)
    writing.read([writing.event(1)])
    assert broken(writing.history()) == {"all_arrives"}


@pytest.mark.parametrize("kind", EndingKind)
def test_an_end_that_never_comes_is_found(writing: Writing, kind: EndingKind) -> None:
    writing.append("a")
    writing.read([writing.event(1)])
    writing.end(kind)
    assert broken(writing.history()) == {"all_arrives"}


@pytest.mark.parametrize("kind", EndingKind)
def test_readers_that_got_the_end_break_nothing(writing: Writing, kind: EndingKind) -> None:
    writing.append("a")
    event = writing.event(1)
    writing.end(kind)
    writing.read([event, writing.item(ItemKind.END, 1)])
    assert broken(writing.history()) == set()


def test_an_item_after_the_end_is_found(writing: Writing) -> None:
    writing.append("a", events=2)
    writing.end(EndingKind.CLOSE)
    writing.read([writing.event(1), writing.item(ItemKind.END, 1), writing.event(2), writing.item(ItemKind.END, 2)])
    assert broken(writing.history()) == {"closed_stays_closed"}


def test_an_append_after_the_close_is_found(writing: Writing) -> None:
    writing.append("a")
    writing.end(EndingKind.CLOSE)
    writing.append("b")
    assert "closed_stays_closed" in broken(writing.history())


def test_what_was_removed_before_its_time_is_found(writing: Writing) -> None:
    writing.append("a")
    writing.append("b")
    for _ in range(3):
        writing.turn()
    del writing.events[0]
    assert broken(writing.history()) == {"nothing_young_removed"}


def test_what_was_removed_after_four_turns_is_not(writing: Writing) -> None:
    writing.append("a")
    writing.append("b")
    for _ in range(4):
        writing.turn()
    writing.events.clear()
    assert broken(writing.history()) == set()


def test_a_repetition_that_appends_again_is_found(writing: Writing) -> None:
    first = writing.append("a", way=Way.EXPECTED)
    second = writing.append("a", way=Way.EXPECTED)
    assert first.first_seq != second.first_seq
    assert broken(writing.history()) == {"retry_appends_once"}


def test_a_repetition_that_returns_the_same_is_right(writing: Writing) -> None:
    first = writing.append("a", way=Way.EXPECTED)
    writing.appends.append(
        replace(first, number=1, is_repeated=True, started_ns=writing.tick(), ended_ns=writing.tick())
    )
    assert broken(writing.history()) == set()


def test_a_repetition_that_is_refused_is_found(writing: Writing) -> None:
    first = writing.append("a", way=Way.EXPECTED)
    writing.appends.append(
        replace(first, number=1, started_ns=writing.tick(), ended_ns=writing.tick(), outcome=Outcome.REFUSED)
    )
    assert broken(writing.history()) == {"retry_appends_once"}


def _failed_over(writing: Writing) -> Item:
    """Append what a failover then loses, and return it as a reader got it."""
    writing.append("a")
    began = writing.tick()
    writing.append("b")
    lost = writing.event(2)
    writing.snapshot()
    writing.lose(began, last_seq=1)
    writing.append("c")
    return lost


def test_what_a_failover_has_lost_is_told_as_a_reset(writing: Writing) -> None:
    lost = _failed_over(writing)
    again = [writing.item(ItemKind.RESET, 2), writing.event(1), writing.event(2)]
    writing.read([writing.event(1), lost, *again])
    assert broken(writing.history()) == set()


def test_what_follows_what_a_failover_has_lost_without_a_reset_is_found(writing: Writing) -> None:
    lost = _failed_over(writing)
    writing.append("d")
    writing.read([writing.event(1), lost, writing.event(3)])
    assert broken(writing.history()) == {"another_history_is_a_reset"}


def test_a_reader_that_is_left_with_what_a_failover_has_lost_is_found(writing: Writing) -> None:
    lost = _failed_over(writing)
    writing.read([writing.event(1), lost])
    assert broken(writing.history()) == {"all_arrives"}


def test_an_event_from_before_a_failover_that_is_gone_is_found(writing: Writing) -> None:
    _failed_over(writing)
    writing.events = [each for each in writing.events if each.seq != 1]
    assert "numbers_without_gaps" in broken(replace(writing.history(), snapshots=tuple(writing.snapshots[-1:])))


def _together(writing: Writing, received_after: int) -> Append:
    append = writing.append("a", stream="acme/other", way=Way.TOGETHER)
    event = replace(writing.event(1), at_ns=append.started_ns + received_after)
    writing.read([event], stream="acme/other")
    return append


def test_an_append_that_a_lock_of_another_stream_holds_up_is_found(writing: Writing) -> None:
    writing.now = 10 * SECOND
    writing.lock(TALK, 8)
    _together(writing, 3 * SECOND)
    assert broken(writing.history()) == {"lock_holds_up_no_other"}


def test_an_append_that_a_lock_of_another_stream_does_not_hold_up_is_right(writing: Writing) -> None:
    writing.now = 10 * SECOND
    writing.lock(TALK, 8)
    _together(writing, SECOND // 10)
    assert broken(writing.history()) == set()


@pytest.mark.parametrize(("received_after", "found"), [(SECOND // 10, set()), (3 * SECOND, {"nobody_is_delayed"})])
def test_an_append_that_stalled_readers_hold_up_is_found(
    writing: Writing, received_after: int, found: set[str]
) -> None:
    writing.now = 10 * SECOND
    writing.faults.append(StruckFault(StreamFaultKind.STALL, writing.now, writing.now + 8 * SECOND, True))
    _together(writing, received_after)
    assert broken(writing.history()) == found


def test_a_race_that_tried_nothing_proves_nothing(writing: Writing) -> None:
    judgement = judge_streams(writing.history())
    assert judgement.verdict == Verdict.INCONCLUSIVE
    assert "no reader got an event" in judgement.reasons


def test_appends_that_fail_without_a_fault_prove_nothing(writing: Writing) -> None:
    writing.appends.append(
        Append("pod-0", 0, "a", TALK, Way.ALONE, 1, 1, 2, Outcome.FAILED, detail="a table is missing")
    )
    assert "appends that failed: 1, the first a: a table is missing" in judge_streams(writing.history()).reasons


@pytest.mark.parametrize("kind", sorted(LEAVING_BEHIND))
def test_a_ring_that_turned_without_leaving_a_reader_behind_proves_nothing(
    writing: Writing, kind: StreamFaultKind
) -> None:
    writing.append("a", events=2)
    began = writing.tick()
    earlier = writing.item(ItemKind.GAP, 1)
    writing.turn()
    told = writing.item(ItemKind.GAP, 2)
    writing.faults.append(StruckFault(kind, began, writing.tick(), True))
    said = f"the ring turned, and no reader got a gap during the fault {kind}"

    writing.read([earlier])
    assert said in judge_streams(writing.history()).reasons
    writing.read([told], reader="r2")
    assert said not in judge_streams(writing.history()).reasons
