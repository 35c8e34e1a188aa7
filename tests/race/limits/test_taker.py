"""What pods take from limits in a race, on a real database: the checks pass the product's limiter and catch others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest

from pendingctl.embedded import throwaway_server
from pendingctl.embedded.server import ServerProcess
from pendingctl.limits import RateLimiter
from pendingctl.postgres.connections import SingleConnection, connect
from pendingctl.race.limits.checker import judge_limits
from pendingctl.race.limits.controls import EXPECTED_LIMIT_CHECKS
from pendingctl.race.limits.files import read_limits
from pendingctl.race.limits.history import LimitHistory, Take, TakeOutcome
from pendingctl.race.limits.plan import limit_of, spent_key
from pendingctl.race.limits.rows import read_moment, remove_limits, set_clock_back
from pendingctl.race.limits.taker import open_taker
from pendingctl.race.verdict.checker import Judgement, Verdict
from pendingctl.schema import migrations
from tests.patience import be_patient
from tests.race.faults.test_servers import MAJOR

ORGANIZATIONS = ("acme", "globex")
PODS = 2
# One after which the clock is set back; on a busy machine takes end without a reply, and prove nothing.
LEAST_ROUNDS, MOST_ROUNDS = 2, 8


async def raced(
    dsn: str, directory: Path, implementation: str = "correct", *, until: Callable[[Judgement], bool]
) -> Judgement:
    """Let pods take in rounds, between which the clock is set back, until their history shows something."""
    async with AsyncExitStack() as stack:
        takers = [
            await stack.enter_async_context(
                open_taker(
                    dsn,
                    pod=f"pod-{number}",
                    number=number,
                    organizations=ORGANIZATIONS,
                    seed=1,
                    implementation=implementation,
                    directory=directory,
                )
            )
            for number in range(PODS)
        ]
        connection = await stack.enter_async_context(await connect(dsn, application="test"))
        for round_number in range(MOST_ROUNDS):
            if round_number:
                assert await set_clock_back(connection, ORGANIZATIONS, directory) == ""
            await asyncio.gather(*(taker.take_round(round_number) for taker in takers))
            judgement = judge_limits(read_limits(directory), Judgement((), (), 0))
            if round_number + 1 >= LEAST_ROUNDS and until(judgement):
                break
    return judgement


@pytest.mark.law(19)
async def test_pods_that_take_at_once_break_no_law_and_leave_nothing(
    dsn: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    judgement = await raced(dsn, tmp_path, until=lambda judgement: judgement.verdict is not Verdict.INCONCLUSIVE)

    assert (judgement.violations, judgement.reasons) == ((), ())
    assert {check.verdict for check in judgement.checks} == {Verdict.PASS}
    async with await connect(dsn, application="test") as cleaning:
        assert await remove_limits(cleaning, ORGANIZATIONS) == []
    assert connection.execute("select from pending_rate_limit").fetchall() == []


@pytest.mark.law(19)
@pytest.mark.parametrize(("implementation", "check"), EXPECTED_LIMIT_CHECKS.items(), ids=list(EXPECTED_LIMIT_CHECKS))
async def test_each_broken_limiter_is_caught_by_its_check(
    dsn: str, tmp_path: Path, implementation: str, check: str
) -> None:
    def is_caught(judgement: Judgement) -> bool:
        return check in {violation.law for violation in judgement.violations}

    assert is_caught(await raced(dsn, tmp_path, implementation, until=is_caught))


async def test_a_clock_that_is_set_back_before_any_take_has_struck_nothing(dsn: str, tmp_path: Path) -> None:
    async with await connect(dsn, application="test") as connection:
        assert await set_clock_back(connection, ORGANIZATIONS, tmp_path) == "nothing had been taken from any key"


async def burst_taken(dsn: str, number: int) -> Take:
    """Take a whole burst by a limiter that finds no row."""
    key = spent_key(0)
    limit = limit_of(key)
    async with await connect(dsn, application="test") as connection:
        await connection.execute("delete from pending_rate_limit")
        began = await read_moment(connection)
        decision = await RateLimiter(SingleConnection(connection), if_unreachable="raise").take(
            "acme", key, limit, limit.burst
        )
        assert decision.allowed
        ended = await read_moment(connection)
    return Take("pod-1", number, "acme", key, limit.burst, True, began, TakeOutcome.ALLOWED, ended)


@pytest.mark.once
@pytest.mark.law(19)
async def test_a_crash_excuses_one_further_burst_and_a_clean_restart_none(monkeypatch: pytest.MonkeyPatch) -> None:
    # A server that has just come up may be slower than a limit may take.
    be_patient(monkeypatch)
    with throwaway_server(major=MAJOR) as server:
        migrations.apply(server.dsn)
        takes = [await burst_taken(server.dsn, 0)]
        server.restart()
        takes.append(await burst_taken(server.dsn, 1))
        after_a_crash = judge_limits(LimitHistory(tuple(takes)), Judgement((), (), 0))
        monkeypatch.setattr(ServerProcess, "_send_immediate_shutdown", _shut_down_cleanly)
        server.restart()
        takes.append(await burst_taken(server.dsn, 2))
        after_a_clean_restart = judge_limits(LimitHistory(tuple(takes)), Judgement((), (), 0))

    assert after_a_crash.violations == ()
    assert [violation.law for violation in after_a_clean_restart.violations] == ["limit_never_exceeded"]


def _shut_down_cleanly(process: ServerProcess) -> None:
    pid = (process.data / "postmaster.pid").read_text().split()[0]
    process.account.run(["kill", "-INT", pid])
