"""Questions whose cards the pods post, through their bridges, and edit when they have ended."""

from __future__ import annotations

from random import Random

from ...model import Question
from .operations import Burst, OperationKind, PlannedOperation, PlannedQuestion, press
from .settings import RaceSettings

# So old, a card of a race says that its question has expired; the question can still be answered.
CARD_MAX_AGE_MS = 200


def plan_cards(settings: RaceSettings, question: Question, label: str) -> PlannedQuestion:
    """Return a question whose card is posted once, though its event comes to two pods.

    In rotation it is changed and then withdrawn; changed and then answered; answered after its card has expired; and
    clicked while its card is posted, and while it is changed. Nothing is left open.
    """
    random = Random(f"{settings.seed}/{label}")
    pods = random.sample(range(settings.pods), settings.pods)

    def post(name: str, pod: int, edition: int = 0) -> PlannedOperation:
        key = f"{question.id}-event-{edition}"
        return PlannedOperation(
            f"{label}.{name}",
            pod,
            OperationKind.PUT,
            question.id,
            question.scope,
            request_key=key,
            edition=edition,
            posts=True,
        )

    def clicks(name: str, asking: int | None) -> tuple[PlannedOperation, ...]:
        return tuple(press(question, f"{label}.{name} {pod}", pod, random, asking) for pod in pods)

    withdraw = PlannedOperation(f"{label}.withdraw", pods[-1], OperationKind.WITHDRAW, question.id, question.scope)
    # A pod that has seen an event looks no more for whether another has posted its card.
    posted = tuple(post(f"post {pod}", pod) for pod in pods[:2])
    changed = post("change", random.choice(pods), 1)
    match int(label[1:]) % 4:
        case 0:
            bursts = [Burst(posted), Burst((changed,)), Burst((withdraw,)), Burst(clicks("late", -1))]
        case 1:
            bursts = [Burst(posted), Burst((changed,)), Burst((*clicks("old card", -2), *clicks("click", -1)))]
        case 2:
            bursts = [Burst(posted), Burst(clicks("click", 1), CARD_MAX_AGE_MS * 2)]
        case _:
            bursts = [Burst((*posted, *clicks("early", None))), Burst((changed, *clicks("click", 1)))]
    # Whatever the first clicks met, the last ones leave nothing open.
    return PlannedQuestion(label, question, (*bursts, Burst(clicks("last", None))))
