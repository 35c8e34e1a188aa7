"""What a race will do, from its seed alone. Pure: the coordinator and every pod compute the same plan.

A race fires at its questions in order, at several of them at a time. A question's operations come in bursts: those of
one burst are fired together across the pods, and the next burst follows when all of them have ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Literal, TypeAlias

from ...model import Question, Scope
from .cards import plan_cards
from .duties import plan_append, plan_duty, plan_post
from .extra import plan_awaited, plan_extra, plan_other, plan_presses
from .operations import BY_OPTION, Burst, Names, OperationKind, PlannedOperation, PlannedQuestion, Wrong
from .settings import FIRST_WITH_MORE, RaceSettings

OPTIONS = ("yes", "no", "später ⏳", 'a "third" \\ way')

# Rows of another tenant that nobody clicks, for the same users over the same connections.
MAX_BYSTANDERS = 20

# Questions of another application in the same organization and database.
MAX_OTHERS = 5

# Whose cards the pods post; and that of a neighbour, whose stream is locked while it is clicked.
_ON_THE_STREAM = ("c", "d", "s", "n")

# One question in so many is stored again while it is clicked, by its own scope or a foreign one.
PUT_EVERY = 32
# And of one in so many the wrong clicks come first: they would win if they could.
WRONG_FIRST_EVERY = 8

_STOLEN_KEYS = 0.25
_REPEAT: Literal["repeat"] = "repeat"


# What a click is: rightful, the same press once more, or wrong.
_Kind: TypeAlias = Wrong | Literal["repeat"] | None


def plan_question(settings: RaceSettings, names: Names, label: str) -> PlannedQuestion:
    """Return one question of a race by its label. The same settings, names and label give the same plan.

    Each question has a rightful click; the first two rightful ones go to two pods, and a repeat to another pod than its
    original where there is one. With six clicks or more every question has every kind; with fewer, the kinds rotate
    through the questions.
    """
    number = int(label[1:])
    if label.startswith("x"):
        return plan_extra(settings, _question(settings, names, label), label)
    if label.startswith(("w", "a")):
        return plan_awaited(settings, _question(settings, names, label), label)
    if label.startswith("c"):
        return plan_cards(settings, _question(settings, names, label), label)
    if label.startswith("d"):
        return plan_duty(settings, _question(settings, names, label), label)
    if label.startswith("k"):
        return plan_post(settings, _question(settings, names, label), label)
    if label.startswith("s"):
        return plan_append(settings, _question(settings, names, label), label)
    if label.startswith("o"):
        return plan_other(settings, _question(settings, names, label), label)
    if label.startswith(("t", "h", "n")):
        return plan_presses(settings, _question(settings, names, label), label)
    turns: list[_Kind] = [None, _REPEAT, *Wrong]
    Random(f"{settings.seed}/turns").shuffle(turns)
    return _plan_counted(settings, names, number, turns)


def plan_bystanders(settings: RaceSettings, names: Names) -> list[PlannedQuestion]:
    """Return questions of the foreign organization that are never clicked: they must come out untouched."""
    return [
        PlannedQuestion(f"f{number}", _question(settings, names, f"f{number}"), ())
        for number in range(min(settings.questions, MAX_BYSTANDERS))
    ]


def plan_others(settings: RaceSettings, names: Names) -> list[PlannedQuestion]:
    """Return questions of another application: open ones, and some whose answers are due for that one's pods."""
    return [plan_question(settings, names, f"o{number}") for number in range(min(settings.questions, MAX_OTHERS))]


def plan_poisoned(settings: RaceSettings, names: Names) -> PlannedQuestion:
    """Return the question whose row is stored as one that cannot be read."""
    return PlannedQuestion("p0", _question(settings, names, "p0"), ())


