"""What a race will do, from its seed alone. Pure: the coordinator and every pod compute the same plan.

A race fires at its questions in order, at several of them at a time. A question's operations come in bursts: those of
one burst are fired together across the pods, and the next burst follows when all of them have ended.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from random import Random
from typing import Literal, TypeAlias

from ...model import Question, Scope
from .schedule import FaultKind
from .settings import FIRST_WITH_MORE, RaceSettings

OPTIONS = ("yes", "no", "später ⏳", 'a "third" \\ way')

# Rows of another tenant that nobody clicks, for the same users over the same connections.
MAX_BYSTANDERS = 20

# Answers of another application in the same organization and database.
MAX_OTHERS = 5

# One question in so many is stored again while it is clicked, by its own scope or a foreign one.
PUT_EVERY = 32
# And of one in so many the wrong clicks come first: they would win if they could.
WRONG_FIRST_EVERY = 8

# The sweeper must take no rows but the run's: those that it may take are moved a thousand years into the past, and
# are stale when they are a little older than that.
PAST = timedelta(days=365_250)
STALE_AFTER = timedelta(milliseconds=30)
SWEEP_MAX_AGE = PAST + STALE_AFTER

_STOLEN_KEYS = 0.25
_REPEAT: Literal["repeat"] = "repeat"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of one run's rows. Every id begins with `run`, which keeps it apart from everything else."""

    run: str
    organization_id: str
    foreign_organization_id: str

    @property
    def connections(self) -> tuple[str, str]:
        """The connections that the questions belong to; a click over the other one is wrong."""
        return f"{self.run}-a", f"{self.run}-b"

    @property
    def application(self) -> str:
        """The application of the run's rows: its pods deliver no answer of another, and no other pod theirs."""
        return self.run

    @property
    def other_application(self) -> str:
        """An application that has answers in the same organization, and no pods."""
        return f"{self.run}-other"


class OperationKind(StrEnum):
    """What is done to a question; a sweep is done to all of them.

    A delivery is not planned: it follows from a claim that won, on whichever pod holds the lease.
    """

    PUT = "put"
    CLAIM = "claim"
    DELETE = "delete"
    SWEEP = "sweep"
    DELIVER = "deliver"


class Wrong(StrEnum):
    """What is wrong about an operation: which part of the scope is foreign."""

    USER = "wrong_user"
    CONNECTION = "wrong_connection"
    ORGANIZATION = "wrong_organization"


# What a click is: rightful, the same press once more, or wrong.
_Kind: TypeAlias = Wrong | Literal["repeat"] | None


@dataclass(frozen=True, slots=True)
class PlannedOperation:
    """One operation of the plan.

    `name` is unique in the run, `pod` counts from 0, `scope` is the acting one. A claim is a click: it has a delivery
    key, which a repetition of the same press shares, and presses the button of an `asking`: 1 is the first one that its
    pod has heard of, -1 the latest, -2 the one before, None whichever is open. That asking's `ask_number` is drawn by
    the database, and known when the click is fired. A put `reopens` a question that was answered, or leaves it alone;
    it has a request key or none, and shows the `edition` of that number. A sweep has a limit, and its question is only
    its place in the plan.
    """

    name: str
    pod: int
    kind: OperationKind
    question_id: str
    scope: Scope
    wrong: Wrong | None = None
    delivery_key: str | None = None
    value: str | None = None
    ask_number: int | None = None
    reopens: bool = False
    limit: int | None = None
    asking: int | None = None
    request_key: str | None = None
    edition: int = 0


@dataclass(frozen=True, slots=True)
class Burst:
    """Operations that are fired together, so many milliseconds after the previous burst."""

    operations: tuple[PlannedOperation, ...]
    after_ms: int = 0


@dataclass(frozen=True, slots=True)
class PlannedQuestion:
    """One question and everything that is done to it. `label` is q12, or x3 for an extra one.

    A counted question is stored before it is fired at, and only clicked and stored again. An extra one is stored by
    the pods, deleted and swept.
    """

    label: str
    question: Question
    bursts: tuple[Burst, ...]

    @property
    def is_extra(self) -> bool:
        """Whether it is an extra question, which the report does not count."""
        return self.label.startswith("x")

    @property
    def operations(self) -> list[PlannedOperation]:
        """Everything that is done to it, in the order of the plan."""
        return [operation for burst in self.bursts for operation in burst.operations]

    def edition(self, number: int) -> Question:
        """The question with another text, as a put of this edition shows it; edition 0 is the question itself."""
        return replace(self.question, text=f"{self.question.text} (edition {number})") if number else self.question

    @property
    def editions(self) -> list[Question]:
        """The other editions that are put."""
        return [self.edition(number) for number in sorted({each.edition for each in self.operations} - {0})]

    @property
    def clicks(self) -> list[PlannedOperation]:
        """Its claims."""
        return [operation for operation in self.operations if operation.kind is OperationKind.CLAIM]


