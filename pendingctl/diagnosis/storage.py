"""What is known of how the tables are kept: dead rows, indexes, the plans that use these, and the trail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..words import age, counted, size
from .findings import Finding, fail, ok, unknown, warn

# Below these nothing is worth a look.
FEW_DEAD_ROWS = 10_000
SMALL_BYTES = 64 << 20
MOST_BLOAT = 0.7
# autovacuum comes at a fifth of the rows (autovacuum_vacuum_scale_factor); at twice that it is late.
MOST_DEAD = 0.4


@dataclass(frozen=True, slots=True)
class Bloat:
    """The table of questions: its rows and dead ones by the server's counters, its size, and what it should have.

    `rows` is -1 where it was never analyzed, and `row_bytes` None where this role sees no statistics.
    """

    table: str
    rows: float
    live: int | None
    dead: int | None
    bytes: int
    row_bytes: float | None
    fillfactor: int
    autovacuum: bool
    vacuumed_seconds_ago: float | None


def judge_bloat(facts: Bloat) -> Finding:
    """Whether vacuum keeps up with the dead rows that each claim leaves."""
    live, dead = facts.live or 0, facts.dead or 0
    last = "never" if facts.vacuumed_seconds_ago is None else f"{age(facts.vacuumed_seconds_ago)} ago"
    size = f"{facts.bytes / (1 << 20):,.0f} MB"
    sentence = f"about {live:,} rows and {dead:,} dead ones, {size}; last vacuum: {last}"
    vacuum = f"vacuum (analyze) {facts.table}"
    if not facts.autovacuum:
        return warn(
            f"autovacuum is off: {sentence}",
            f"alter table {facts.table} reset (autovacuum_enabled); alter system reset autovacuum",
            vacuum,
        )
    if dead > FEW_DEAD_ROWS and dead > MOST_DEAD * live:
        return warn(f"vacuum does not keep up: {sentence}", vacuum, "see transactions, which may hold it back")
    empty = _empty_share(facts)
    if facts.bytes > SMALL_BYTES and empty > MOST_BLOAT:
        return warn(
            f"about {empty:.0%} of the table is empty space: {sentence}",
            f"{vacuum}; what stays is given back by: vacuum full {facts.table} (locks all out) or pg_repack",
        )
    return ok(sentence)


def _empty_share(facts: Bloat) -> float:
    """How much of the table no row needs: a header and a pointer of 28 bytes a row (manual, section 66.6)."""
    if facts.row_bytes is None or facts.rows < 0 or not facts.bytes:
        return 0.0
    needed = facts.rows * (28 + facts.row_bytes) * 100 / facts.fillfactor
    return max(0.0, 1 - needed / facts.bytes)


# An index that was never read while the others of its table were read so often is not needed.
ENOUGH_SCANS = 10_000


@dataclass(frozen=True, slots=True)
class Index:
    """An index on one of our tables; `table_scans` are those of all its table's indexes together."""

    name: str
    qualified: str
    is_valid: bool
    is_being_built: bool
    is_of_constraint: bool
    scans: int
    table_scans: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Indexes:
    """The indexes that are there, and the statement of each that schema.sql has."""

    found: tuple[Index, ...]
    expected: Mapping[str, str]


def judge_indexes(facts: Indexes) -> Finding:
    """Whether the statements have their indexes, and no index costs without being read."""
    if not facts.found:
        return unknown("the search_path finds no tables that could have indexes")
    broken = [each for each in facts.found if not each.is_valid and not each.is_being_built]
    ours = [each for each in broken if each.name in facts.expected]
    if ours:
        return fail(
            f"{', '.join(each.name for each in ours)} {_is_or_are(ours)} invalid: "
            "statements that need it scan the table",
            *(f"reindex index concurrently {each.qualified}" for each in ours),
        )
    missing = sorted(set(facts.expected) - {each.name for each in facts.found})
    if missing:
        return fail(
            f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing: "
            "statements that need it scan the table",
            f"if no migration is pending: {facts.expected[missing[0]]}",
        )
    drop = "drop index concurrently"
    if broken:
        return warn(
            f"{', '.join(each.name for each in broken)} {_is_or_are(broken)} invalid, "
            "a leftover that each write keeps up",
            *(f"{drop} {each.qualified}" for each in broken),
        )
    idle = [each for each in facts.found if not each.scans and each.table_scans >= ENOUGH_SCANS]
    strangers = [each for each in idle if each.name not in facts.expected and not each.is_of_constraint]
    if strangers:
        return warn(
            f"{', '.join(each.name for each in strangers)} {_is_or_are(strangers)} not pendingctl's and never read; "
            "each write pays for it",
            *(f"{drop} {each.qualified}" for each in strangers),
        )
    own = [each.name for each in idle if each.name in facts.expected]
    unread = f"; never read so far: {', '.join(own)}" if own else ""
    return ok(f"{counted(len(facts.found), 'index', 'indexes')}, all valid{unread}")


def _is_or_are(indexes: Sequence[Index]) -> str:
    return "is" if len(indexes) == 1 else "are"


# A scan of fewer rows costs no more than an index.
MANY_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How the server would run a statement; `scans_table`: it would read all of pending_interactions."""

    statement: str
    scans_table: bool


@dataclass(frozen=True, slots=True)
class Plans:
    """The plans of the hot statements, and how many rows the planner believes in (-1: never analyzed)."""

    rows: float
    plans: tuple[Plan, ...]


def judge_plans(facts: Plans) -> Finding:
    """Whether what runs all the time reads a few rows by an index."""
    scanning = [each.statement for each in facts.plans if each.scans_table]
    analyze = "analyze pending_interactions"
    if facts.rows < 0:
        return warn("the table was never analyzed, and its plans are guesses", analyze)
    if scanning and facts.rows >= MANY_ROWS:
        return warn(
            f"{', '.join(scanning)} would read all of {facts.rows:,.0f} rows each time",
            analyze,
            "see indexes, of which one may be missing",
        )
    return ok(
        f"{counted(len(facts.plans), 'hot statement', 'hot statements')}, none of which reads the whole of a big table"
    )


@dataclass(frozen=True, slots=True)
class Trail:
    """Whether the trail is kept, by the setting of this role's sessions, and its size; rows is -1 before an analyze."""

    is_kept: bool
    rows: float
    bytes: int


def judge_trail(facts: Trail) -> Finding:
    """Whether it can be read afterwards what has happened. That it is not kept is a choice."""
    rows = "" if facts.rows < 0 else f" in about {facts.rows:,.0f} entries"
    if facts.is_kept:
        return ok(f"the trail is kept: {size(facts.bytes)}{rows}")
    return ok(
        f"the trail is not kept (pendingctl.trail is off): nobody will know what happens now; {size(facts.bytes)} "
        f"from before{rows}"
    )
