"""The list of checks: each reads its facts and judges them by itself, so that one that fails stops no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import timedelta
from functools import partial
from typing import TypeVar

from ..diagnosis import pods, server, sessions, storage, streams, tables, work
from ..diagnosis.findings import Finding, unknown
from ..errors import ExtraMissing, InvalidInput, PendingctlError
from ..schedule import MAX_AGE
from . import reading
from .session import Session

DRIFT_TIMEOUT = timedelta(seconds=10)

Facts = TypeVar("Facts")


@dataclass(frozen=True, slots=True)
class Check:
    """One check's finding, and the facts that it was judged by: the fields of a dataclass, or a list of them.

    `facts` is None where they could not be read.
    """

    name: str
    finding: Finding
    facts: object


async def examine(dsn: str, *, max_age: timedelta = MAX_AGE) -> list[Check]:
    """Look at the server, the sessions, the tables and the work; nothing is written.

    `max_age` is the age at which a row is stale, as for a sweep. Raises the errors of a connection where none can be
    made; a check that fails later is unknown, with the reason.
    """
    session = Session(dsn)
    try:
        trip = await session.round_trip()
        return [
            _judged("connection", trip, server.judge_connection),
            *await _checked("version", partial(reading.version, session), server.judge_version),
            *await _checked("primary", partial(reading.recovery, session), server.judge_primary),
            *await _checked("pooler", partial(reading.pooler, session), server.judge_pooler),
            *await _checked("places", partial(reading.places, session), tables.judge_places),
            *await _checked("rights", partial(reading.rights, session), tables.judge_rights),
            *await _checked("sequences", partial(reading.sequences, session), tables.judge_sequences),
            *await _checked("settings", partial(reading.settings, session, dsn), server.judge_settings),
            *await _checked("transactions", partial(reading.horizons, session), sessions.judge_transactions),
            *await _checked("slots", partial(reading.slots, session), sessions.judge_slots),
            *await _checked("locks", partial(reading.locks, session), sessions.judge_locks),
            *await _checked("bloat", partial(reading.bloat, session), storage.judge_bloat),
            *await _checked("indexes", partial(reading.indexes, session), storage.judge_indexes),
            *await _checked("plans", partial(reading.plans, session), storage.judge_plans),
            *await _checked("trail", partial(reading.trail, session), storage.judge_trail),
            *await _checked("ring", partial(reading.ring, session), streams.judge_ring),
            *await _checked("pods", partial(reading.pods, session), pods.judge_pods),
            *await _checked("sweep", partial(reading.sweep_lag, session, max_age), work.judge_sweep),
            *await _work(session),
            _judged("clock", trip, server.judge_clock),
            *await _checked("durability", partial(reading.durability, session), server.judge_durability),
            *await _checked("connections", partial(reading.connections, session), server.judge_connections),
        ]
    finally:
        await session.close()


def examine_schema(dsn: str) -> list[Check]:
    """Compare the tables with the migrations and with schema.sql; nothing is written to the database.

    schema.sql is loaded into a throw-away server on this machine, never into one beside the tables.
    """
    return [_migrations(dsn), _drift(dsn)]


async def _work(session: Session) -> list[Check]:
    judges: tuple[tuple[str, Callable[[Sequence[work.Due]], Finding]], ...] = (
        ("deliveries", work.judge_deliveries),
        ("cards", work.judge_cards),
        ("appends", work.judge_appends),
        ("orphans", work.judge_orphans),
    )
    try:
        facts = await reading.due(session)
    except PendingctlError as error:
        return [_unread(name, error) for name, _ in judges]
    return [_judged(name, facts, judge) for name, judge in judges]


async def _checked(name: str, read: Callable[[], Awaitable[Facts]], judge: Callable[[Facts], Finding]) -> tuple[Check]:
    try:
        return (_judged(name, await read(), judge),)
    except PendingctlError as error:
        return (_unread(name, error),)


def _judged(name: str, facts: Facts, judge: Callable[[Facts], Finding]) -> Check:
    return Check(name, judge(facts), _plain(facts))


def _unread(name: str, error: PendingctlError) -> Check:
    # An error's message is what happened, and after a semicolon what to do.
    reason, _, remedy = str(error).partition("; ")
    return Check(name, unknown(f"could not be read: {reason}", *([remedy] if remedy else [])), None)


def _plain(facts: object) -> object:
    if isinstance(facts, tuple | list):
        return [_plain(each) for each in facts]
    return asdict(facts) if is_dataclass(facts) and not isinstance(facts, type) else facts


def _migrations(dsn: str) -> Check:
    from ..schema import migrations

    try:
        status = migrations.status(dsn)
        facts = tables.Migrations(status.pending, status.unknown)
    except InvalidInput as error:
        facts = tables.Migrations((), (), str(error))
    except PendingctlError as error:
        return _unread("migrations", error)
    return _judged("migrations", facts, tables.judge_migrations)


def _drift(dsn: str) -> Check:
    from .. import schema_diff
    from ..schema_diff import report

    try:
        try:
            compared = schema_diff.diff_schema(dsn, scratch="local", statement_timeout=DRIFT_TIMEOUT)
        except ExtraMissing:
            raise
        except InvalidInput:
            # There is no server of this major version on this machine.
            compared = schema_diff.diff_schema(dsn, scratch="embedded", statement_timeout=DRIFT_TIMEOUT)
    except ExtraMissing:
        return Check(
            "drift", unknown("needs the parser of diff-schema", "pip install 'pendingctl[schema,embedded]'"), None
        )
    except PendingctlError as error:
        return _unread("drift", error)
    facts = tables.Drift(
        tuple(line.sentence for line in report.lines(compared)), tuple(each.sentence for each in compared.uncompared)
    )
    return _judged("drift", facts, tables.judge_drift)
