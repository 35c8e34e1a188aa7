"""Facts for the checks, each read by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from ..diagnosis.pods import POD, Pods, PodSessions
from ..diagnosis.server import Connections, Durability, Pooler, Recovery, Settings, Version
from ..diagnosis.sessions import Horizon, Horizons, LockSession, Slot
from ..diagnosis.storage import Bloat, Index, Indexes, Plan, Plans, Trail
from ..diagnosis.streams import Ring
from ..diagnosis.tables import OWN_TABLES, RIGHTS, Identity, Places, Right, Table
from ..diagnosis.work import MOST_COUNTED, Due, SweepLag
from ..errors import DatabaseFailed, NotMigrated, UnfitSetting
from ..events.model import RingState
from ..events.ring import LONGEST_APPEND
from ..events.statements import STATE
from ..model import ENDINGS_KEPT
from ..pods import NotedPod
from ..postgres.connections import connect
from ..schema.migrations import schema_file
from ..store import card_statements, ending_statements, event_statements, lease_statements, post_statements
from ..store import statements as claim_statements
from ..store.count_statements import PODS
from ..store.statistics import MOST_PODS
from . import statements
from .session import APPLICATION, Row, Session

_OWN_INDEX = re.compile(r"^create index (?P<name>\w+)\s[^;]*;", re.MULTILINE)

# What each click runs, and each pod once a second or more often.
_HOT = {
    "CLAIM": claim_statements.CLAIM,
    "CLAIM_AFTER_WAITING": claim_statements.CLAIM_AFTER_WAITING,
    "LOOK": claim_statements.LOOK,
    "DUE": lease_statements.DUE,
    "LEASE": lease_statements.LEASE,
    "LEASE_ENDINGS": lease_statements.LEASE_ENDINGS,
    "LEASE_CARDS": card_statements.LEASE_CARDS,
    "LEASE_POSTS": post_statements.LEASE_POSTS,
    "LEASE_EVENTS": event_statements.LEASE_EVENTS,
    "EXPIRE": ending_statements.EXPIRE,
}
# Of a question that is not there, asked by a pod that serves one connection.
_SAMPLE: Mapping[str, object] = {
    "id": "",
    "organization_id": "",
    "connection_id": "",
    "user_id": "",
    "answered_by": "",
    "reason": None,
    "application": "",
    "answer": "",
    "option": None,
    "delivery_key": "",
    "ask_number": 1,
    "lease": timedelta(seconds=30),
    "longest": timedelta(minutes=5),
    "lease_token": UUID(int=0),
    "lock_timeout": "1s",
    "pod": "",
    "after": "",
    "awaited_by": None,
    "busy": [],
    "most_tenants": 20,
    "limit": 20,
    "most_attempts": 20,
    "most_doubts": 2,
    "max_age": timedelta(hours=24),
    "organization_ids": [""],
    "connection_ids": [""],
}


async def version(session: Session) -> Version:
    """The server's version."""
    return _there(await session.one(statements.VERSION, Version))


async def recovery(session: Session) -> Recovery:
    """Whether the server takes writes."""
    return _there(await session.one(statements.RECOVERY, Recovery))


async def pooler(session: Session) -> Pooler:
    """What lies in between."""
    return Pooler(await session.pool_mode())


@dataclass(frozen=True, slots=True)
class _ServerSettings:
    encoding: str
    statement_timeout: float
    worked_around: list[str]


async def settings(session: Session, dsn: str) -> Settings:
    """The settings of a new session, and whether the library takes it. Opens a connection as a pod does."""
    found = _there(await session.one(statements.SETTINGS, _ServerSettings))
    unfit = None
    try:
        await (await connect(dsn, application=APPLICATION)).close()
    except UnfitSetting as error:
        unfit = str(error)
    return Settings(found.encoding, unfit, found.statement_timeout, tuple(found.worked_around))


async def sequences(session: Session) -> tuple[Identity, ...]:
    """How far the sequences of the tables are, and the numbers that are there."""
    return await session.rows(statements.SEQUENCES, Identity)


async def durability(session: Session) -> Durability:
    """What decides whether answers outlive a crash."""
    return _there(await session.one(statements.DURABILITY, Durability))


async def connections(session: Session) -> Connections:
    """How many sessions there are and may be."""
    return _there(await session.one(statements.CONNECTIONS, Connections))


async def places(session: Session) -> Places:
    """Where our tables are."""
    path = str(await session.value(statements.SEARCH_PATH))
    return Places(path, await session.rows(statements.TABLES, Table, {"tables": list(OWN_TABLES)}))


