"""What a race will do, from its seed alone. Pure: the coordinator and every pod work out the same plan."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random

from ..errors import InvalidInput
from ..model import Click, Question, Scope, check_id

# What can be put to the test; `broken.store_for` makes each of them.
IMPLEMENTATIONS = ("correct", "select-then-update")

MAX_PODS = 64
MAX_CLICKS = 1_000
OPTIONS = ("yes", "no", "später ⏳", 'a "third" \\ way')

# Rows of another tenant that nobody clicks, for the same users over the same connections.
MAX_BYSTANDERS = 20

_STOLEN_KEYS = 0.25


@dataclass(frozen=True, slots=True)
class RaceSettings:
    """How large a race is, and what is put to the test. Raises InvalidInput for what cannot be raced.

    `organization_id` names an existing organization to race in; None means one of the race's own.
    """

    pods: int
    questions: int
    clicks: int
    seed: int
    implementation: str = "correct"
    organization_id: str | None = None

    def __post_init__(self) -> None:
        for number, name, most in (
            (self.pods, "number of pods", MAX_PODS),
            (self.questions, "number of questions", 1_000_000),
            (self.clicks, "number of clicks a question", MAX_CLICKS),
        ):
            if not 1 <= number <= most:
                raise InvalidInput(f"the {name} is {number}; it must be between 1 and {most:,}")
        if self.implementation not in IMPLEMENTATIONS:
            raise InvalidInput(f"no implementation {self.implementation!r}; there are: {', '.join(IMPLEMENTATIONS)}")
        if self.organization_id is not None:
            check_id(self.organization_id, "organization_id")


@dataclass(frozen=True, slots=True)
class Names:
    """What the rows of one run are called. Every id begins with `run`, so that they are nobody else's."""

    run: str
    organization_id: str
    foreign_organization_id: str

    @property
    def connections(self) -> tuple[str, str]:
        """The connections that the questions belong to; a click over the other one is wrong."""
        return f"{self.run}-a", f"{self.run}-b"


class ClickKind(StrEnum):
    """What is right or wrong about a click."""

    RIGHTFUL = "rightful"
    REPEAT = "repeat"
    WRONG_USER = "wrong_user"
    WRONG_CONNECTION = "wrong_connection"
    WRONG_ORGANIZATION = "wrong_organization"


@dataclass(frozen=True, slots=True)
class PlannedClick:
    """One click of the plan. `number` is unique in the whole run, `pod` counts from 0."""

    number: int
    pod: int
    kind: ClickKind
    click: Click


@dataclass(frozen=True, slots=True)
class PlannedQuestion:
    """One question and the clicks that are fired at it together. A bystander gets none."""

    number: int
    question: Question
    clicks: tuple[PlannedClick, ...]


def plan_questions(settings: RaceSettings, names: Names) -> list[PlannedQuestion]:
    """Return the questions of a race in the order in which they are fired.

    The same settings and names give the same plan. Each question has a rightful click; the first two rightful
    ones go to two pods, a repeat to another pod than its original where there is another. From six clicks on
    every question has every kind; below, the kinds take turns through the questions.
    """
    turns = [ClickKind.REPEAT, ClickKind.WRONG_USER, ClickKind.WRONG_CONNECTION, ClickKind.WRONG_ORGANIZATION]
    Random(f"{settings.seed}/turns").shuffle(turns)
    return [
        _plan_question(settings, names, number, [ClickKind.RIGHTFUL, *turns]) for number in range(settings.questions)
    ]


def plan_bystanders(settings: RaceSettings, names: Names) -> list[PlannedQuestion]:
    """Return questions of the foreign organization that nobody clicks: they must come out untouched."""
    return [
        PlannedQuestion(number, _question(settings, names, number, foreign=True), ())
        for number in range(min(settings.questions, MAX_BYSTANDERS))
    ]


