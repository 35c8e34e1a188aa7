"""The database that a race is run on, and what all races do at their end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InvalidInput
from . import render
from .database import database_of, target_of

if TYPE_CHECKING:
    from ..race.faults.context import OwnServer
    from ..race.verdict.junit import Judged


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


def write_junit(result: Judged, junit: Path | None) -> None:
    """Write a race's result for a CI system, where it is wanted. Raises InvalidInput for a file that cannot be."""
    if junit is None:
        return
    from ..race.verdict.junit import junit_report

    try:
        junit.write_bytes(junit_report(result))
    except OSError as error:
        raise InvalidInput(f"{junit} cannot be written: {error.strerror}") from error
