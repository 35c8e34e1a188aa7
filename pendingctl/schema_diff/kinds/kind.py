"""What a kind of object is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# What ALTER TABLE … ALTER COLUMN … SET takes (PostgreSQL manual).
COLUMN_OPTIONS = ("n_distinct", "n_distinct_inherited")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object: its name, the catalog whose oids its query gives, and the query.

    `optional` names the attributes that are read only where an option asks for them, and that option.
    `with_columns`: what is said about columns that are no objects of their own (a view's) stands at the object.
    `with_definition`: the definition is more than its attributes and compared beside them. On a server older than
    `oldest_major` the query does not run, and the objects are told as not compared. With `option` it runs only where
    that option asks for it.
    """

    name: str
    catalog: str
    query: str
    optional: Mapping[str, str] = field(default_factory=dict)
    with_columns: bool = False
    with_definition: bool = False
    oldest_major: int = 14
    option: str | None = None


def listed(options: str) -> str:
    """Return the SQL that lists an array of options, `name=value` each, in one order.

    A value may hold what looks like the next option; such a one stands in quotes.
    """
    return f"""(
            select string_agg(
                case when option ~ ', .*=' then quote_literal(option) else option end, ', ' order by option
            )
            from unnest({options}) option
        )"""


def documented(options: str, names: Sequence[str]) -> str:
    """Return the SQL that lists those of an array of options that have one of these names, in one order.

    A server may keep more in the same array for itself: PostgreSQL 15.20 of Debian adds a number to every column
    (`pg_attver`), which differs between equal tables and which its pg_dump leaves out.
    """
    known = ", ".join(f"'{name}'" for name in names)
    return f"""(
            select string_agg(option, ', ' order by option)
            from unnest({options}) option where split_part(option, '=', 1) in ({known})
        )"""