async def rights(session: Session) -> tuple[Right, ...]:
    """This role's rights on our tables."""
    wanted = [(table, privilege) for table, privileges in RIGHTS.items() for privilege in privileges]
    parameters = {"tables": [table for table, _ in wanted], "privileges": [privilege for _, privilege in wanted]}
    return await session.rows(statements.RIGHTS, Right, parameters)


async def horizons(session: Session) -> Horizons:
    """What holds back vacuum."""
    found = await session.rows(statements.HORIZONS, Horizon)
    return Horizons(found, int(await session.value(statements.HIDDEN_SESSIONS)))


async def locks(session: Session) -> tuple[LockSession, ...]:
    """Who waits for our tables, and who holds them."""
    found = await session.rows(statements.LOCKS, LockSession, {"tables": [*OWN_TABLES, "organization"]})
    return tuple(found)


async def bloat(session: Session) -> Bloat:
    """Size and dead rows of the table of questions. Raises NotMigrated without it."""
    return _migrated(await session.one(statements.BLOAT, Bloat))


async def indexes(session: Session) -> Indexes:
    """The indexes of our tables, and those of schema.sql."""
    found = await session.rows(statements.INDEXES, Index, {"tables": [*OWN_TABLES]})
    text = schema_file().read_text(encoding="utf-8")
    expected = {
        each["name"]: " ".join(each[0].replace("create index", "create index concurrently", 1).split())
        for each in _OWN_INDEX.finditer(text)
    }
    return Indexes(found, expected)


async def plans(session: Session) -> Plans:
    """How the server would run the hot statements. Raises NotMigrated without the table."""
    rows = _migrated(await session.value(statements.ROWS))
    found = [Plan(name, _scans_table(await session.plan(each, _SAMPLE))) for name, each in _HOT.items()]
    return Plans(float(rows), tuple(found))


async def pods(session: Session) -> Pods:
    """What pods note of themselves, their sessions by their names, and what is due; of what can be read."""
    noted: tuple[NotedPod, ...] | None = None
    due_of_pods: tuple[Due, ...] | None = None
    with suppress(DatabaseFailed):
        noted = await session.rows(PODS, NotedPod, {"application": None, "limit": MOST_PODS})
    with suppress(DatabaseFailed):
        due_of_pods = await due(session)
    return Pods(noted, await session.rows(statements.PODS, PodSessions, {"pod": POD}), due_of_pods)


async def slots(session: Session) -> tuple[Slot, ...]:
    """What replication slots keep of the log."""
    return await session.rows(statements.SLOTS, Slot)


async def trail(session: Session) -> Trail:
    """Whether the trail is kept, and its size. Raises NotMigrated without its table."""
    found = await session.one(statements.TRAIL, Trail)
    if found is None:
        raise NotMigrated("there is no table pending_trail on the search_path; run: pendingctl migrate")
    return found


async def ring(session: Session) -> Ring:
    """How the ring of streams stands."""
    missing = await session.value(statements.MISSING_SLOTS)
    return Ring(await session.one(STATE, RingState, {"longest_append": LONGEST_APPEND}), tuple(missing))


async def due(session: Session) -> tuple[Due, ...]:
    """What rows ask of the pods."""
    return await session.rows(statements.DUE, Due, {"cap": MOST_COUNTED})


@dataclass(frozen=True, slots=True)
class _Cycle:
    seconds_ago: float | None
    pod: str | None


async def sweep_lag(session: Session, max_age: timedelta) -> SweepLag:
    """How far the sweep is behind."""
    parameters: Mapping[str, object] = {
        "max_age": max_age,
        "endings_kept": ENDINGS_KEPT,
        "include_undelivered": False,
        "cap": MOST_COUNTED + 1,
    }
    overdue = await session.value(ending_statements.OLDEST_STALE, parameters)
    stale = int(await session.value(ending_statements.COUNT_STALE, parameters))
    cycle = await session.one(statements.SWEEP_CYCLE, _Cycle)
    if cycle is None:
        raise DatabaseFailed("the row of table sweep_cycle is gone; insert into sweep_cycle values (true, now())")
    return SweepLag(
        min(stale, MOST_COUNTED), stale > MOST_COUNTED, overdue, cycle.seconds_ago, cycle.pod, max_age.total_seconds()
    )


def _scans_table(plan: Mapping[str, Any]) -> bool:
    return any(
        node["Node Type"] == "Seq Scan" and node.get("Relation Name") == "pending_interactions" for node in _nodes(plan)
    )


def _nodes(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield plan
    for each in plan.get("Plans", ()):
        yield from _nodes(each)


def _there(row: Row | None) -> Row:
    assert row is not None
    return row


def _migrated(row: Row | None) -> Row:
    if row is None:
        raise NotMigrated("there is no table pending_interactions on the search_path; run: pendingctl migrate")
    return row
