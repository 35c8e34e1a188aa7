"""What is known of pendingctl's tables: where they are, whether they are as they should be, and who may use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..words import age, counted
from .findings import Finding, fail, ok, unknown, warn

# What the pods' statements need. An identity column and a trigger's function need no right of whoever writes the row
# (manual, "CREATE TABLE" under identity, "CREATE TRIGGER"), and a foreign key is checked as the tables' owner.
RIGHTS: Mapping[str, tuple[str, ...]] = {
    "pending_interactions": ("select", "insert", "update", "delete"),
    "pending_applications": ("select", "insert", "update"),
    "sweep_cycle": ("select", "update"),
}
# An application may have a table `organization` of its own, anywhere on the path.
OWN_TABLES = (*RIGHTS, "pendingctl_migration")

MIGRATE = "pendingctl migrate"


@dataclass(frozen=True, slots=True)
class Migrations:
    """`unknown` ones were applied by a newer version. `trouble` is why they cannot be applied, or one was edited."""

    pending: tuple[str, ...]
    unknown: tuple[str, ...]
    trouble: str | None = None


def judge_migrations(facts: Migrations) -> Finding:
    """Whether the tables are those of this version."""
    if facts.trouble is not None:
        reason, _, remedy = facts.trouble.partition("; ")
        return fail(reason, *([remedy] if remedy else []))
    if facts.pending:
        what = counted(len(facts.pending), "migration is", "migrations are")
        first = facts.pending[0] if len(facts.pending) == 1 else f"{facts.pending[0]} … {facts.pending[-1]}"
        return fail(f"{what} pending ({first}): statements of this version fail", MIGRATE)
    if facts.unknown:
        return warn(
            f"a newer pendingctl has also applied {', '.join(facts.unknown)}",
            "install that version here and in the pods",
        )
    return ok("all migrations are applied")


@dataclass(frozen=True, slots=True)
class Drift:
    """The lines of `diff-schema`, of pendingctl's own tables, and what it could not compare."""

    differences: tuple[str, ...]
    uncompared: tuple[str, ...]


def judge_drift(facts: Drift) -> Finding:
    """Whether the tables are what schema.sql describes."""
    if facts.differences:
        first = facts.differences[0]
        more = f" and {len(facts.differences) - 1} more" if len(facts.differences) > 1 else ""
        return warn(f"the tables differ from schema.sql: {first}{more}", "pendingctl diff-schema")
    if facts.uncompared:
        return unknown(f"no difference in what was compared, but {facts.uncompared[0]}", "pendingctl diff-schema")
    return ok("the tables are what schema.sql describes")


@dataclass(frozen=True, slots=True)
class Table:
    """A table, or what else has the name of one of ours. `is_found`: it is the one that statements use."""

    schema: str
    name: str
    is_found: bool
    is_on_path: bool
    may_use_schema: bool


@dataclass(frozen=True, slots=True)
class Places:
    """Every table with the name of one of ours, in whatever schema."""

    search_path: str
    tables: tuple[Table, ...]


def judge_places(facts: Places) -> Finding:
    """Whether the search_path leads to our tables, all of them in one schema, and to no others."""
    found = {each.name: each.schema for each in facts.tables if each.is_found}
    elsewhere = sorted(
        {each.schema for each in facts.tables if each.name == "pending_interactions"} - set(found.values())
    )
    if "pending_interactions" not in found:
        return _not_found(facts, elsewhere)
    home = found.get("pendingctl_migration", found["pending_interactions"])
    strays = [f"{schema}.{name}" for name, schema in found.items() if schema != home]
    if strays:
        return fail(
            f"the search_path ({facts.search_path}) finds {', '.join(strays)} in place of the tables of schema {home}",
            f"name that schema alone: ?options=-csearch_path%3D{home} in the connection string, here and for the pods",
        )
    hidden = sorted({each.schema for each in facts.tables if each.is_on_path and not each.is_found})
    if hidden:
        return warn(
            f"the tables of schema {home} are used, and hide others of the same name in {', '.join(hidden)}, which the "
            f"search_path ({facts.search_path}) names too",
            f"name one schema alone: ?options=-csearch_path%3D{home} in the connection string",
        )
    besides = f"; another copy in {', '.join(elsewhere)} is not used" if elsewhere else ""
    return ok(f"all tables are in schema {home}, which the search_path finds{besides}")


def _not_found(facts: Places, elsewhere: Sequence[str]) -> Finding:
    if not elsewhere:
        return fail("there are no tables of pendingctl in this database", MIGRATE)
    closed = sorted({each.schema for each in facts.tables if each.schema == elsewhere[0] and not each.may_use_schema})
    if closed:
        return fail(
            f"the tables are in schema {closed[0]}, which this role may not use",
            f"grant usage on schema {closed[0]} to …",
        )
    return fail(
        f"the tables are in schema {' and in '.join(elsewhere)}, which the search_path "
        f"({facts.search_path or 'empty'}) does not find",
        f"name it: ?options=-csearch_path%3D{elsewhere[0]} in the connection string",
    )


@dataclass(frozen=True, slots=True)
class Right:
    """A right on one of our tables, by its quoted name; `hides_rows`: a policy keeps rows from this role."""

    role: str
    table: str
    name: str
    privilege: str
    is_granted: bool
    hides_rows: bool


def judge_rights(rights: Sequence[Right]) -> Finding:
    """Whether a pod that connects as this role may do what it has to."""
    if not rights:
        return unknown("the search_path finds no tables on which there could be rights")
    missing = [each for each in rights if not each.is_granted]
    role = rights[0].role
    if not missing:
        filtered = sorted({each.table for each in rights if each.hides_rows})
        if filtered:
            return warn(
                f"row-level security may hide rows of {', '.join(filtered)} from role {role}",
                f"alter role {role} bypassrls, or: alter table … disable row level security",
            )
        return ok(f"role {role} may do all that pods do")
    lacking = "; ".join(f"{', '.join(names)} on {table}" for table, names in _by_table(missing).items())
    remedies = [f"grant {', '.join(names)} on {table} to {role}" for table, names in _by_table(missing).items()]
    writes = [each.is_granted for each in rights if each.name == "pending_interactions" and each.privilege != "select"]
    reads = [each.is_granted for each in rights if each.name == "pending_interactions" and each.privilege == "select"]
    if all(reads) and not any(writes):
        return warn(
            f"role {role} may only read: enough to look, but no pod can work as it (it lacks {lacking})",
            "run doctor with the pods' connection string to check their rights",
            *remedies,
        )
    return fail(f"role {role} lacks {lacking}: pods that connect as it fail there", *remedies)


def _by_table(rights: Sequence[Right]) -> dict[str, list[str]]:
    tables: dict[str, list[str]] = {}
    for each in rights:
        tables.setdefault(each.table, []).append(each.privilege)
    return tables


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
