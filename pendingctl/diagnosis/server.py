"""What is known of the server, the session and what lies between: which version, which of a cluster, which settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from ..postgres.durability import THROWAWAY_CLUSTER
from ..words import age, counted
from .findings import Finding, fail, ok, warn

# A claim is one round trip, or two where the row is held; the bridge replies within 2.5 s.
SLOW_SECONDS = 0.1
# A worker refuses a signature that is five minutes off, and its time is the database's.
CLOCK_WARN_SECONDS = 2.0
CLOCK_FAIL_SECONDS = 240.0
# A put may wait 3 s for a row, and has 5 s in all.
SHORTEST_TIMEOUT_SECONDS = 5.0
# Tested from this one on.
OLDEST_MAJOR = 14
FEW_CONNECTIONS = 3
SOME_CONNECTIONS = 10

_PRIMARY = (
    "name the primary in the connection string, or all hosts: "
    "postgresql://host1,host2/dbname?target_session_attrs=read-write"
)


@dataclass(frozen=True, slots=True)
class BadMinors:
    """Minor versions from `first` to `last` of a major, by what concerns pendingctl. `source` is where that is said."""

    first: int
    last: int
    harm: str
    source: str


# PostgreSQL's release notes, each of the version that mends it. Only what can harm pendingctl's tables or sessions.
_CONCURRENTLY = "indexes that are built with CONCURRENTLY, as ours are, may miss rows"
_SET_ROLE = "`alter role … set role` has no effect, so that pods may have another role than they are given"
_REPLAY = "a standby may stop replaying, and substring() may refuse valid text"
KNOWN_BAD: Mapping[int, tuple[BadMinors, ...]] = {
    14: (
        BadMinors(0, 3, _CONCURRENTLY, "https://www.postgresql.org/docs/14/release-14-4.html"),
        BadMinors(14, 14, _SET_ROLE, "https://www.postgresql.org/docs/release/14.15/"),
        BadMinors(21, 21, _REPLAY, "https://www.postgresql.org/docs/release/14.22/"),
    ),
    15: (
        BadMinors(9, 9, _SET_ROLE, "https://www.postgresql.org/docs/release/15.10/"),
        BadMinors(16, 16, _REPLAY, "https://www.postgresql.org/docs/release/15.17/"),
    ),
    16: (
        BadMinors(5, 5, _SET_ROLE, "https://www.postgresql.org/docs/release/16.6/"),
        BadMinors(12, 12, _REPLAY, "https://www.postgresql.org/docs/release/16.13/"),
    ),
    17: (
        BadMinors(1, 1, _SET_ROLE, "https://www.postgresql.org/docs/release/17.2/"),
        BadMinors(8, 8, _REPLAY, "https://www.postgresql.org/docs/17/release-17-9.html"),
    ),
    18: (BadMinors(2, 2, _REPLAY, "https://www.postgresql.org/docs/18/release-18-3.html"),),
}


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """The quickest of several round trips, and how far the server's clock is ahead of this machine's.

    That is negative where it is behind, and known to half of a round trip.
    """

    target: str
    seconds: float
    clock_ahead_seconds: float


def judge_connection(facts: RoundTrip) -> Finding:
    """How long a statement is under way."""
    sentence = f"one round trip takes {facts.seconds * 1000:.1f} ms ({facts.target})"
    if facts.seconds < SLOW_SECONDS:
        return ok(sentence)
    return warn(
        f"{sentence}, and each click waits for at least one",
        "run the pods near the database, or look at the network between them",
    )


def judge_clock(facts: RoundTrip) -> Finding:
    """Whether the two clocks agree: every time of pendingctl is the database's, and workers compare it with theirs."""
    ahead = facts.clock_ahead_seconds
    least = max(abs(ahead) - facts.seconds / 2, 0.0)
    if least < CLOCK_WARN_SECONDS:
        return ok(f"the server's clock and this machine's agree to {max(abs(ahead), 0.001):.3f} s")
    sentence = f"the server's clock is {age(least)} {'ahead of' if ahead > 0 else 'behind'} this machine's"
    remedy = "compare both with a time server (chronyc tracking, timedatectl), and set the one that is wrong"
    if least < CLOCK_FAIL_SECONDS:
        return warn(f"{sentence}; deadlines are the server's", remedy)
    return fail(f"{sentence}; workers refuse signatures that are five minutes off", remedy)


