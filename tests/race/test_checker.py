"""The checker on histories written by hand: silent on what is lawful, and each law speaks when it is broken."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pendingctl.model import Click, JsonObject, Scope
from pendingctl.race.checker import judge
from pendingctl.race.history import Asked, HandOver, History, Operation, Outcome, Row, Told
from pendingctl.race.plan import ClickKind

SCOPE = Scope("acme", "slack", "U1")
PAYLOAD: JsonObject = {"question": {"text": "Deploy?", "options": ["yes", "no"], "conversation_id": "C1"}}
WON_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = WON_AT + timedelta(seconds=1)

ASKED = Asked("q", SCOPE, PAYLOAD, "C1")
ROW = Row("q", SCOPE, PAYLOAD, WON_AT, 1, "yes", "key-a")
HANDED = HandOver("pod-1", "q", 1, "yes", "U1", "C1")

REPLIES = {Outcome.WON: "answered", Outcome.REPEATED: "answered"}
DEFEAT = Told("U1", "yes", WON_AT)
VICTORY = Told(claimed_at=WON_AT, payload=PAYLOAD)


def operation(
    number: int,
    outcome: Outcome,
    pod: str = "pod-1",
    kind: ClickKind = ClickKind.RIGHTFUL,
    told: Told = Told(),  # noqa: B008
    key: str = "key-a",
    value: str = "yes",
    organization: str = "acme",
    connection: str = "slack",
    user: str = "U1",
    started: int = 100,
    ended: int | None = 200,
) -> Operation:
    click = Click("q", organization, connection, user, key, value, 1)
    return Operation(
        pod, number, kind, click, started, ended, outcome, told, REPLIES.get(outcome, outcome.value), detail=""
    )


WINNER = operation(0, Outcome.WON, told=VICTORY)
LOSER = operation(1, Outcome.ALREADY_ANSWERED, "pod-2", told=DEFEAT, key="key-b", value="no", started=150, ended=300)
REPEAT = operation(2, Outcome.REPEATED, "pod-2", ClickKind.REPEAT, told=VICTORY)
WRONG_USER = operation(3, Outcome.NOT_YOURS, "pod-2", ClickKind.WRONG_USER, key="key-c", user="U2")
WRONG_CONNECTION = operation(
    4, Outcome.UNKNOWN_OR_EXPIRED, "pod-1", ClickKind.WRONG_CONNECTION, key="key-d", connection="teams"
)
WRONG_ORGANIZATION = operation(
    5, Outcome.UNKNOWN_OR_EXPIRED, "pod-1", ClickKind.WRONG_ORGANIZATION, key="key-e", organization="globex"
)
ALL = (WINNER, LOSER, REPEAT, WRONG_USER, WRONG_CONNECTION, WRONG_ORGANIZATION)
LAWFUL = History((ASKED,), ALL, (HANDED,), (ROW,), frozenset({"pod-1", "pod-2"}))


def with_operation(changed: Operation, history: History = LAWFUL) -> History:
    operations = {each.number: each for each in history.operations} | {changed.number: changed}
    return replace(history, operations=tuple(operations.values()))


def with_row(**fields: object) -> History:
    return replace(LAWFUL, rows=(replace(ROW, **fields),))  # type: ignore[arg-type]


def laws_broken(history: History) -> set[str]:
    return {violation.law for violation in judge(history).violations}


def test_a_lawful_history_passes() -> None:
    judgement = judge(LAWFUL)

    assert (judgement.verdict, judgement.violations, judgement.reasons) == ("pass", (), ())
    assert judgement.contended == 1


LAWLESS = {
    "two clicks win": (
        "single_winner",
        with_operation(replace(LOSER, outcome=Outcome.WON, told=VICTORY, reply="answered")),
    ),
    "the same press wins twice": ("single_winner", with_operation(replace(REPEAT, outcome=Outcome.WON))),
    "another press is told that it won before": (
        "single_winner",
        with_operation(replace(LOSER, outcome=Outcome.REPEATED, told=VICTORY, reply="answered")),
    ),
    "the stored winner was never fired": ("winner_is_real", with_row(delivery_key="key-x")),
    "the stored winner was told that it lost": ("winner_is_real", with_row(delivery_key="key-b", answer="no")),
    "the stored answer is another": ("winner_is_real", with_row(answer="no")),
    "the time told to the winner is another": ("winner_is_real", with_row(claimed_at=LATER)),
    "the winner is not stored": ("winner_is_real", with_row(claimed_at=None, answer=None, delivery_key=None)),
    "a bystander is claimed": (
        "winner_is_real",
        replace(
            LAWFUL,
            asked=(ASKED, replace(ASKED, id="bystander")),
            rows=(ROW, replace(ROW, id="bystander")),
        ),
    ),
    "the wrong user wins": (
        "scope",
        with_operation(replace(WRONG_USER, outcome=Outcome.WON, told=VICTORY, reply="answered")),
    ),
    "another organization is told that it won before": (
        "scope",
        with_operation(replace(WRONG_ORGANIZATION, outcome=Outcome.REPEATED, told=VICTORY, reply="answered")),
    ),
    "the row moves to another tenant": ("scope", with_row(scope=Scope("globex", "slack", "U1"))),
    "nobody wins": (
        "wrong_clicks_cost_nothing",
        replace(
            LAWFUL,
            operations=(LOSER, WRONG_USER),
            rows=(replace(ROW, claimed_at=None, answer=None, delivery_key=None),),
            hand_overs=(),
        ),
    ),
    "the row is unclaimed after the race": (
        "wrong_clicks_cost_nothing",
        with_row(claimed_at=None, answer=None, delivery_key=None),
    ),
    "a wrong user is told that it is unknown": (
        "loser_was_told_the_truth",
        with_operation(replace(WRONG_USER, outcome=Outcome.UNKNOWN_OR_EXPIRED, reply="unknown_or_expired")),
    ),
    "a stranger is told that it exists": (
        "loser_was_told_the_truth",
        with_operation(replace(WRONG_ORGANIZATION, outcome=Outcome.NOT_YOURS, reply="not_yours")),
    ),
    "a stranger is told the answer": (
        "loser_was_told_the_truth",
        with_operation(replace(WRONG_ORGANIZATION, told=DEFEAT)),
    ),
    "a rightful click is told that it is not theirs": (
        "loser_was_told_the_truth",
        with_operation(replace(LOSER, outcome=Outcome.NOT_YOURS, told=Told(), reply="not_yours")),
    ),
    "a loser is told another answer": (
        "loser_was_told_the_truth",
        with_operation(replace(LOSER, told=replace(DEFEAT, answer="no"))),
    ),
    "a loser is told another time": (
        "loser_was_told_the_truth",
        with_operation(replace(LOSER, told=replace(DEFEAT, claimed_at=LATER))),
    ),
    "a loser is told another person": (
        "loser_was_told_the_truth",
        with_operation(replace(LOSER, told=replace(DEFEAT, answered_by="U2"))),
    ),
    "a loser is told before a winner began": (
        "loser_was_told_the_truth",
        with_operation(replace(LOSER, started_ns=10, ended_ns=50)),
    ),
    "the press that won is told that it lost": (
        "loser_was_told_the_truth",
        with_operation(replace(REPEAT, outcome=Outcome.ALREADY_ANSWERED, told=DEFEAT, reply="already_answered")),
    ),
    "the person is told something else than the store said": (
        "loser_was_told_the_truth",
        with_operation(replace(LOSER, reply="answered")),
    ),
    "the payload changed": ("payload_intact", with_row(payload={"question": {"text": "Deploy!"}})),
    "the row is gone": ("payload_intact", replace(LAWFUL, rows=())),
    "the winner is given another payload": (
        "payload_intact",
        with_operation(replace(WINNER, told=replace(VICTORY, payload={"question": {}}))),
    ),
    "the answer is handed over twice": ("handed_over_once", replace(LAWFUL, hand_overs=(HANDED, HANDED))),
    "the answer is never handed over": ("handed_over_once", replace(LAWFUL, hand_overs=())),
    "the answer goes to another user": (
        "handed_over_once",
        replace(LAWFUL, hand_overs=(replace(HANDED, user_id="U2"),)),
    ),
    "the answer goes to another conversation": (
        "handed_over_once",
        replace(LAWFUL, hand_overs=(replace(HANDED, conversation_id="C2"),)),
    ),
    "another answer is handed over": ("handed_over_once", replace(LAWFUL, hand_overs=(replace(HANDED, value="no"),))),
    "a row is left behind": ("nothing_left_behind", replace(LAWFUL, left_behind=("question q",))),
}


@pytest.mark.parametrize(("law", "history"), LAWLESS.values(), ids=LAWLESS.keys())
def test_a_broken_law_is_named(law: str, history: History) -> None:
    assert law in laws_broken(history)
    assert judge(history).verdict == "fail"


def test_one_lie_breaks_one_law() -> None:
    assert laws_broken(with_operation(replace(LOSER, told=replace(DEFEAT, answer="no")))) == {
        "loser_was_told_the_truth"
    }


def test_a_stranger_with_the_winning_delivery_key_is_judged_by_its_scope() -> None:
    stranger = replace(WRONG_ORGANIZATION, click=replace(WRONG_ORGANIZATION.click, delivery_key="key-a", value="yes"))

    assert laws_broken(with_operation(stranger)) == set()


def test_a_slow_claim_may_have_been_answered_with_try_again() -> None:
    assert laws_broken(with_operation(replace(WINNER, reply="cannot_serve"))) == set()


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.FAILED, Outcome.CANNOT_SERVE])
def test_a_click_without_a_verdict_makes_the_run_inconclusive(outcome: Outcome) -> None:
    history = with_operation(replace(LOSER, outcome=outcome, told=Told(), reply="cannot_serve", detail="lost"))

    judgement = judge(history)

    assert (judgement.verdict, judgement.violations) == ("inconclusive", ())
    assert f"1 clicks ended as {outcome}, the first with: lost" in judgement.reasons


def test_a_click_of_unknown_outcome_may_be_the_winner() -> None:
    unknown = replace(WINNER, outcome=Outcome.UNKNOWN, told=Told(), ended_ns=None, reply=None)
    history = replace(with_operation(unknown), hand_overs=())

    assert laws_broken(history) == set()
    assert judge(history).verdict == "inconclusive"


def test_a_pod_that_was_killed_owes_no_hand_over() -> None:
    assert laws_broken(replace(LAWFUL, hand_overs=(), ended_pods=frozenset({"pod-2"}))) == set()


@pytest.mark.parametrize(
    "loser",
    [
        replace(LOSER, started_ns=200, ended_ns=300),
        replace(LOSER, pod="pod-1"),
        replace(LOSER, outcome=Outcome.NOT_YOURS, told=Told(), reply="not_yours", click=WRONG_USER.click),
    ],
    ids=["one after the other", "on one pod", "not rightful"],
)
def test_a_run_without_a_contended_question_proves_nothing(loser: Operation) -> None:
    judgement = judge(replace(LAWFUL, operations=(WINNER, loser)))

    assert (judgement.verdict, judgement.contended) == ("inconclusive", 0)
    assert any("contended" in reason for reason in judgement.reasons)


def test_a_reason_of_the_run_makes_it_inconclusive() -> None:
    assert judge(LAWFUL, ("pod-1 was ended by SIGKILL",)).verdict == "inconclusive"


def test_a_broken_law_outweighs_a_reason() -> None:
    assert judge(with_row(answer="no"), ("pod-1 was ended by SIGKILL",)).verdict == "fail"