def _question(settings: RaceSettings, names: Names, label: str) -> Question:
    random = Random(f"{settings.seed}/{label}/question")
    organization = names.foreign_organization_id if label.startswith(("f", "n")) else names.organization_id
    return Question(
        id=f"{names.run}-{label}",
        scope=Scope(organization, random.choice(names.connections), _user(int(label[1:]))),
        text=f"Question {label}: deploy build {random.randrange(10_000)}? 🚀 [bold] \\ {{}}",
        options=OPTIONS[: random.randint(2, len(OPTIONS))],
        conversation_id=f"{names.run}-conversation-{label}",
        stream=names.stream if label.startswith(_ON_THE_STREAM) else None,
    )


def _plan_counted(settings: RaceSettings, names: Names, number: int, turns: Sequence[_Kind]) -> PlannedQuestion:
    label = f"q{number}"
    random = Random(f"{settings.seed}/{label}")
    question = _question(settings, names, label)
    pods = random.sample(range(settings.pods), settings.pods)
    rightful: list[PlannedOperation] = []
    planned: list[PlannedOperation] = []
    for place, kind in enumerate(_kinds(settings.clicks, number, turns, random)):
        pod = pods[place % settings.pods]
        key, value, scope, wrong = f"{question.id}-{place}", random.choice(question.options), question.scope, None
        by_option = random.random() < BY_OPTION
        if kind == _REPEAT:
            # Preferably on another pod than the original: a platform retries through a load balancer.
            original = random.choice([each for each in rightful if each.pod != pod] or rightful)
            key, value = original.delivery_key or key, original.value or value
            by_option = original.by_option
        elif isinstance(kind, Wrong):
            scope, wrong = _wrong_scope(question.scope, kind, names, number), kind
            if random.random() < _STOLEN_KEYS:
                stolen = random.choice(rightful)
                key, value = stolen.delivery_key or key, stolen.value or value
        click = PlannedOperation(
            f"{label}.{place}",
            pod,
            OperationKind.CLAIM,
            question.id,
            scope,
            wrong,
            key,
            value,
            asking=1,
            by_option=by_option,
        )
        if kind is None:
            rightful.append(click)
        planned.append(click)
    if number < FIRST_WITH_MORE or number % PUT_EVERY == 0:
        # In rotation it is stored again by its own scope, which finds it pending or answered, and by foreign ones.
        wrong = ([None, *Wrong])[(number if number < FIRST_WITH_MORE else number // PUT_EVERY) % 4]
        scope = question.scope if wrong is None else _wrong_scope(question.scope, wrong, names, number)
        pod = random.randrange(settings.pods)
        planned.append(PlannedOperation(f"{label}.put", pod, OperationKind.PUT, question.id, scope, wrong))
    random.shuffle(planned)
    wrong_clicks = [each for each in planned if each.kind is OperationKind.CLAIM and each.wrong is not None]
    if wrong_clicks and (0 < number < FIRST_WITH_MORE or number % WRONG_FIRST_EVERY == 1):
        others = [each for each in planned if each not in wrong_clicks]
        return PlannedQuestion(label, question, (Burst(tuple(wrong_clicks)), Burst(tuple(others))))
    return PlannedQuestion(label, question, (Burst(tuple(planned)),))


def _kinds(clicks: int, number: int, turns: Sequence[_Kind], random: Random) -> list[_Kind]:
    """The kinds of a question's clicks; the rightful ones (None) come first, since the others may borrow from them."""
    due = min(clicks - 1, len(turns))
    kinds = [turns[(number * due + place) % len(turns)] for place in range(due)]
    kinds += random.choices(turns, weights=[4 if kind is None else 1 for kind in turns], k=clicks - due - 1)
    return sorted([None, *kinds], key=[None, _REPEAT, *Wrong].index)


def _wrong_scope(scope: Scope, wrong: Wrong, names: Names, number: int) -> Scope:
    organization, connection, user = scope.organization_id, scope.connection_id, scope.expected_user_id
    match wrong:
        case Wrong.USER:
            user = _user(number + 1)
        case Wrong.CONNECTION:
            connection = next(other for other in names.connections if other != connection)
        case Wrong.ORGANIZATION:
            organization = names.foreign_organization_id
    return Scope(organization, connection, user)


def _user(number: int) -> str:
    return f"U{number}"
