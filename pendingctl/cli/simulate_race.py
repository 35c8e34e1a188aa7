"""pendingctl simulate-race"""

from __future__ import annotations

import secrets
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from . import race_report, render, stream_race
from .event_loop import run
from .options import Output, OutputOption, duration
from .race_target import Target, faults_named, show_race, show_self_test, steps, target_of_race
from .stream_race import StreamRace

if TYPE_CHECKING:
    from ..race.plan.settings import RaceSettings
    from ..race.self_test import SelfTestResult
    from ..race.verdict.report import RaceResult

QUESTIONS = 50
QUESTIONS_OF_A_SELF_TEST = 20
MOST_QUESTIONS = 1_000_000

JunitOption = Annotated[
    Path | None,
    typer.Option("--junit", metavar="FILE", show_default=False, help="Write a JUnit report: one test case per check."),
]


def simulate_race(
    pods: Annotated[int, typer.Option("--pods", metavar="N", min=1, max=64, help="Processes that race.")] = 4,
    questions: Annotated[
        int | None,
        typer.Option(
            "--questions",
            metavar="K",
            min=1,
            show_default="50",
            help="Questions asked; with --streams, rounds in which all pods append (6).",
        ),
    ] = None,
    clicks: Annotated[
        int,
        typer.Option(
            "--clicks", metavar="C", min=1, help="Clicks on each question, or appends of a pod in each round."
        ),
    ] = 8,
    lasting: Annotated[
        timedelta | None,
        typer.Option(
            "--duration",
            metavar="TIME",
            parser=duration,
            show_default=False,
            help="Race for this long instead: 30s, 5m.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option("--seed", metavar="S", min=0, show_default=False, help="Replay this plan; by default a new one."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            "--fault",
            metavar="KIND",
            show_default=False,
            help="kill, pause, disconnect, blackhole, terminate, restart, failover, skew, sweep, lock or slow-worker; "
            "with --streams kill, drain, storm, stall, cut-listen, stop-listen, pooler, drop-wake-ups, restart, "
            "failover, turn, turn-while-waiting, turn-during-replay, backup, lock, long-append, long-transaction, "
            "remake or clock-back; repeatable.",
        ),
    ] = None,
    streams: Annotated[
        bool,
        typer.Option("--streams", help="Let so many pods write event streams, and as many others read them."),
    ] = False,
    implementation: Annotated[
        str, typer.Option("--implementation", metavar="NAME", help="Race a store that is known to be broken.")
    ] = "correct",
    self_test: Annotated[
        bool,
        typer.Option("--self-test", help="Race the correct store and every broken one, and see that each is caught."),
    ] = False,
    seeds: Annotated[
        int, typer.Option("--seeds", metavar="N", min=1, max=1_000, help="With --self-test: races per store.")
    ] = 3,
    organization: Annotated[
        str | None,
        typer.Option("--org", metavar="ID", show_default=False, help="Race in this existing organization."),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option("--history", metavar="DIR", show_default=False, help="Keep the history in this new folder."),
    ] = None,
    junit: JunitOption = None,
    dsn: Annotated[
        str | None,
        typer.Option(
            "--dsn", metavar="DSN", show_default=False, help="Race on this database, not on a throw-away local server."
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let pods race for questions and check the laws.

    Each pod is a process of its own. Without --dsn they race on a throw-away server, whatever the environment says.
    A seed replays the plan (questions, clicks, faults and their order), not how the clicks interleave.

    Example: pendingctl simulate-race --pods 4 --questions 100 --clicks 8 --fault kill --seed 7
    """
    from ..race.plan.schedule import FaultKind
    from ..race.plan.settings import RaceSettings

    if streams and (lasting or organization):
        raise InvalidInput("--streams takes neither --duration nor --org")
    if questions is not None and lasting is not None:
        raise InvalidInput("--questions and --duration exclude each other")
    if self_test and (fault or implementation != "correct" or lasting or history or junit):
        raise InvalidInput(
            "--self-test chooses what is raced; leave out --fault, --implementation, --duration, --history and --junit"
        )
    seed = secrets.randbelow(2**31) if seed is None else seed
    if streams:
        stream_race.simulate(
            StreamRace(pods, questions, clicks, seed, fault or [], implementation, history, dsn),
            seeds=seeds if self_test else None,
            output=output,
            junit=junit,
        )
        return
    number = questions or (QUESTIONS_OF_A_SELF_TEST if self_test else QUESTIONS)
    settings = RaceSettings(
        pods,
        MOST_QUESTIONS if lasting else number,
        clicks,
        seed,
        implementation,
        organization,
        faults_named(FaultKind, fault or []),
        lasting.total_seconds() if lasting else None,
    )
    with target_of_race(dsn, is_pair=FaultKind.FAILOVER in settings.faults) as target:
        if self_test:
            show_self_test(run(_self_tested(target, settings, seeds)), output)
            return
        result = run(_raced(target, settings, history))
    show_race(result, race_report.race_report(result), output, junit)


async def _raced(target: Target, settings: RaceSettings, history: Path | None) -> RaceResult:
    from ..race.run import simulate_race as race

    total = settings.questions if settings.duration_seconds is None else None
    with render.progress("racing", total) as advance:
        return await race(target.dsn, settings, history=history, server=target.server, on_progress=steps(advance))


async def _self_tested(target: Target, settings: RaceSettings, seeds: int) -> SelfTestResult:
    from ..race.run import simulate_race as race
    from ..race.self_test import races_of
    from ..race.self_test import self_test as test

    async def race_once(each: RaceSettings) -> RaceResult:
        return await race(target.dsn, each)

    with render.progress("racing", len(races_of(settings, seeds))) as advance:
        return await test(race_once, settings, seeds, on_progress=steps(advance))