@dataclass(frozen=True, slots=True)
class Version:
    """As the settings server_version_num and server_version have it."""

    number: int
    name: str


def judge_version(facts: Version) -> Finding:
    """Whether the server's version is one on which pendingctl is known to work."""
    major, minor = divmod(facts.number, 10_000)
    if major < OLDEST_MAJOR:
        return fail(
            f"PostgreSQL {facts.name} is older than {OLDEST_MAJOR}, the oldest that pendingctl is tested on",
            "move to a newer major version",
        )
    for bad in KNOWN_BAD.get(major, ()):
        if bad.first <= minor <= bad.last:
            return warn(
                f"PostgreSQL {major}.{minor} is known to be bad: {bad.harm} ({bad.source})",
                f"update to {major}.{bad.last + 1} or later, then restart",
            )
    return ok(f"PostgreSQL {facts.name}; no fault of this minor version is known here")


@dataclass(frozen=True, slots=True)
class Recovery:
    """Whether this server takes writes; `replayed_seconds_ago` is the age of what a standby has replayed last."""

    is_standby: bool
    is_read_only: bool
    replayed_seconds_ago: float | None


def judge_primary(facts: Recovery) -> Finding:
    """Whether anything can be written here."""
    if facts.is_standby:
        replayed = facts.replayed_seconds_ago
        behind = "" if replayed is None else f"; what it replayed last is {age(replayed)} old"
        return fail(f"this server is a standby, on which nobody can ask, click or deliver{behind}", _PRIMARY)
    if facts.is_read_only:
        return fail(
            "default_transaction_read_only is on for this role, database or server: nobody can ask, click or deliver",
            "alter role … reset default_transaction_read_only (or alter database …, alter system …)",
        )
    return ok("the primary, which takes writes")


class PoolMode(StrEnum):
    """What lies between this machine and the server."""

    NONE = "none"
    STATEMENT = "statement"
    TRANSACTION = "transaction"
    SESSION_OR_UNSEEN = "session_or_unseen"


@dataclass(frozen=True, slots=True)
class Pooler:
    """A pooler is known by a process number that is not the server's, and its mode by a session that others get too."""

    mode: PoolMode


def judge_pooler(facts: Pooler) -> Finding:
    """Whether there is a pooler: everything but migrate works behind one."""
    match facts.mode:
        case PoolMode.NONE:
            return ok("no pooler in between")
        case PoolMode.STATEMENT:
            return fail(
                "a pooler in statement mode, which refuses the transactions that pendingctl works in",
                "pool_mode = transaction in the pooler's configuration, or a direct connection",
            )
        case PoolMode.TRANSACTION:
            return ok("a pooler in transaction mode; all works through it but migrate, which wants a direct connection")
        case PoolMode.SESSION_OR_UNSEEN:
            return ok(
                "a pooler, in session mode as far as can be seen; all works through it but migrate, which wants a "
                "direct connection"
            )


@dataclass(frozen=True, slots=True)
class Settings:
    """What a new session has. `unfit` is why the library refuses to work with it; a timeout of 0 s is none."""

    encoding: str
    unfit: str | None
    statement_timeout: float
    worked_around: tuple[str, ...]


def judge_settings(facts: Settings) -> Finding:
    """Whether the library works with the settings of this role, database and server."""
    if facts.unfit is not None:
        reason, _, remedy = facts.unfit.partition(": ")
        return fail(reason, *([remedy] if remedy else []))
    if 0 < facts.statement_timeout < SHORTEST_TIMEOUT_SECONDS:
        return warn(
            f"statement_timeout is {facts.statement_timeout:g} s: a put that waits for a row is broken off before its "
            f"own limit of {SHORTEST_TIMEOUT_SECONDS:g} s",
            "alter role … set statement_timeout = '30s' (or alter database …)",
        )
    if facts.encoding not in ("UTF8", "SQL_ASCII"):
        return warn(
            f"the database's encoding is {facts.encoding}: a question with a character that it lacks is refused",
            "move to a database whose encoding is UTF8 (create database … encoding 'UTF8' template template0)",
        )
    around = f"; worked around: {', '.join(facts.worked_around)}" if facts.worked_around else ""
    return ok(f"encoding {facts.encoding}, no setting that is refused{around}")


