"""Faults really strike: each lands, leaves its trace in the history, and the correct store passes all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import psycopg
import pytest

from pendingctl.embedded import throwaway_server
from pendingctl.errors import InvalidInput
from pendingctl.race.faults import claims, locks
from pendingctl.race.faults.context import OwnServer
from pendingctl.race.history.files import read_history
from pendingctl.race.history.history import DECIDED, Fault, History, Operation, Outcome, Reason
from pendingctl.race.plan.operations import OperationKind
from pendingctl.race.plan.schedule import (
    AT_A_DELIVERY,
    AT_A_POST,
    AT_AN_APPEND,
    AT_AN_ASKER,
    STATEMENT_TIMEOUT_MS,
    FaultKind,
    Moment,
)
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.pods import dispatcher, supervisor
from pendingctl.race.run import simulate_race
from pendingctl.schema import migrations
from tests.conftest import migrated_database
from tests.race.faults.races import Raced, assert_it_landed_and_passed, raced


@pytest.fixture(scope="module")
def raced_with_kills(server_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Raced:
    """One race, whose history several tests look at."""
    with migrated_database(server_dsn, template) as dsn:
        return asyncio.run(raced(dsn, tmp_path_factory.mktemp("kill"), FaultKind.KILL))


@pytest.fixture(scope="module")
def raced_with_pauses(server_dsn: str, template: str, tmp_path_factory: pytest.TempPathFactory) -> Raced:
    """One race, whose history several tests look at."""
    with migrated_database(server_dsn, template) as dsn:
        return asyncio.run(raced(dsn, tmp_path_factory.mktemp("pause"), FaultKind.PAUSE))


def unknown_claims(history: History) -> list[Operation]:
    return [each for each in history.operations if each.kind is OperationKind.CLAIM and each.outcome is Outcome.UNKNOWN]


def retries_of(history: History, first: Operation) -> list[Operation]:
    """The later operations of the same press."""
    return [
        each
        for each in history.operations
        if each.planned.name == first.planned.name and each.started_ns > first.started_ns
    ]


def tried_again(history: History) -> list[Operation]:
    """The claims that the bridge tried again on another connection, with the same key and lease token."""
    return [each for each in history.operations if each.kind is OperationKind.CLAIM and each.ended_ns and each.detail]


def struck_by(history: History, fault: Fault) -> list[Operation]:
    """The operations on the question that was struck, in the order of their start: no other one is clicked then."""
    during = [each for each in history.operations if fault.started_ns < each.started_ns < (fault.ended_ns or 0)]
    (question_id,) = {each.planned.question_id for each in during if each.kind is OperationKind.CLAIM}
    operations = [each for each in history.operations if each.planned.question_id == question_id]
    return sorted(operations, key=lambda each: each.started_ns)


def killed_by(history: History, fault: Fault) -> Operation:
    """The claim that ended with its pod."""
    (killed,) = [
        each for each in struck_by(history, fault) if each.kind is OperationKind.CLAIM and each.ended_ns is None
    ]
    return killed


def deliveries_during(history: History, fault: Fault) -> list[Operation]:
    """The deliveries of the answer that was struck, that which was struck first."""
    return [each for each in struck_by(history, fault) if each.kind is OperationKind.DELIVER]


def asks_during(history: History, fault: Fault) -> list[Operation]:
    """The askers that began while the fault struck."""
    asks = [each for each in history.operations if each.kind is OperationKind.ASK]
    return [each for each in asks if fault.started_ns < each.started_ns < (fault.ended_ns or 0)]


def the_fault(history: History, moment: Moment) -> Fault:
    return next(fault for fault in history.faults if fault.moment is moment)


def test_a_killed_pod_is_replaced_and_its_click_tried_again(raced_with_kills: Raced) -> None:
    result, history = raced_with_kills

    assert_it_landed_and_passed(result)
    for moment in (Moment.BEFORE_SENDING, Moment.AFTER_SENDING, Moment.AFTER_COMMIT):
        killed = killed_by(history, the_fault(history, moment))
        again = retries_of(history, killed)
        assert again
        assert {each.pod for each in again}.isdisjoint({killed.pod})
        assert {each.press for each in again} == {killed.press}


@pytest.mark.law(6)
def test_what_a_killed_pod_did_not_deliver_another_one_does(raced_with_kills: Raced) -> None:
    result, history = raced_with_kills

    assert_it_landed_and_passed(result)
    for moment, before in ((Moment.BEFORE_DELIVERY, 0), (Moment.BEFORE_MARK, 1)):
        (killed, *others) = deliveries_during(history, the_fault(history, moment))
        # Its time for the delivery may have been over before it was killed.
        assert killed.outcome in (Outcome.UNKNOWN, Outcome.FAILED)
        # The pod that took it over may have been struck as well.
        assert [each.outcome for each in others if each.pod != killed.pod][-1] is Outcome.OK
        handed = [each.pod for each in history.hand_overs if each.question_id == killed.planned.question_id]
        assert len(handed) > before
        assert handed.count(killed.pod) == before


def test_a_pod_that_is_paused_over_a_delivery_has_lost_its_lease(raced_with_pauses: Raced) -> None:
    result, history = raced_with_pauses

    assert_it_landed_and_passed(result)
    for moment in AT_A_DELIVERY:
        (paused, *others) = deliveries_during(history, the_fault(history, moment))
        assert paused.outcome is not Outcome.OK
        # A slow pod that took it over may have lost its lease as well.
        assert [each.outcome for each in others if each.pod != paused.pod][-1] is Outcome.OK


def test_what_a_killed_asker_waited_for_or_had_not_marked_the_pods_deliver(raced_with_kills: Raced) -> None:
    result, history = raced_with_kills

    assert_it_landed_and_passed(result)
    for moment in AT_AN_ASKER:
        (asker,) = asks_during(history, the_fault(history, moment))
        assert asker.outcome is Outcome.UNKNOWN
        by_asker = [each.by_asker for each in history.hand_overs if each.question_id == asker.planned.question_id]
        assert False in by_asker
        # Only one that dies between its answer and the mark shares it with them.
        assert by_asker.count(True) == (moment is Moment.ASKER_HAS_THE_ANSWER)


@pytest.mark.law(13)
def test_a_question_is_shown_whose_pod_is_killed_over_the_post_of_its_card(raced_with_kills: Raced) -> None:
    result, history = raced_with_kills

    assert_it_landed_and_passed(result)
    for moment in AT_A_POST:
        label = f"k{the_fault(history, moment).number}"
        (post,) = [each for each in history.operations if each.planned.name == f"{label}.post"]
        cards = [each for each in history.card_posts if each.question_id == post.planned.question_id]
        assert post.outcome is Outcome.UNKNOWN
        # This race's platform cannot find a card that the killed pod has posted.
        assert [each.is_lost for each in cards].count(True) == (moment is Moment.AFTER_POST)
        assert [each.pod == post.pod for each in cards if not each.is_lost] == [False]


@pytest.mark.law(14)
def test_an_ending_is_on_its_stream_once_whose_pod_is_killed_before_its_mark(raced_with_kills: Raced) -> None:
    result, history = raced_with_kills

    assert_it_landed_and_passed(result)
    (moment,) = AT_AN_APPEND
    (question,) = [each for each in history.questions if each.id.endswith(f"-s{the_fault(history, moment).number}")]
    (row,) = [each for each in history.rows if each.id == question.id]
    events = [each for each in history.events or () if each.question_id == question.id]
    assert [each.outcome for each in events][-1:] == [row.outcome] == ["answered"]
    assert len(events) == 2


def test_an_asker_that_is_paused_for_longer_than_its_leases_learns_that_the_pods_have_the_answer(
    raced_with_pauses: Raced,
) -> None:
    result, history = raced_with_pauses

    assert_it_landed_and_passed(result)
    for moment in AT_AN_ASKER:
        (asker,) = asks_during(history, the_fault(history, moment))
        assert asker.reported.reason is Reason.LEASE_LOST
        by_asker = [each.by_asker for each in history.hand_overs if each.question_id == asker.planned.question_id]
        assert False in by_asker
        assert by_asker.count(True) == (moment is Moment.ASKER_HAS_THE_ANSWER)


@pytest.mark.law(6)
async def test_a_delivery_over_a_restart_ends_with_the_answer_delivered(tmp_path: Path) -> None:
    with throwaway_server() as server:
        migrations.apply(server.dsn)
        settings = RaceSettings(pods=3, questions=12, clicks=6, seed=1, faults=(FaultKind.RESTART,))
        result = await simulate_race(
            server.dsn, settings, history=tmp_path / "history", server=OwnServer(server.restart)
        )

    assert_it_landed_and_passed(result)
    assert {each.moment for each in read_history(tmp_path / "history")[1].faults} == {None, *AT_A_DELIVERY}


@pytest.mark.law(6, 7)
def test_a_win_whose_reply_was_lost_with_its_pod_is_reported_again(raced_with_kills: Raced) -> None:
    result, history = raced_with_kills

    assert_it_landed_and_passed(result)
    lost = killed_by(history, the_fault(history, Moment.AFTER_COMMIT))
    # A slow one learns nothing, and is repeated.
    assert {each.outcome for each in retries_of(history, lost) if each.outcome in DECIDED} == {Outcome.REPEATED}


@pytest.mark.law(6, 7)
async def test_a_win_whose_reply_was_lost_with_its_connection_is_tried_again_by_the_bridge_and_its_own(
    dsn: str, tmp_path: Path
) -> None:
    result, history = await raced(dsn, tmp_path, FaultKind.DISCONNECT)

    assert_it_landed_and_passed(result)
    struck = struck_by(history, the_fault(history, Moment.AFTER_COMMIT))
    (won,) = [each for each in struck if each.kind is OperationKind.CLAIM and each.outcome is Outcome.OK]
    assert won in tried_again(history)


@pytest.mark.law(7, 16)
async def test_silent_connections_cost_no_answer_and_are_given_up(dsn: str, tmp_path: Path) -> None:
    result, history = await raced(dsn, tmp_path, FaultKind.BLACKHOLE)

    assert_it_landed_and_passed(result)
    silent = {each.planned.name for each in tried_again(history) if "no reply within" in each.detail}
    # To the same press, or where that took too long to the same one again.
    assert any(each.planned.name in silent and each.reply == "answered" for each in history.operations)


def test_a_pause_holds_a_claim_for_longer_than_a_statement_may_take(raced_with_pauses: Raced) -> None:
    result, history = raced_with_pauses

    assert_it_landed_and_passed(result)
    for moment in (Moment.AFTER_SENDING, Moment.AFTER_COMMIT, *AT_A_DELIVERY):
        paused = struck_by(history, the_fault(history, moment))
        assert any((each.took_ms or 0) >= claims.PAUSE_SECONDS * 1000 for each in paused)
    assert claims.PAUSE_SECONDS * 1000 > STATEMENT_TIMEOUT_MS


async def test_only_the_races_own_backends_are_terminated(
    dsn: str, tmp_path: Path, connection: psycopg.Connection
) -> None:
    connection.execute("begin")

    result, history = await raced(dsn, tmp_path, FaultKind.TERMINATE)

    assert_it_landed_and_passed(result)
    for fault in history.faults:
        # A click's claim, or the put of the question that comes with the clicks; a claim that is between its two
        # statements does not learn why its connection is gone.
        assert any("connection" in each.detail for each in struck_by(history, fault))
    assert connection.execute("select 1").fetchone() == (1,)


async def test_clocks_that_are_hours_off_change_nothing(dsn: str, tmp_path: Path) -> None:
    result, _ = await raced(dsn, tmp_path, FaultKind.SKEW, FaultKind.SWEEP)

    assert_it_landed_and_passed(result)


async def test_all_faults_that_any_server_can_suffer_at_once(dsn: str, tmp_path: Path) -> None:
    kinds = [kind for kind in FaultKind if kind not in (FaultKind.RESTART, FaultKind.FAILOVER)]

    result, history = await raced(dsn, tmp_path, *kinds, questions=28, seed=7)

    assert_it_landed_and_passed(result)
    assert unknown_claims(history)


@pytest.mark.parametrize("kind", [FaultKind.RESTART, FaultKind.FAILOVER])
async def test_a_server_that_is_not_the_races_own_is_never_stopped(dsn: str, kind: FaultKind) -> None:
    with pytest.raises(InvalidInput, match="leave --dsn out"):
        await simulate_race(dsn, RaceSettings(2, 5, 4, 1, faults=(kind,)))


@pytest.mark.once
@pytest.mark.parametrize(
    ("kind", "module", "what", "instead"),
    [
        (FaultKind.KILL, dispatcher, "MOMENT_SECONDS", 0.0),
        pytest.param(FaultKind.DISCONNECT, dispatcher, "MOMENT_SECONDS", 0.0, marks=pytest.mark.long),
        pytest.param(FaultKind.PAUSE, claims, "PAUSE_SECONDS", 0.0, marks=pytest.mark.long),
        pytest.param(
            *(FaultKind.TERMINATE, locks, "_TERMINATE", "select false from unnest(%(pids)s::integer[])"),
            marks=pytest.mark.long,
        ),
    ],
)
async def test_a_fault_that_does_not_strike_makes_the_race_inconclusive(
    dsn: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: FaultKind,
    module: ModuleType,
    what: str,
    instead: object,
) -> None:
    monkeypatch.setattr(module, what, instead)

    result, _ = await raced(dsn, tmp_path, kind, questions=10)

    assert (result.verdict, result.violations) == ("inconclusive", ())
    assert any(f"the fault {kind}" in reason and "never landed" in reason for reason in result.reasons)


async def test_clocks_that_are_right_make_a_race_with_skew_inconclusive(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_skew(_number: int, _seed: int) -> float:
        return 0.0

    monkeypatch.setattr(supervisor, "skew_hours", no_skew)

    result, _ = await raced(dsn, tmp_path, FaultKind.SKEW)

    assert result.verdict == "inconclusive"
    assert any("the clock of pod-1, pod-2, pod-3 was right" in reason for reason in result.reasons)


@pytest.mark.long
async def test_the_seed_fixes_the_order_of_the_faults(dsn: str, tmp_path: Path) -> None:
    def struck(history: History) -> Sequence[tuple[FaultKind, Moment | None]]:
        return [(each.kind, each.moment) for each in sorted(history.faults, key=lambda each: each.started_ns)]

    kinds = (FaultKind.DISCONNECT, FaultKind.TERMINATE)
    orders = []
    for number, seed in enumerate((3, 3, 4)):
        (tmp_path / str(number)).mkdir()
        orders.append(struck((await raced(dsn, tmp_path / str(number), *kinds, seed=seed))[1]))

    assert orders[0] == orders[1] != orders[2]
