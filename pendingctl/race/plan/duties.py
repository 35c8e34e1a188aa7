"""Questions that live in time: with deadlines, reminders and escalations, and cards that are the pods' duty."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from random import Random

from ...model import Question
from .operations import Burst, OperationKind, PlannedOperation, PlannedQuestion, PostTrouble, Transaction, Wrong, press
from .settings import EXTRA_EVERY, FIRST_WITH_DUTIES, RaceSettings

# Short, and long enough for a card to be posted before: a pod looks five times a second for what is to be posted. Up
# to so much more, so that a pod looks sometimes sooner after it and sometimes later.
DEADLINE = timedelta(milliseconds=500)
LOOKS_EVERY_MS = 200
REMIND_EVERY = timedelta(milliseconds=250)
REMIND_AT_MOST = 2
ESCALATE_AFTER = timedelta(milliseconds=500)
# So long the bridge of a race takes until it knows that a card was posted; a burst that follows begins then.
POSTED_MS = 130
# When clicks are on their way, in milliseconds from the time in question: a pod ends what is due up to 200 later.
AROUND_MS = (-120, -50, -10, 4, 12, 20, 30, 42, 56, 75, 100, 140)
BEFORE = 3


def plan_duty(settings: RaceSettings, question: Question, label: str) -> PlannedQuestion:
    """Return a question whose pods have more to do than to serve clicks.

    In rotation, by an application: clicked around its deadline, with a default and without one; and by the bridge:
    never clicked before its default applies; escalated; again by an application: reminded of, and clicked by a stranger
    alone; rolled back; by the bridge again: posted in vain at first; and withdrawn around its deadline. Those without a
    default come three times: a click after the deadline that nobody has noted yet is rare.
    """
    number = int(label[1:])
    random = Random(f"{settings.seed}/{label}")
    pods = random.sample(range(settings.pods), settings.pods)
    default = random.choice(question.options)
    deadline = DEADLINE // _MILLISECOND + random.randrange(LOOKS_EVERY_MS)
    expires_in = deadline * _MILLISECOND
    match (number if number < FIRST_WITH_DUTIES else number // EXTRA_EVERY) % FIRST_WITH_DUTIES:
        case 0:
            asked = replace(question, expires_in=expires_in, default=default)
            # The first click wins, unless it is late.
            clicks = _clicks(asked, label, pods, deadline, random)
            bursts = [_put(asked, label, pods, Transaction.COMMITS), clicks]
        case 1 | 8 | 9:
            asked = replace(question, expires_in=expires_in)
            # None wins, unless it is early.
            clicks = _clicks(asked, label, pods, deadline, random, BEFORE)
            bursts = [_put(asked, label, pods, Transaction.COMMITS), clicks]
        case 2:
            asked = replace(question, expires_in=expires_in, default=default)
            bursts = [_post(asked, label, pods), _clicks(asked, label, pods, deadline, random, BEFORE)]
        case 3:
            asked = replace(
                question,
                remind_every=REMIND_EVERY,
                remind_at_most=REMIND_AT_MOST,
                escalate_after=ESCALATE_AFTER,
                escalate_to=f"{question.scope.expected_user_id}-stands-in",
            )
            bursts = [_post(asked, label, pods), _clicks_of_two(asked, label, pods, random)]
        case 4:
            asked = replace(question, remind_every=REMIND_EVERY, remind_at_most=REMIND_AT_MOST)
            bursts = [
                _put(asked, label, pods, Transaction.COMMITS),
                _click_of_a_stranger(asked, label, pods[-1], random),
            ]
        case 5:
            asked = question
            clicks = Burst(tuple(press(question, f"{label}.{pod}", pod, random, None) for pod in pods))
            bursts = [_put(asked, label, pods, Transaction.ROLLS_BACK), clicks]
        case 6:
            asked = question
            bursts = [_post(asked, label, pods, random.choice([*PostTrouble]))]
        case _:
            asked = replace(question, expires_in=expires_in, default=default)
            clicks = _clicks(asked, label, pods, deadline - POSTED_MS, random, random.randrange(BEFORE + 1))
            withdraw = PlannedOperation(
                f"{label}.withdraw",
                pods[-1],
                OperationKind.WITHDRAW,
                question.id,
                question.scope,
                after_ms=deadline - POSTED_MS + random.choice(AROUND_MS),
            )
            bursts = [_post(asked, label, pods), Burst((withdraw, *clicks.operations))]
    return PlannedQuestion(label, asked, tuple(bursts))


def plan_post(settings: RaceSettings, question: Question, label: str) -> PlannedQuestion:
    """Return a question at the post of whose card a fault strikes; nobody clicks it."""
    pod = Random(f"{settings.seed}/{label}").randrange(settings.pods)
    return PlannedQuestion(label, question, (_post(question, label, [pod]),))


def plan_append(settings: RaceSettings, question: Question, label: str) -> PlannedQuestion:
    """Return a question that every pod is clicked for, and a fault strikes at the append of its ending."""
    random = Random(f"{settings.seed}/{label}")
    pods = random.sample(range(settings.pods), settings.pods)
    clicks = tuple(press(question, f"{label}.{pod}", pod, random, 1) for pod in pods)
    return PlannedQuestion(label, question, (_post(question, label, pods), Burst(clicks)))


_MILLISECOND = timedelta(milliseconds=1)


def _put(question: Question, label: str, pods: list[int], transaction: Transaction) -> Burst:
    put = PlannedOperation(
        f"{label}.put", pods[0], OperationKind.PUT, question.id, question.scope, transaction=transaction
    )
    return Burst((put,))


def _post(question: Question, label: str, pods: list[int], trouble: PostTrouble | None = None) -> Burst:
    post = PlannedOperation(
        f"{label}.post",
        pods[0],
        OperationKind.PUT,
        question.id,
        question.scope,
        request_key=f"{question.id}-event",
        posts=True,
        trouble=trouble,
    )
    return Burst((post,))


def _clicks(
    question: Question, label: str, pods: list[int], around_ms: int, random: Random, left_out: int = 0
) -> Burst:
    """Return clicks one after the other, on one pod after the other, around that time; the first ones are left out."""
    return Burst(
        tuple(
            replace(
                press(question, f"{label}.{place}", pods[place % len(pods)], random, 1),
                after_ms=around_ms + offset + random.randrange(4),
            )
            for place, offset in enumerate(AROUND_MS[left_out:])
        )
    )


def _click_of_a_stranger(question: Question, label: str, pod: int, random: Random) -> Burst:
    """Return a click by the wrong user, when the card is there and its person was reminded."""
    stranger = replace(question.scope, expected_user_id=f"{question.scope.expected_user_id}-passes-by")
    click = replace(press(question, f"{label}.stranger", pod, random, 1), scope=stranger, wrong=Wrong.USER)
    return Burst((replace(click, after_ms=POSTED_MS + 3 * LOOKS_EVERY_MS),))


def _clicks_of_two(question: Question, label: str, pods: list[int], random: Random) -> Burst:
    """Return clicks of the other user, from long before the escalation on, and some of the first one after it."""
    around_ms = ESCALATE_AFTER // _MILLISECOND - POSTED_MS
    other = replace(question.scope, expected_user_id=question.escalate_to or "")
    by_other = [0, 150, *(around_ms + offset for offset in AROUND_MS)]
    by_first = [around_ms + offset for offset in random.sample(AROUND_MS[4:], 3)]
    planned = [
        (scope, f"{label}.{whose} {place}", after_ms)
        for scope, whose, times in ((other, "other", by_other), (question.scope, "first", by_first))
        for place, after_ms in enumerate(times)
    ]
    return Burst(
        tuple(
            replace(
                press(question, name, pods[place % len(pods)], random, 1),
                scope=scope,
                after_ms=after_ms,
            )
            for place, (scope, name, after_ms) in enumerate(planned)
        )
    )
