"""What all races share: the database that they are run on, their faults by name, and what they do at their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import typer

from ..errors import InvalidInput
from . import race_report, render
from .database import database_of, target_of
from .options import Output

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..race.faults.context import OwnServer
    from ..race.self_test import SelfTestResult
    from ..race.streams.report import StreamRaceResult
    from ..race.verdict.junit import Judged
    from ..race.verdict.report import RaceResult

Kind = TypeVar("Kind", bound=StrEnum)


@dataclass(frozen=True, slots=True)
class Target:
    """The database that is raced on, and the server below it if the race may stop that."""

    dsn: str
    server: OwnServer | None


@contextmanager
def target_of_race(dsn: str | None, *, is_pair: bool = False, is_synchronous: bool = True) -> Iterator[Target]:
    """The database that the user named, as it is; else a throw-away one with the tables in it.

    One that is a pair has a standby, which has each commit before it is acknowledged if it is synchronous.
    """
    if dsn is not None:
        with database_of(dsn) as database:
            render.note(f"racing on {target_of(dsn)}")
            yield Target(database, None)
        return
    from ..race.faults.context import OwnServer
    from ..schema import migrations

    if is_pair:
        from ..embedded import throwaway_pair

        with throwaway_pair(is_synchronous=is_synchronous) as pair:
            render.note(f"racing on a throw-away PostgreSQL {pair.primary.binaries.version} and its standby")
            migrations.apply(pair.dsn)
            yield Target(
                pair.dsn, OwnServer(pair.restart, pair.fail_over, None if is_synchronous else pair.fall_behind)
            )
        return
    from ..embedded import throwaway_server

    with throwaway_server() as server:
        render.note(f"racing on a throw-away PostgreSQL {server.binaries.version}")
        migrations.apply(server.dsn)
        yield Target(server.dsn, OwnServer(server.restart))


def steps(advance: Callable[[int], None]) -> Callable[[int], None]:
    """Return a callback that takes how many are done, given one that takes how many more."""
    done = 0

    def advanced(now: int) -> None:
        nonlocal done
        advance(now - done)
        done = now

    return advanced


def faults_named(kinds: type[Kind], named: Sequence[str], *, of: str = "") -> tuple[Kind, ...]:
    """Return the faults of these names, in the order of their kinds. Raises InvalidInput for a name that is none's."""
    known = {kind.value: kind for kind in kinds}
    for name in named:
        if name not in known:
            raise InvalidInput(f"no fault {name!r}{of}; there are: {', '.join(known)}")
    return tuple(kind for kind in kinds if kind in named)


def show_race(
    result: RaceResult | StreamRaceResult, report: RenderableType, output: Output, junit: Path | None
) -> None:
    """Print a race's result, write it for a CI system, and set the exit code. `report` is what people read."""
    _write_junit(result, junit)
    render.show_document(output, result.to_json(), report)
    _set_exit_code(result.verdict)


def show_self_test(result: SelfTestResult, output: Output) -> None:
    """Print what a self-test has shown, and set the exit code."""
    render.show_document(output, result.to_json(), race_report.self_test_report(result))
    _set_exit_code(result.verdict)


def _set_exit_code(verdict: str) -> None:
    if verdict != "pass":
        raise typer.Exit(1)


def _write_junit(result: Judged, junit: Path | None) -> None:
    """Raises InvalidInput for a file that cannot be written."""
    if junit is None:
        return
    from ..race.verdict.junit import junit_report

    try:
        junit.write_bytes(junit_report(result))
    except OSError as error:
        raise InvalidInput(f"{junit} cannot be written: {error.strerror}") from error
