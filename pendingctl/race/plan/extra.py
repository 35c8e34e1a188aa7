"""Questions that the pods store themselves: those that end and are asked again, and those that somebody waits for."""

from __future__ import annotations

from datetime import timedelta
from random import Random

from ...model import Question
from .operations import Burst, Fate, OperationKind, PlannedOperation, PlannedQuestion, press
from .schedule import FaultKind
from .settings import RaceSettings

# Of a question whose row is locked: more than the connections of a pod can serve before the reply is due.
PRESSES_OF_A_POD = 6

# How long an asker waits that gives up.
GIVES_UP_AFTER = timedelta(milliseconds=200)

# The sweeper must take no rows but the run's: those that it may take are moved a thousand years into the past, and
# are stale when they are a little older than that.
PAST = timedelta(days=365_250)
STALE_AFTER = timedelta(milliseconds=30)
SWEEP_MAX_AGE = PAST + STALE_AFTER


def plan_extra(settings: RaceSettings, question: Question, label: str) -> PlannedQuestion:
    """Return an extra question: it is put, claimed, deleted, swept and put again, several of these at a time."""
    random = Random(f"{settings.seed}/{label}")
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

    def click(name: str, asking: int) -> PlannedOperation:
        return press(question, f"{label}.{name}", random.randrange(settings.pods), random, asking)

    return [
        Burst((put("first", first, 0),)),
        Burst((put("retry", first, 0), put("same key", first, 1))),
        Burst((put("second", random.choice([second, None]), 1),)),
        Burst((click("old card", -2), click("new card", -1))),
        Burst((click("old card later", 1), put("displaced", first, 0))),
    ]


def plan_awaited(settings: RaceSettings, question: Question, label: str) -> PlannedQuestion:
    """Somebody asks and waits, on one pod; then all pods are clicked, and the asker's pod waits for its end.

    Of a5, at which a fault strikes, the asker would take the answer.
    """
    random = Random(f"{settings.seed}/{label}")
    asker = random.randrange(settings.pods)
    fate = Fate.TAKES if label.startswith("a") else list(Fate)[int(label[1:]) % len(Fate)]
    ask = PlannedOperation(f"{label}.ask", asker, OperationKind.ASK, question.id, question.scope, fate=fate)
    clicks = tuple(press(question, f"{label}.{pod}", pod, random, 1) for pod in range(settings.pods))
    # Whoever gives up does so before anybody clicks.
    after_ms = GIVES_UP_AFTER // timedelta(milliseconds=1) + 300 if fate is Fate.GIVES_UP else 0
    return PlannedQuestion(label, question, (Burst((ask,)), Burst(clicks, after_ms)))


def _on_extra(question: Question, name: str, pod: int, kind: OperationKind, random: Random) -> PlannedOperation:
    if kind is OperationKind.CLAIM:
        return press(question, name, pod, random, random.choice([None, 1, -1]))
    if kind is OperationKind.PUT:
        request_key = random.choice([None, None, f"{question.id}-again", f"{question.id}-{name}"])
        edition = random.choice([0, 0, 0, 1])
        return PlannedOperation(
            name, pod, kind, question.id, question.scope, reopens=True, request_key=request_key, edition=edition
        )
    limit = random.choice([1, 5, 1_000]) if kind is OperationKind.SWEEP else None
    return PlannedOperation(name, pod, kind, question.id, question.scope, limit=limit)


def plan_other(settings: RaceSettings, question: Question, label: str) -> PlannedQuestion:
    """Return a question of another application, which two pods of this one are clicked for."""
    random = Random(f"{settings.seed}/{label}")
    pods = random.sample(range(settings.pods), min(2, settings.pods))
    clicks = tuple(press(question, f"{label}.{pod}", pod, random, None) for pod in pods)
    return PlannedQuestion(label, question, (Burst(clicks),))


def plan_presses(settings: RaceSettings, question: Question, label: str) -> PlannedQuestion:
    """Return a question that is pressed while one tenant is in trouble, of that tenant or, n5, of its neighbour.

    Each pod presses it: often, t5, where the row is locked; once the neighbour's, and h5, over which the worker hangs.
    """
    random = Random(f"{settings.seed}/{label}")
    each = range(PRESSES_OF_A_POD if label.startswith("t") else 1)
    clicks = [
        press(question, f"{label}.{pod}.{number}", pod, random, 1) for pod in range(settings.pods) for number in each
    ]
    return PlannedQuestion(label, question, (Burst(tuple(clicks)),))