def plan_question(settings: RaceSettings, names: Names, label: str) -> PlannedQuestion:
    """Return one question of a race by its label. The same settings, names and label give the same plan.

    Each question has a rightful click; the first two rightful ones go to two pods, and a repeat to another pod than its
    original where there is one. With six clicks or more every question has every kind; with fewer, the kinds rotate
    through the questions.
    """
    number = int(label[1:])
    if label.startswith("x"):
        return _plan_extra(settings, names, number)
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
    """Return questions of another application whose answers are due all the while, for that application's pods."""
    return [
        PlannedQuestion(f"o{number}", _question(settings, names, f"o{number}"), ())
        for number in range(min(settings.questions, MAX_OTHERS))
    ]


def _question(settings: RaceSettings, names: Names, label: str) -> Question:
    random = Random(f"{settings.seed}/{label}/question")
    organization = names.foreign_organization_id if label.startswith("f") else names.organization_id
    return Question(
        id=f"{names.run}-{label}",
        scope=Scope(organization, random.choice(names.connections), _user(int(label[1:]))),
        text=f"Question {label}: deploy build {random.randrange(10_000)}? 🚀 [bold] \\ {{}}",
        options=OPTIONS[: random.randint(2, len(OPTIONS))],
        conversation_id=f"{names.run}-conversation-{label}",
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
        if kind == _REPEAT:
            # Preferably on another pod than the original: a platform retries through a load balancer.
            original = random.choice([each for each in rightful if each.pod != pod] or rightful)
            key, value = original.delivery_key or key, original.value or value
        elif isinstance(kind, Wrong):
            scope, wrong = _wrong_scope(question.scope, kind, names, number), kind
            if random.random() < _STOLEN_KEYS:
                stolen = random.choice(rightful)
                key, value = stolen.delivery_key or key, stolen.value or value
        click = PlannedOperation(
            f"{label}.{place}", pod, OperationKind.CLAIM, question.id, scope, wrong, key, value, asking=1
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


def _plan_extra(settings: RaceSettings, names: Names, number: int) -> PlannedQuestion:
    label = f"x{number}"
    random = Random(f"{settings.seed}/{label}")
    question = _question(settings, names, label)
    put, claim, delete, sweep, *_ = OperationKind
    swept = FaultKind.SWEEP in settings.faults
    # The row is stored, then competed for, stored again in between, and gone at the end.
    bursts: list[tuple[list[OperationKind], int]] = [([put, put], 0), ([claim, claim, put, delete], 0)]
    if swept:
        wait = STALE_AFTER // timedelta(milliseconds=1) + 10
        bursts += [
            ([put, put, sweep], 0),
            ([sweep, claim, delete, put, sweep, put], wait),
            ([put, sweep, claim], 0),
            ([sweep, put, delete, put, sweep], wait),
        ]
    bursts += [([put], 0), ([claim, claim, delete], 0)]
    if swept:
        bursts += [([put], 0), ([sweep], wait)]
    operations = _plan_editions(settings, question, label, random)
    place = 0
    for kinds, after_ms in bursts:
        order = random.sample(range(settings.pods), settings.pods)
        burst: list[PlannedOperation] = []
        for kind in random.sample(kinds, len(kinds)):
            burst.append(_on_extra(question, f"{label}.{place}", order[place % settings.pods], kind, random))
            place += 1
        operations.append(Burst(tuple(burst), after_ms))
    return PlannedQuestion(label, question, tuple(operations))


def _plan_editions(settings: RaceSettings, question: Question, label: str, random: Random) -> list[Burst]:
    """Put a question, and then another edition by another request, while the first card still has its buttons."""
    first, second = f"{question.id}-first", f"{question.id}-second"

    def put(name: str, key: str | None, edition: int) -> PlannedOperation:
        pod = random.randrange(settings.pods)
        return PlannedOperation(
            f"{label}.{name}",
            pod,
            OperationKind.PUT,
            question.id,
            question.scope,
            reopens=True,
            request_key=key,
            edition=edition,
        )

    def press(name: str, asking: int) -> PlannedOperation:
        pod, value = random.randrange(settings.pods), random.choice(question.options)
        key = f"{question.id}-{name}"
        return PlannedOperation(
            f"{label}.{name}",
            pod,
            OperationKind.CLAIM,
            question.id,
            question.scope,
            None,
            key,
            value,
            asking=asking,
        )

    return [
        Burst((put("first", first, 0),)),
        Burst((put("retry", first, 0), put("same key", first, 1))),
        Burst((put("second", random.choice([second, None]), 1),)),
        Burst((press("old card", -2), press("new card", -1))),
        Burst((press("old card later", 1), put("displaced", first, 0))),
    ]


def _on_extra(question: Question, name: str, pod: int, kind: OperationKind, random: Random) -> PlannedOperation:
    if kind is OperationKind.CLAIM:
        asking = random.choice([None, 1, -1])
        value = random.choice(question.options)
        return PlannedOperation(
            name, pod, kind, question.id, question.scope, None, f"{question.id}-{name}", value, asking=asking
        )
    if kind is OperationKind.PUT:
        request_key = random.choice([None, None, f"{question.id}-again", f"{question.id}-{name}"])
        edition = random.choice([0, 0, 0, 1])
        return PlannedOperation(
            name, pod, kind, question.id, question.scope, reopens=True, request_key=request_key, edition=edition
        )
    limit = random.choice([1, 5, 1_000]) if kind is OperationKind.SWEEP else None
    return PlannedOperation(name, pod, kind, question.id, question.scope, limit=limit)


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