def most_clicks_at_once(questions: Sequence[PlannedQuestion]) -> int:
    """Return the largest number of clicks that one pod fires at one question."""
    return max(max(Counter(planned.pod for planned in question.clicks).values(), default=0) for question in questions)


def _question(settings: RaceSettings, names: Names, number: int, *, foreign: bool = False) -> Question:
    random = Random(f"{settings.seed}/{number}/question")
    organization = names.foreign_organization_id if foreign else names.organization_id
    return Question(
        id=f"{names.run}-{'f' if foreign else 'q'}{number}",
        scope=Scope(organization, random.choice(names.connections), _user(number)),
        text=f"Question {number}: deploy build {random.randrange(10_000)}? 🚀 [bold] \\ {{}}",
        options=OPTIONS[: random.randint(2, len(OPTIONS))],
        conversation_id=f"{names.run}-conversation-{number}",
    )


def _plan_question(settings: RaceSettings, names: Names, number: int, turns: Sequence[ClickKind]) -> PlannedQuestion:
    random = Random(f"{settings.seed}/{number}")
    question = _question(settings, names, number)
    kinds = _kinds(settings.clicks, number, turns, random)
    pods = _assign(kinds, settings.pods, random)
    rightful: list[tuple[int, Click]] = []
    planned: list[tuple[int, ClickKind, Click]] = []
    for place, kind in enumerate(kinds):
        key = f"{question.id}-{place}"
        value = random.choice(question.options)
        pod = pods[place]
        if kind is ClickKind.RIGHTFUL:
            click = _click(question, key, value)
            rightful.append((pod, click))
        elif kind is ClickKind.REPEAT:
            # Preferably on another pod than the original: a platform retries through a load balancer.
            elsewhere = [original for at, original in rightful if at != pod]
            click = random.choice(elsewhere or [original for _, original in rightful])
        else:
            if random.random() < _STOLEN_KEYS:
                stolen = random.choice(rightful)[1]
                key, value = stolen.delivery_key, stolen.value or value
            click = _wrong_click(question, key, value, kind, names, number)
        planned.append((pod, kind, click))
    random.shuffle(planned)
    first = number * settings.clicks
    return PlannedQuestion(
        number, question, tuple(PlannedClick(first + place, *each) for place, each in enumerate(planned))
    )


def _kinds(clicks: int, number: int, turns: Sequence[ClickKind], random: Random) -> list[ClickKind]:
    kinds = [ClickKind.RIGHTFUL]
    due = min(clicks - 1, len(turns))
    kinds += [turns[(number * due + place) % len(turns)] for place in range(due)]
    kinds += random.choices(
        turns, weights=[4 if kind is ClickKind.RIGHTFUL else 1 for kind in turns], k=clicks - due - 1
    )
    # Rightful clicks first, since the others may borrow from them; the order of firing is shuffled later.
    return sorted(kinds, key=[ClickKind.RIGHTFUL, *(kind for kind in turns if kind is not ClickKind.RIGHTFUL)].index)


def _assign(kinds: Sequence[ClickKind], pods: int, random: Random) -> list[int]:
    order = random.sample(range(pods), pods)
    return [order[place % pods] for place in range(len(kinds))]


def _click(question: Question, delivery_key: str, value: str) -> Click:
    scope = question.scope
    return Click(
        question.id,
        scope.organization_id,
        scope.connection_id,
        scope.expected_user_id,
        delivery_key,
        value,
        1,
    )


def _wrong_click(
    question: Question, delivery_key: str, value: str, kind: ClickKind, names: Names, number: int
) -> Click:
    scope = question.scope
    organization, connection, user = scope.organization_id, scope.connection_id, scope.expected_user_id
    if kind is ClickKind.WRONG_USER:
        user = _user(number + 1)
    elif kind is ClickKind.WRONG_CONNECTION:
        connection = next(other for other in names.connections if other != connection)
    else:
        organization = names.foreign_organization_id
    return Click(question.id, organization, connection, user, delivery_key, value, 1)


def _user(number: int) -> str:
    return f"U{number}"
