"""Why a question is as it is: facts in, one sentence and what mends it out."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from pendingctl import State
from pendingctl.diagnosis.askings import Serving, askings
from pendingctl.diagnosis.question import judge_question
from pendingctl.inspected import Unposted
from tests.diagnosis.histories import NUMBER, ago, asked, history, pressed, row
from tests.diagnosis.question_cases import CASES, FAIL, UNPOSTED, Case, answered, undelivered


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_likely_cause_is_named_with_what_mends_it(case: Case) -> None:
    finding = judge_question(history(case.row, *case.entries))

    assert finding.verdict is case.verdict, finding
    for part in case.sentence:
        assert part in finding.sentence
    remedies = "\n".join(finding.remedies)
    for part in case.remedies:
        assert part in remedies


def test_each_question_that_needs_a_person_has_a_remedy() -> None:
    for case in CASES:
        if case.verdict is FAIL:
            assert judge_question(history(case.row, *case.entries)).remedies, case.name


def test_what_is_known_of_the_pods_is_said() -> None:
    waiting = row(**UNPOSTED, application="shop", unposted=Unposted.TO_BE_POSTED, post_due_at=ago(600))

    def said(serving: Serving) -> str:
        return judge_question(history(waiting), serving).sentence

    assert "no pod of application 'shop' is alive" in said(Serving(0, 0))
    assert "of application 'shop' 2 pods are alive, and none serves acme/slack" in said(Serving(2, 0))
    assert "1 pod is alive, but busy or cut off from the database" in said(Serving(1, 1))


def test_the_last_asking_is_judged() -> None:
    """The first one was answered, the second one by the wrong user."""
    older = replace(answered(700), ask_number=NUMBER - 1)
    found = history(
        row(), asked(900, ask_number=NUMBER - 1), older, asked(600, detail="reopened"), pressed("not_yours", "U2")
    )

    assert [(each.number, len(each.entries)) for each in askings(found)] == [(NUMBER - 1, 2), (NUMBER, 2)]
    assert "somebody else pressed: U2" in judge_question(found).sentence


def test_presses_on_older_cards_are_told_of_the_newer_asking() -> None:
    older = pressed("superseded", seconds_ago=10, ask_number=NUMBER - 1)
    found = history(row(), asked(900, ask_number=NUMBER - 1), asked(600), older)

    assert askings(found)[-1].entries[-1] == older


def test_presses_of_an_asking_that_the_trail_does_not_have_belong_to_the_row() -> None:
    """A pod of the version before has asked it, and one of this version refused the press."""
    older = pressed("superseded", ask_number=NUMBER - 5)

    assert askings(history(row(), older)) == [replace(askings(history(row()))[0], entries=(older,))]


def test_presses_behind_a_gap_belong_to_the_latest_asking() -> None:
    entries = [asked(900, ask_number=NUMBER - 1), asked(800, ask_number=NUMBER - 1)]
    found = history(row(), *entries, pressed("not_yours", "U2"), pressed("not_yours", "U2", 50), left_out=100_000)

    assert [len(each.entries) for each in askings(found)] == [2, 2]


@pytest.mark.parametrize("id", ["it's mine", "-x", "a b;rm -rf ~", "$(x)"])
def test_a_command_can_be_copied_whatever_the_ids_are(id: str) -> None:
    strange = undelivered(60, id=id, state=State.STUCK, application="-a b")
    (remedy,) = judge_question(history(strange)).remedies
    open_one = row(id=id, organization_id="a c", connection_id="-s", expected_user_id="U'1", state=State.STALE)
    withdrawn = judge_question(history(open_one)).remedies[0]

    assert shlex.split(remedy.partition(": ")[2])[:2] == ["pendingctl", "redeliver"]
    assert id in shlex.split(remedy.partition(": ")[2])
    words = shlex.split(withdrawn)
    assert {id, "a c", "U'1", "--connection=-s"} <= set(words)
    assert (words.index(id) == len(words) - 1) is id.startswith("-")
