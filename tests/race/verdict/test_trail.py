"""A trail that is the history, however odd, breaks no law; one that is not is found, whatever is wrong with it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pendingctl.race.history.history import Fault, History, Outcome
from pendingctl.race.plan.schedule import FaultKind, Moment
from pendingctl.race.verdict.checker import Verdict
from pendingctl.trail import Step, TrailEntry
from tests.race.verdict.histories import (
    DELETE,
    LOSER,
    WINNER,
    X_DELETE,
    X_PUT_AGAIN,
    X_REOPEN,
    X_SWEEP,
    having,
    laws_broken,
    lost,
    operation,
    verdicts,
    won,
)
from tests.race.verdict.lawless_trails import LAWLESS_TRAILS
from tests.race.verdict.lives import D_TOLD, E_WITHDRAWN, L_PUT, LIVING
from tests.race.verdict.trails import (
    TRAIL,
    TRAILED,
    U1,
    C,
    D,
    L,
    Q,
    X,
    changing,
    doubling,
    dropping,
    entry,
    trailing,
    with_another_card,
)

LAW = "trail_is_the_history"
KILLED = Fault(0, FaultKind.KILL, Moment.AFTER_POST, 9000, 9020, landed=True)


def in_doubt(*lawful: object) -> History:
    return having(*(lost(each) for each in lawful), history=TRAILED)  # type: ignore[arg-type]


ODD: dict[str, History] = {
    "everything as it should be": TRAILED,
    "a claim whose fate nobody knows has won": in_doubt(WINNER),
    "a claim that lost is of unknown fate": in_doubt(LOSER),
    "a claim that was tried again had won by its first try": having(
        won(WINNER, outcome=Outcome.REPEATED), history=TRAILED
    ),
    "a put whose fate nobody knows has asked": in_doubt(X_REOPEN),
    "a put whose fate nobody knows has done nothing": replace(
        having(
            lost(replace(X_PUT_AGAIN, number=200, started_ns=1111)),
            history=TRAILED,
        )
    ),
    "a withdrawal whose fate nobody knows has withdrawn": in_doubt(E_WITHDRAWN),
    "a mark whose fate nobody knows was made": in_doubt(D_TOLD),
    "a delete whose fate nobody knows has taken the row": in_doubt(X_DELETE),
    "a delete whose fate nobody knows has done nothing": having(
        lost(operation(201, DELETE, Outcome.UNKNOWN, 1145, None, question="x")), history=TRAILED
    ),
    "a sweep whose fate nobody knows has taken the row": in_doubt(X_SWEEP),
    "clicks that were refused are not in the trail": dropping(Q[1]),
    "a repetition is counted under nobody's asking": changing(Q[3], ask_number=None),
    "a crash of the server has taken the lease with which a card was edited": replace(
        dropping(D[8]), faults=(replace(KILLED, kind=FaultKind.RESTART, moment=None),)
    ),
    "the card of a former asking was edited": with_another_card(),
    "the card of a former asking is still to be edited": replace(
        dropping(C[8], with_another_card()),
        rows=tuple(replace(each, has_cards_to_retire=True) for each in with_another_card().rows),
    ),
    "a card is noted twice by a pod that has lost its connection": replace(doubling(D[2]), faults=(KILLED,)),
    "an edit is noted twice by a pod that has lost its connection": replace(doubling(D[9]), faults=(KILLED,)),
    "a card is noted after the end": trailing("d", *D[:2], D[3], D[2], *D[4:]),
    "a pod that has died has posted, and noted nothing": dropping(L[2]),
}


@pytest.mark.parametrize("history", ODD.values(), ids=ODD.keys())
def test_a_trail_of_what_has_happened_breaks_no_law(history: History) -> None:
    assert LAW not in laws_broken(history)
    assert verdicts(history)[LAW] is Verdict.PASS


@pytest.mark.law(17)
@pytest.mark.parametrize("history", [history for _, history in LAWLESS_TRAILS.values()], ids=LAWLESS_TRAILS.keys())
def test_a_trail_of_anything_else_is_found(history: History) -> None:
    assert LAW in laws_broken(history)


@pytest.mark.parametrize(
    "history",
    [history for _, history in LAWLESS_TRAILS.values() if replace(history, trail=TRAIL) == TRAILED],
)
def test_a_lie_of_the_trail_breaks_its_law_alone(history: History) -> None:
    assert laws_broken(history) == {LAW}


_COUNTED = {Step.REFUSED, Step.REPEATED}
ENTRIES = {f"{each.question_id} {each.id} {each.step}": each for each in TRAIL}


def chosen(but: set[Step]) -> list[TrailEntry]:
    return [each for each in ENTRIES.values() if each.step not in but]


def name_of(entry: TrailEntry) -> str:
    return f"{entry.question_id} {entry.id} {entry.step}"


@pytest.mark.parametrize("dropped", chosen(_COUNTED | {Step.NOT_POSTED}), ids=name_of)
def test_whichever_entry_is_missing_is_found(dropped: TrailEntry) -> None:
    # Of an open question nobody knows whether its card was noted.
    is_open = dropped.question_id == "l" and dropped.step is Step.POSTED

    assert (LAW in laws_broken(dropping(dropped))) is not is_open


@pytest.mark.parametrize("doubled", chosen(_COUNTED), ids=name_of)
def test_whichever_entry_is_there_twice_is_found(doubled: TrailEntry) -> None:
    assert LAW in laws_broken(doubling(doubled))


@pytest.mark.parametrize("moved", chosen(_COUNTED | {Step.DEFAULTED}), ids=name_of)
def test_whichever_entry_names_another_pod_is_found(moved: TrailEntry) -> None:
    # The race has stored it, under a name of its own.
    is_of_the_race = moved == Q[0]

    assert (LAW in laws_broken(changing(moved, pod="pod-9"))) is not is_of_the_race


def test_pods_that_were_lost_may_have_posted_what_nobody_has_written_down() -> None:
    history = replace(TRAILED, reasons=("pod-1 was ended by SIGKILL",), card_posts=(), card_edits=())

    assert LAW not in laws_broken(history)


def test_a_put_that_finds_its_card_given_up_begins_anew() -> None:
    again = replace(L_PUT, number=202, started_ns=9020, ended_ns=9030)
    again = replace(
        again,
        planned=replace(again.planned, transaction=None, posts=True),
        reported=replace(again.reported, put="refreshed"),
        pod="pod-2",
    )
    history = having(again, history=changing(L[3], attempt=1))

    assert LAW not in laws_broken(history)


def test_a_failed_post_is_noted_unless_something_went_wrong() -> None:
    lacking = LAWLESS_TRAILS["a card was not posted, and that is not in the trail"][1]
    noted = entry("l", Step.NOT_POSTED, 33, attempt=1)

    assert LAW not in laws_broken(trailing("l", replace(L[0], attempt=1), noted, L[3], L[4], history=lacking))
    assert LAW not in laws_broken(replace(lacking, faults=(KILLED,)))


def test_of_what_the_worker_does_not_hear_no_hand_over_is_needed() -> None:
    unheard = tuple(replace(each, heard=("answered",)) if each.id == "e" else each for each in LIVING.questions)
    history = replace(
        TRAILED,
        questions=unheard,
        operations=tuple(each for each in TRAILED.operations if each.planned.name != "e.112"),
        hand_overs=tuple(each for each in TRAILED.hand_overs if each.question_id != "e"),
    )

    assert LAW not in laws_broken(history)


def test_the_trail_of_a_question_that_nobody_races_for_is_looked_at_as_well() -> None:
    others = replace(LIVING.questions[0], id="o", is_of_another_application=True, application="other", answer="yes")
    row = replace(LIVING.rows[0], id="o", undelivered=True)
    asked = replace(entry("o", Step.ASKED, 1, "shell", detail="created"), application="other")
    answered = entry("o", Step.ANSWERED, 1, "shell", user=U1)
    history = replace(TRAILED, questions=(*TRAILED.questions, others), rows=(*TRAILED.rows, row))

    assert laws_broken(trailing("o", asked, answered, history=history)) == set()
    assert laws_broken(trailing("o", asked, history=history)) == {LAW}
    leased = entry("o", Step.LEASED, 1, attempt=1)
    delivered = entry("o", Step.DELIVERED, 1, attempt=1)
    assert LAW in laws_broken(trailing("o", asked, answered, leased, delivered, history=history))


def test_without_a_trail_there_is_nothing_to_look_at() -> None:
    assert verdicts(replace(TRAILED, trail=None))[LAW] is Verdict.SKIPPED
    assert verdicts(replace(TRAILED, trail=()))[LAW] is Verdict.FAIL


def test_an_entry_is_explained_by_one_operation_alone() -> None:
    assert LAW in laws_broken(trailing("x", *X[:4], X[3], *X[4:]))
