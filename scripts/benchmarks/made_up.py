"""A history as a lawful race leaves it, made up: large ones for the checker, in no time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pendingctl.race.history.history import HandOver, History, Operation, Outcome, RacedQuestion, Reason, Reported, Row
from pendingctl.race.plan.operations import Names, PlannedOperation, Wrong
from pendingctl.race.plan.plan import plan_question
from pendingctl.race.plan.settings import RaceSettings

_PODS = 4
_STEP_NS = 1_000_000
_WON_AT = datetime(2026, 1, 1, tzinfo=UTC)


def made_up_history(*, questions: int, clicks: int) -> History:
    """Return the history of questions that were clicked all at once, the first rightful click of each the winner."""
    settings = RaceSettings(_PODS, questions, clicks, seed=1)
    names = Names("run", "run", "run-foreign")
    raced: list[RacedQuestion] = []
    operations: list[Operation] = []
    hand_overs: list[HandOver] = []
    rows: list[Row] = []
    for number in range(questions):
        planned = plan_question(settings, names, f"q{number}")
        question = planned.question
        payload = question.payload()
        raced.append(RacedQuestion(question.id, question.scope, payload, question.conversation_id))
        winner = next(each for each in planned.clicks if each.wrong is None)
        won_at = _WON_AT + timedelta(milliseconds=number)
        for click in planned.clicks:
            # Each begins a little after the one before, and all of them before the first has ended.
            started = number * _STEP_NS + len(operations) % clicks
            outcome, reported = _ending(click, winner, Reported(at=won_at, payload=payload, ask_number=1))
            ended = started + _STEP_NS
            reply = "answered" if reported.reason is None else reported.reason
            pod = f"pod-{click.pod + 1}"
            operations.append(
                Operation(pod, len(operations), click, started, ended, outcome, reported, reply, click.pod)
            )
        pod = f"pod-{winner.pod + 1}"
        user = question.scope.expected_user_id
        hand_overs.append(HandOver(pod, question.id, 1, winner.value, user, question.conversation_id))
        rows.append(Row(question.id, question.scope, payload, won_at, 1, winner.value, winner.delivery_key))
    return History(tuple(raced), tuple(operations), tuple(hand_overs), tuple(rows))


def _ending(click: PlannedOperation, winner: PlannedOperation, victory: Reported) -> tuple[Outcome, Reported]:
    if click.wrong is Wrong.USER:
        return Outcome.REFUSED, Reported(Reason.NOT_YOURS)
    if click.wrong is not None:
        return Outcome.REFUSED, Reported(Reason.UNKNOWN_OR_EXPIRED)
    if click is winner:
        return Outcome.OK, victory
    if (click.delivery_key, click.value) == (winner.delivery_key, winner.value):
        return Outcome.REPEATED, victory
    defeat = Reported(Reason.ALREADY_ANSWERED, winner.scope.expected_user_id, winner.value, victory.at)
    return Outcome.REFUSED, defeat
