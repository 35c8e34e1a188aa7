"""Why a question is as it is: facts in, one sentence and what mends it out."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from pendingctl import State
from pendingctl.cli.render import one_line
from pendingctl.diagnosis import remedies
from pendingctl.diagnosis.askings import askings
from pendingctl.diagnosis.findings import Verdict
from pendingctl.diagnosis.question import judge_question
from pendingctl.inspected import Leased, PendingInteraction, Unposted
from pendingctl.pods import NotedPod
from tests.diagnosis.histories import NOW, NUMBER, ago, asked, history, leased, noted, pressed, row
from tests.diagnosis.question_cases import CASES, FAIL, UNPOSTED, Case, answered, undelivered


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_likely_cause_is_named_with_what_mends_it(case: Case) -> None:
    finding = judge_question(history(case.row, *case.entries, lease=case.lease))

    assert finding.verdict is case.verdict, finding
    for part in case.sentence:
        assert part in finding.sentence
    remedies = "\n".join(finding.remedies)
    for part in case.remedies:
        assert part in remedies


def test_each_question_that_needs_a_person_has_a_remedy() -> None:
    for case in CASES:
        if case.verdict is FAIL:
            assert judge_question(history(case.row, *case.entries, lease=case.lease)).remedies, case.name


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        (None, "no live pod of application 'shop' seems to serve acme/slack"),
        ((), "no live pod of application 'shop' seems to serve acme/slack"),
        ((noted("bot-1", seen=300),), "no pod of application 'shop' is alive"),
        ((noted("bot-1", seen=300), noted("bot-2", seen=900)), "the last one, bot-1, was seen 5 min ago"),
        ((noted("bot-1"), noted("bot-1")), "of application 'shop' 1 pod is alive (bot-1), and none serves acme/slack"),
        (tuple(map(noted, "abcd")), "4 pods are alive (a, b, c and others)"),
    ],
)
def test_which_pods_live_is_said_where_nobody_posts(pods: tuple[NotedPod, ...] | None, said: str) -> None:
    waiting = row(**UNPOSTED, application="shop", unposted=Unposted.TO_BE_POSTED, post_due_at=ago(600))

    assert said in judge_question(history(waiting, pods=pods)).sentence


@pytest.mark.parametrize(
    ("pods", "said"),
    [
        (
            (noted("bot-2", seen=40),),
            "pod bot-2 died after the claim (last seen 40 s ago); another pod takes over in 18 s",
        ),
        ((noted("bot-2"),), "the pod is alive, and its worker slow"),
        # Another one has its name by now.
        ((noted("bot-2", up=5), noted("bot-2", seen=60)), "died after the claim (last seen 1 min ago)"),
        ((noted("bot-2", up=60), noted("bot-3")), "its worker is slow, or the pod has died after the claim"),
        ((noted("bot-3"),), "its worker is slow, or the pod has died after the claim"),
        (None, "its worker is slow, or the pod has died after the claim"),
    ],
)
def test_whether_the_pod_that_has_claimed_lives_is_said(pods: tuple[NotedPod, ...] | None, said: str) -> None:
    held = undelivered(120, delivery_attempts=1, delivery_due_at=NOW + timedelta(seconds=18))

    lease = leased(Leased.DELIVERY, 120, 18)

    assert said in judge_question(history(held, asked(), answered(120), lease=lease, pods=pods)).sentence


@pytest.mark.parametrize("seconds", [5, 59, 60])
@pytest.mark.parametrize(
    "due",
    [
        lambda at: undelivered(at.seconds, delivery_due_at=NOW - at),
        lambda at: undelivered(at.seconds + 30, delivery_due_at=NOW - at, delivery_attempts=1),
        lambda at: undelivered(600, delivery_due_at=NOW - at, delivery_error="503", delivery_attempts=3),
        lambda at: row(**UNPOSTED, unposted=Unposted.TO_BE_POSTED, post_due_at=NOW - at),
        lambda at: row(expires_at=NOW - at),
    ],
    ids=["answer", "lease", "next attempt", "card", "deadline"],
)
def test_what_no_pod_has_done_after_some_seconds_is_neither_fine_nor_promised(
    due: Callable[[timedelta], PendingInteraction], seconds: int
) -> None:
    """watch lists it by then."""
    row = due(timedelta(seconds=seconds))
    is_leased = row.delivery_attempts and not row.delivery_error
    lease = leased(Leased.DELIVERY, seconds + 30, -seconds) if is_leased else None
    finding = judge_question(history(row, asked(700), lease=lease, pods=(noted("bot-1", seen=3_000),)))

    assert finding.verdict is (Verdict.FAIL if seconds == 60 else Verdict.WARN)
    assert "is alive; the last one, bot-1, was seen 50 min ago" in finding.sentence


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


@pytest.mark.parametrize(("state", "verdict"), [(State.PENDING, Verdict.UNKNOWN), (State.STALE, Verdict.WARN)])
def test_where_refused_presses_leave_nothing_no_silence_is_claimed(state: State, verdict: Verdict) -> None:
    off = judge_question(history(row(state=state), asked(), is_kept=False))
    older = judge_question(history(row(state=state)))

    assert off.verdict is verdict
    assert "whether a press was refused since is not known: the trail is switched off" in off.sentence
    assert "the trail does not go back to when it was asked" in older.sentence


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


@pytest.mark.parametrize(
    "name", ["two\nlines", "a\x1b[31m", "no\u00a0break", "\u202eright", "it's\ta \\n", "é\u200b日"]
)
def test_a_command_can_be_copied_though_a_name_does_not_print(name: str) -> None:
    command = one_line(remedies.withdraw(row(id=name, expected_user_id=name)))

    echoed = subprocess.run(["bash", "-c", f"printf '%s\\0' {command}"], capture_output=True, check=True)

    scope = ["--org", "acme", "--connection", "slack", "--user", name]
    assert echoed.stdout.decode().split("\0")[:-1] == ["pendingctl", "withdraw", name, *scope]