@dataclass(frozen=True, slots=True)
class Durability:
    """What decides whether an acknowledged answer outlives a crash or a failover.

    `synchronous_commit` is a new session's, and `commit_source` where that comes from, as pg_settings has it.
    """

    fsync: bool
    full_page_writes: bool
    cluster_name: str
    synchronous_commit: str
    commit_source: str
    synchronous_standbys: str
    standbys: int


def judge_durability(facts: Durability) -> Finding:
    """What makes an answer that was acknowledged losable."""
    if facts.cluster_name == THROWAWAY_CLUSTER:
        return warn("a throw-away server: what it holds goes with it", "keep nothing here that is to last")
    if not facts.fsync:
        return fail(
            "fsync is off: a crash of the server's machine loses accepted answers and may break the database",
            "alter system set fsync = on; select pg_reload_conf()",
        )
    if not facts.full_page_writes:
        return fail(
            "full_page_writes is off: a crash of the server's machine may break pages of the tables",
            "alter system set full_page_writes = on; select pg_reload_conf()",
        )
    return _judge_replication(facts)


def _judge_replication(facts: Durability) -> Finding:
    level = f"synchronous_commit is {facts.synchronous_commit} ({facts.commit_source})"
    if facts.synchronous_standbys:
        if facts.synchronous_commit in ("local", "off"):
            return warn(
                f"{level}: answers do not wait for the synchronous standby ({facts.synchronous_standbys}), and a "
                "failover may lose them",
                "alter role … set synchronous_commit = on (or alter database …, alter system …)",
            )
        return ok(f"{level}, fsync on, synchronous standby {facts.synchronous_standbys}")
    if facts.standbys:
        return warn(
            f"{counted(facts.standbys, 'standby', 'standbys')}, none of them synchronous: a failover may lose answers "
            "that were acknowledged a moment before, and use ask numbers twice",
            "alter system set synchronous_standby_names = 'ANY 1 (…)'; select pg_reload_conf()",
        )
    raised = "; raised to on for answers" if facts.synchronous_commit == "off" else ""
    return ok(f"{level}{raised}, fsync on, no standby is attached")


@dataclass(frozen=True, slots=True)
class Connections:
    """How many sessions there are and may be; a limit of -1 is none. `reserved` are for roles other than this one."""

    most: int
    reserved: int
    in_use: int
    role: str
    role_limit: int
    role_in_use: int
    database_limit: int
    database_in_use: int


def judge_connections(facts: Connections) -> Finding:
    """Whether pods that start, or reconnect after a failover, find a connection."""
    limits = [
        ("max_connections", facts.most - facts.reserved, facts.in_use, "raise max_connections (needs a restart)"),
        (
            f"the connection limit of role {facts.role}",
            facts.role_limit,
            facts.role_in_use,
            "alter role … connection limit …",
        ),
        (
            "the connection limit of this database",
            facts.database_limit,
            facts.database_in_use,
            "alter database … connection limit …",
        ),
    ]
    name, most, used, remedy = min(
        (limit for limit in limits if limit[1] >= 0), key=lambda limit: limit[1] - limit[2], default=limits[0]
    )
    free = max(most - used, 0)
    sentence = f"{used} of {most} connections are in use, {free} free ({name})"
    remedies = (f"give the pods smaller pools, or put a pooler in between, or {remedy}",)
    if free <= FEW_CONNECTIONS:
        return fail(sentence, *remedies)
    if free < SOME_CONNECTIONS:
        return warn(sentence, *remedies)
    return ok(sentence)
