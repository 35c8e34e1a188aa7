"""What is known of pendingctl's tables: where they are, whether they are as they should be, and who may use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..words import counted
from .findings import Finding, fail, ok, unknown, warn

# What the pods' statements need; a sweep of the trail locks what it deletes, which takes the right to update it. An
# identity column and a trigger's function need no right of whoever writes the row (manual, "CREATE TABLE" under
# identity, "CREATE TRIGGER"), and a foreign key is checked as the tables' owner.
RIGHTS: Mapping[str, tuple[str, ...]] = {
    "pending_interactions": ("select", "insert", "update", "delete"),
    "pending_applications": ("select", "insert", "update"),
    "pending_trail": ("select", "insert", "update", "delete"),
    "pending_pods": ("select", "insert", "update", "delete"),
    "pending_rate_limit": ("select", "insert", "update", "delete"),
    "sweep_cycle": ("select", "update"),
    "pending_stream": ("select", "insert", "update", "delete"),
    "pending_stream_event": ("select", "insert", "delete"),
    "pending_stream_event_0": ("truncate",),
    "pending_stream_event_1": ("truncate",),
    "pending_stream_event_2": ("truncate",),
    "pending_stream_event_3": ("truncate",),
    "pending_stream_ring": ("select", "update"),
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


@dataclass(frozen=True, slots=True)
class Identity:
    """A column that a sequence fills, what that has drawn last, and the highest number that was found; None: none."""

    table: str
    column: str
    may_read: bool
    last_value: int | None
    highest: int | None


_SET_SEQUENCES: Mapping[str, str] = {
    "pending_interactions": "select setval(pg_get_serial_sequence('pending_interactions', 'ask_number'), greatest("
    "(select max(ask_number) from pending_interactions), (select max(ask_number) from pending_trail)))",
    "pending_trail": "select setval(pg_get_serial_sequence('pending_trail', 'id'), max(id)) from pending_trail",
    "pending_stream": "select setval(pg_get_serial_sequence('pending_stream', 'id'), "
    "greatest(max(id), (select max(stream_id) from pending_stream_event))) from pending_stream",
}


def judge_sequences(identities: Sequence[Identity]) -> Finding:
    """Whether new rows get new numbers, as they do not where rows were copied without the state of the sequences."""
    behind = [
        each
        for each in identities
        if each.last_value is not None and each.highest is not None and each.last_value < each.highest
    ]
    if behind:
        names = ", ".join(f"{each.table}.{each.column}" for each in behind)
        return fail(
            f"the sequence of {names} is behind the numbers that are there, as on a logical replica: askings repeat "
            "their numbers, the trail has gaps, or no stream can be made",
            *(_SET_SEQUENCES[each.table] for each in behind),
        )
    unread = [each.table for each in identities if not each.may_read]
    if unread:
        return unknown(
            f"this role may not read the sequences of {', '.join(unread)}", "run doctor as the tables' owner"
        )
    return ok("no sequence is behind the numbers that are there")
