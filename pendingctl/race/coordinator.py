"""The middle of a race: the pods are started, fired and ended, and the faults strike."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Self

from psycopg.conninfo import make_conninfo

from ..errors import DatabaseFailed, InvalidInput, NotFound
from ..postgres.connections import connect
from .faults.context import FaultContext, OwnServer
from .faults.proxy import Proxy, proxy_before
from .faults.strike import strike
from .history.files import FAULTS, POD, HistoryFile, fault_record, read_pod, write_questions
from .history.history import Fault, History, Operation, Outcome
from .plan.operations import OperationKind, PlannedQuestion
from .plan.plan import MAX_OTHERS, plan_question
from .plan.schedule import (
    AT_A_POST,
    AT_AN_APPEND,
    AT_AN_ASKER,
    LASTING,
    NEED_AN_OWN_SERVER,
    STRUCK_IN_THE_PROXY,
    TROUBLES,
    FaultKind,
    Moment,
    PlannedFault,
    schedule_faults,
)
from .plan.settings import RaceSettings
from .pods.dispatcher import STRIKE_SECONDS, BoundedDispatcher, Dispatcher, RaceBrokenOff, broken_off_after
from .pods.supervisor import supervised_pods
from .rows import (
    APPLICATION,
    Arrangement,
    store_organizations,
    store_questions,
)
from .unsettled import count_unsettled, run_out_of_appends, run_out_of_cards, run_out_of_posts

# With fewer at once a pod idles while the coordinator learns that a question is done; with more, pods wait for each
# other.
ORDERS_AT_ONCE = 6
QUESTIONS_TOGETHER = 4
DUTIES_AT_ONCE = 20
# Over so many answers the worker hangs: more than a pod delivers at a time.
HANGING = 60
# How many questions are fired at while a server is away.
WHILE_AWAY = 8
# With a duration it is not known how many questions are needed; so many are stored at a time.
STORED_AT_ONCE = 500

# How long the delivery of answers of killed and paused pods may take: some leases, an asker's 15 s, and some attempts.
SETTLED_SECONDS = 20.0
SETTLED_POLL_SECONDS = 0.1
# A card that is not edited by then may be leased, for half a minute, by a pod that was killed.
CARDS_SECONDS = 3.0
# Likewise a card that is not posted by then; one that is posted twice since its pod was slow would break a law.
POSTS_SECONDS = 10.0

# A smaller difference might be a slow start.
LEAST_SKEW_SECONDS = 3600.0
# How many more questions are fired at where no sweep has raced yet; on two busy processors every other one is enough.
MORE_TO_SWEEP = 50


# The kind of question at which alone such a fault strikes.
_ONE_BESIDE: Mapping[Moment | None, str] = {
    **dict.fromkeys(AT_AN_ASKER, "a"),
    **dict.fromkeys(AT_A_POST, "k"),
    **dict.fromkeys(AT_AN_APPEND, "s"),
}


@dataclass(frozen=True, slots=True)
class Fired:
    """What the coordinator knows of a race that was fired; what the pods did is in their files."""

    history: History
    seconds: float


async def race(
    dsn: str,
    settings: RaceSettings,
    arrangement: Arrangement,
    directory: Path,
    server: OwnServer | None,
    on_progress: Callable[[int], None] | None,
) -> Fired:
    """Store the questions, fire at all of them, and end the pods.

    Raises as `run.simulate_race` does; the arrangement then names what is stored.
    """
    dispatcher = Dispatcher()
    async with await connect(dsn, application=APPLICATION) as connection:
        write_questions(directory, await store_organizations(connection, settings, arrangement))
    async with (
        # By the name of the run the sessions of its pods are found.
        _proxy(make_conninfo(dsn, application_name=arrangement.names.run), settings) as (proxy, pods_dsn),
        supervised_pods(pods_dsn, settings, arrangement.names, directory, dispatcher) as supervisor,
    ):
        context = FaultContext(dsn, dispatcher, supervisor, proxy, server)
        return await _Coordinator(settings, arrangement, directory, context).race(on_progress)


@asynccontextmanager
async def _proxy(dsn: str, settings: RaceSettings) -> AsyncIterator[tuple[Proxy | None, str]]:
    if STRUCK_IN_THE_PROXY.isdisjoint(settings.faults):
        yield None, dsn
        return
    async with proxy_before(dsn, APPLICATION) as (proxy, through):
        yield proxy, through


class _Coordinator:
    """The race's state between its start and its end."""

    def __init__(
        self,
        settings: RaceSettings,
        arrangement: Arrangement,
        directory: Path,
        context: FaultContext,
    ) -> None:
        self._settings = settings
        self._arrangement = arrangement
        self._directory = directory
        self._context = context
        self._supervisor = context.supervisor
        self._kinds: set[OperationKind] = set()
        self._plan: dict[str, PlannedQuestion] = {}
        self._stored = 0

    async def race(self, on_progress: Callable[[int], None] | None) -> Fired:
        settings = self._settings
        schedule = schedule_faults(settings.faults, settings.seed)
        await self._store_more(0)
        pods = [await self._supervisor.start(number) for number in range(settings.pods)]
        reasons, late, seconds = await self._supervisor.wait_until_ready(pods), set[str](), 0.0
        if not reasons and all(pod.ready for pod in pods):
            began = time.monotonic()
            with _FaultLog(self._directory) as faults:
                lasting = [faults.begin(planned) for planned in schedule if planned.kind in LASTING]
                try:
                    sudden = [planned for planned in schedule if planned.kind not in LASTING]
                    try:
                        await self._fire_all(sudden, faults, began, on_progress)
                    finally:
                        seconds = time.monotonic() - began
                    await self._sweep_until_it_lands()
                except RaceBrokenOff as broken:
                    reasons.append(str(broken))
                    # One that hangs within a transaction would keep what it has locked.
                    await self._supervisor.kill(broken.late)
                    late.update(broken.late)
                await self._until_settled()
                await self._supervisor.end()
                for fault in lasting:
                    faults.end(self._judge_lasting(fault))
        await self._supervisor.end()
        if refused := next((pod for pod in self._supervisor.all if pod.refusal is not None), None):
            raise DatabaseFailed(f"{refused.name} could not start: {refused.refusal}")
        present = self._context.dispatcher.pods.values()
        reasons += [pod.last_words() for pod in present if not pod.ended and pod.name not in late]
        history = History((), (), (), (), frozenset(self._kinds), reasons=tuple(reasons))
        return Fired(history, round(seconds, 3))

    async def _until_settled(self) -> None:
        """Wait while the pods deliver and edit cards; after 20 seconds rows and cards show what is still left to do."""
        began = time.monotonic()
        run_out_at = began + CARDS_SECONDS
        run_out_of_posts_at = began + POSTS_SECONDS
        async with await connect(self._context.dsn, application=APPLICATION) as connection:
            await run_out_of_posts(connection, self._arrangement.ids, leases=False)
            await run_out_of_appends(connection, self._arrangement.ids)
            while (now := time.monotonic()) < began + SETTLED_SECONDS:
                if not await count_unsettled(connection, self._arrangement):
                    return
                if now > run_out_at:
                    await run_out_of_cards(connection, self._arrangement)
                    await run_out_of_appends(connection, self._arrangement.ids)
                    await run_out_of_posts(connection, self._arrangement.ids, leases=now > run_out_of_posts_at)
                    run_out_at = now + CARDS_SECONDS
                await asyncio.sleep(SETTLED_POLL_SECONDS)

    async def _fire_all(
        self,
        sudden: list[PlannedFault],
        faults: _FaultLog,
        began: float,
        on_progress: Callable[[int], None] | None,
    ) -> None:
        """Fire at the questions in order, at several at once, and let the faults strike. Raises RaceBrokenOff."""
        settings = self._settings
        numbers = count()
        async with (
            BoundedDispatcher(self._context.dispatcher, ORDERS_AT_ONCE, QUESTIONS_TOGETHER) as dispatcher,
            # Their operations wait for their times, and would keep the others from their turn.
            BoundedDispatcher(self._context.dispatcher, DUTIES_AT_ONCE, 1) as duties,
        ):
            for number in numbers:
                elapsed = time.monotonic() - began
                if not self._goes_on(number, elapsed, sudden):
                    return
                await self._store_more(number)
                question = self._planned(f"q{number}")
                if settings.has_extra(number):
                    await dispatcher.fire(self._planned(f"x{number}"))
                if settings.has_more(number):
                    await dispatcher.fire(self._planned(f"w{number}"))
                    await dispatcher.fire(self._planned(f"c{number}"))
                if settings.has_duties(number):
                    await duties.fire(self._planned(f"d{number}"))
                if number < MAX_OTHERS:
                    await dispatcher.fire(self._planned(f"o{number}"))
                if sudden and self._is_due(sudden, number, elapsed):
                    planned = sudden.pop(0)
                    await dispatcher.drain()
                    await duties.drain()
                    # A server goes away while much is under way, as far as enough questions are left.
                    away = range(WHILE_AWAY if planned.kind in NEED_AN_OWN_SERVER else 0)
                    more = [next(numbers) for _ in away if self._has_room(number + len(away) + len(sudden))]
                    faults.begin(planned)
                    await self._store_more(max([number, *more]))
                    beside = [self._planned(f"q{each}") for each in more]
                    if planned.kind in TROUBLES:
                        beside = await self._store_for_trouble(planned)
                    elif (kind := _ONE_BESIDE.get(planned.moment)) is not None:
                        beside = [self._planned(f"{kind}{planned.number}")]
                        await self._store((), beside)
                    async with broken_off_after(STRIKE_SECONDS, f"the fault {planned.kind}"):
                        fault = await strike(self._context, planned, question, beside)
                    faults.end(fault)
                else:
                    await dispatcher.fire(question)
                if on_progress is not None:
                    on_progress(number + 1)

    async def _sweep_until_it_lands(self) -> None:
        """Where a sweeper has not raced yet, fire at more questions until it has. Raises RaceBrokenOff.

        The pods meet of their own accord: on few processors, which take turns at them, that is a matter of luck.
        """
        if FaultKind.SWEEP not in self._settings.faults:
            return
        for number in range(self._settings.questions, self._settings.questions + MORE_TO_SWEEP):
            if _raced_with_a_sweep(self._directory):
                return
            question = self._planned(f"x{number}")
            await self._store((), [question])
            await self._context.dispatcher.fire(question)

    def _goes_on(self, number: int, elapsed: float, sudden: list[PlannedFault]) -> bool:
        duration = self._settings.duration_seconds
        return self._has_room(number) and (duration is None or elapsed < duration or bool(sudden))

    def _has_room(self, number: int) -> bool:
        return number < self._settings.questions

    def _is_due(self, sudden: list[PlannedFault], number: int, elapsed: float) -> bool:
        """Whether the next fault's position is reached, or only the questions that the faults need are left."""
        settings = self._settings
        if settings.duration_seconds is not None:
            return elapsed >= sudden[0].position * settings.duration_seconds
        return number >= sudden[0].position * settings.questions or settings.questions - number <= len(sudden)

    async def _store_more(self, number: int) -> None:
        """Store the questions up to this one and some more; the pods store the extra ones between them."""
        settings = self._settings
        if number < self._stored:
            return
        stored_at_once = STORED_AT_ONCE if settings.duration_seconds is not None else settings.questions
        numbers = range(self._stored, min(self._stored + stored_at_once, settings.questions))
        self._stored = numbers.stop
        counted = [self._planned(f"q{each}") for each in numbers]
        extra = [self._planned(f"x{each}") for each in numbers if settings.has_extra(each)]
        extra += [self._planned(f"{kind}{each}") for each in numbers if settings.has_more(each) for kind in "wc"]
        extra += [self._planned(f"d{each}") for each in numbers if settings.has_duties(each)]
        await self._store(counted, extra)

    async def _store_for_trouble(self, planned: PlannedFault) -> list[PlannedQuestion]:
        """Store questions of the tenant that will be in trouble, and one of its neighbour."""
        kind, number = ("t", 2) if planned.kind is FaultKind.LOCK else ("h", HANGING)
        labels = [f"{kind}{number * planned.number + each}" for each in range(number)] + [f"n{planned.number}"]
        questions = [self._planned(label) for label in labels]
        try:
            await self._store(questions, ())
        except NotFound as error:
            raise InvalidInput(
                f"the fault {planned.kind} needs a second organization, which cannot be created here"
            ) from error
        return questions

    async def _store(self, counted: Sequence[PlannedQuestion], extra: Sequence[PlannedQuestion]) -> None:
        async with await connect(self._context.dsn, application=APPLICATION) as connection:
            raced = await store_questions(connection, self._arrangement, counted, extra)
        for question in raced:
            if question.ask_number is not None:
                label = question.id.removeprefix(f"{self._arrangement.names.run}-")
                self._context.dispatcher.on_asked(label, question.ask_number, 0)
        write_questions(self._directory, raced)

    def _planned(self, label: str) -> PlannedQuestion:
        """Return the plan of a question, which is computed when it is stored and forgotten when it is fired at."""
        if (question := self._plan.pop(label, None)) is None:
            question = self._plan[label] = plan_question(self._settings, self._arrangement.names, label)
            self._kinds.update(operation.kind for operation in question.operations)
            # Deliveries follow from the claims.
            self._kinds.add(OperationKind.DELIVER)
        return question

    def _judge_lasting(self, fault: Fault) -> Fault:
        """Return a fault that lasted from the first click to the last one, with whether it landed."""
        if fault.kind is FaultKind.SKEW:
            right = [pod.name for pod in self._supervisor.all if abs(pod.clock_is_off_by) < LEAST_SKEW_SECONDS]
            detail = f"the clock of {', '.join(right)} was right" if right else ""
        else:
            landed = _raced_with_a_sweep(self._directory)
            detail = "" if landed else "no sweep took a row while something was done to it"
        return replace(fault, ended_ns=time.monotonic_ns(), landed=not detail, detail=detail)


class _FaultLog:
    """Writes each fault when it begins and again when it has ended: one that was broken off is then recorded."""

    def __init__(self, directory: Path) -> None:
        self._file = HistoryFile(directory / FAULTS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def begin(self, planned: PlannedFault) -> Fault:
        fault = Fault(planned.number, planned.kind, planned.moment, time.monotonic_ns())
        self._file.append(fault_record(fault))
        return fault

    def end(self, fault: Fault) -> None:
        self._file.append(fault_record(fault))


def _raced_with_a_sweep(directory: Path) -> bool:
    operations = [
        each for path in directory.glob(POD) for each in read_pod(path).operations if each.ended_ns is not None
    ]
    by_question: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        if operation.kind is not OperationKind.SWEEP:
            by_question[operation.planned.question_id].append(operation)
    return any(
        other.started_ns < (sweep.ended_ns or 0) and sweep.started_ns < (other.ended_ns or 0)
        for sweep in operations
        if sweep.kind is OperationKind.SWEEP and sweep.outcome is Outcome.OK
        for id in sweep.reported.ids
        for other in by_question[id]
    )
