"""The coordinator of a race: stores the questions, starts the pods, fires, reads what is left, cleans up."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..database import connect
from ..errors import DatabaseFailed, NotMigrated, PendingctlError
from .checker import judge
from .history import HandOver, History, Operation, Outcome
from .interruption import undisturbed
from .plan import Names, PlannedQuestion, RaceSettings, most_clicks_at_once, plan_questions
from .processes import PodProcess, running_pods
from .report import RaceResult, summarize
from .rows import APPLICATION, Arrangement, arrange, read_rows, remove, store_questions
from .wire import Orders

_log = logging.getLogger(__name__)

READY_SECONDS = 40.0
QUESTION_SECONDS = 30.0
CLEAN_UP_SECONDS = 10.0

MAX_CONNECTIONS_OF_A_POD = 16
# A stock server takes 100, and others want some too.
MAX_CONNECTIONS = 64


@dataclass(frozen=True, slots=True)
class _Fired:
    """What the pods did. `lost` says which of them were lost, and how."""

    operations: tuple[Operation, ...]
    hand_overs: tuple[HandOver, ...]
    ended_pods: frozenset[str]
    lost: tuple[str, ...]
    seconds: float


async def simulate_race(
    dsn: str, settings: RaceSettings, *, on_progress: Callable[[int, int], None] | None = None
) -> RaceResult:
    """Let pods race for real rows in a migrated database, and judge what happened.

    Whatever happens, cancellation included, no pod and no row of the race is left behind; only the end of this
    very process by force leaves its rows, under organizations named pendingctl-race-…. `on_progress` is told how many
    questions of how many are done. Raises InvalidInput when organizations cannot be created there, NotFound
    when the given one does not exist, and DatabaseFailed when the database cannot do its part.
    """
    run = f"pendingctl-race-{secrets.token_hex(6)}"
    names = Names(run, settings.organization_id or run, f"{run}-foreign")
    questions = plan_questions(settings, names)
    arrangement = arrange(settings, names, questions)
    connection = await connect(dsn, application=APPLICATION)
    try:
        async with connection:
            asked = await store_questions(connection, arrangement)
        fired = await _race(_orders(dsn, settings, names, questions), questions, on_progress)
        async with await connect(dsn, application=APPLICATION) as connection:
            rows = await read_rows(connection, arrangement)
    except BaseException:
        _, failed = await undisturbed(_clean_up(dsn, arrangement))
        for reason in failed:
            _log.warning(reason)
        raise
    left_behind, failed = await undisturbed(_clean_up(dsn, arrangement))
    history = History(
        tuple(asked), fired.operations, fired.hand_overs, tuple(rows), fired.ended_pods, tuple(left_behind)
    )
    judgement = judge(history, (*fired.lost, *failed))
    pods = [_pod_name(number) for number in range(settings.pods)]
    return summarize(settings, judgement, fired.operations, pods, fired.seconds)


async def _clean_up(dsn: str, arrangement: Arrangement) -> tuple[list[str], list[str]]:
    """Return what is left behind, and why nothing could be removed where that is so."""
    try:
        async with asyncio.timeout(CLEAN_UP_SECONDS):
            # A connection of its own: the run's others may be in the middle of anything when it is interrupted.
            async with await connect(dsn, application=APPLICATION) as connection:
                return await remove(connection, arrangement), []
    except NotMigrated:
        return [], []
    except TimeoutError:
        reason = f"it took longer than {CLEAN_UP_SECONDS:g} s"
    except PendingctlError as error:
        reason = str(error)
    return [], [f"the rows of {arrangement.names.run} could not be removed, delete them by hand: {reason}"]


def _orders(dsn: str, settings: RaceSettings, names: Names, questions: Sequence[PlannedQuestion]) -> list[Orders]:
    connections = min(
        most_clicks_at_once(questions), MAX_CONNECTIONS_OF_A_POD, max(1, MAX_CONNECTIONS // settings.pods)
    )
    return [Orders(dsn, _pod_name(number), number, connections, settings, names) for number in range(settings.pods)]


def _pod_name(number: int) -> str:
    return f"pod-{number + 1}"


class _Board:
    """Which pods have yet to report the question that is being fired at, as their news come in.

    One question at a time: eight at once were measured to give a quarter more clicks a second, but their claims
    wait for each other, and the latency of that says nothing about the database.
    """

    def __init__(self) -> None:
        self.released_ns: dict[int, int] = {}
        self.waiting: set[str] = set()
        self._news = asyncio.Event()

    def hear_done(self, pod: str) -> None:
        """A pod has reported the question."""
        self.waiting.discard(pod)
        self._news.set()

    def hear_changed(self) -> None:
        """A pod has become ready, or is gone."""
        self._news.set()

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until the condition holds; return False when it did not in time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
                return True
        return False


async def _race(
    orders: Sequence[Orders],
    questions: Sequence[PlannedQuestion],
    on_progress: Callable[[int, int], None] | None,
) -> _Fired:
    board = _Board()
    async with running_pods(orders, board) as pods:
        await board.until(lambda: all(pod.ready for pod in pods) or any(pod.gone for pod in pods), READY_SECONDS)
        late = {pod.name: f"was not ready within {READY_SECONDS:g} s" for pod in pods if not (pod.ready or pod.gone)}
        seconds = 0.0
        if all(pod.ready for pod in pods):
            began = time.monotonic()
            late = await _fire(board, pods, questions, on_progress)
            seconds = time.monotonic() - began
        await asyncio.gather(*(pod.kill() if pod.name in late else pod.end() for pod in pods))
        for pod in pods:
            if pod.refusal is not None:
                raise DatabaseFailed(f"{pod.name} could not start: {pod.refusal}")
        return _Fired(
            operations=_operations(board, pods, questions),
            hand_overs=tuple(handed for pod in pods for handed in pod.hand_overs),
            ended_pods=frozenset(pod.name for pod in pods if pod.ended),
            lost=(
                *(f"{name} {reason}" for name, reason in late.items()),
                *(pod.last_words() for pod in pods if not pod.ended and pod.name not in late),
            ),
            seconds=seconds,
        )


async def _fire(
    board: _Board,
    pods: Sequence[PodProcess],
    questions: Sequence[PlannedQuestion],
    on_progress: Callable[[int, int], None] | None,
) -> dict[str, str]:
    """Release the questions one after the other; return which pods did not report in time.

    Ends with the first pod that is late or gone.
    """
    for question in questions:
        taking_part = {pods[planned.pod] for planned in question.clicks}
        board.waiting = {pod.name for pod in taking_part}
        board.released_ns[question.number] = time.monotonic_ns()
        for pod in taking_part:
            pod.release(question.number)
        in_time = await board.until(lambda: not board.waiting or any(pod.gone for pod in pods), QUESTION_SECONDS)
        if not in_time:
            reason = f"did not report question {question.number} within {QUESTION_SECONDS:g} s"
            return dict.fromkeys(sorted(board.waiting), reason)
        if any(pod.gone for pod in pods):
            break
        if on_progress is not None:
            on_progress(len(board.released_ns), len(questions))
    return {}


def _operations(
    board: _Board, pods: Sequence[PodProcess], questions: Sequence[PlannedQuestion]
) -> tuple[Operation, ...]:
    """What the pods reported, and as unknown what a lost pod may have sent without a report."""
    reported = [operation for pod in pods for done in pod.done for operation in done.operations]
    known = {operation.number for operation in reported}
    unknown = [
        Operation(
            pod=pods[planned.pod].name,
            number=planned.number,
            kind=planned.kind,
            click=planned.click,
            started_ns=board.released_ns[question.number],
            ended_ns=None,
            outcome=Outcome.UNKNOWN,
            detail="the pod was lost",
        )
        for question in questions
        if question.number in board.released_ns
        for planned in question.clicks
        if planned.number not in known
    ]
    return (*reported, *unknown)
