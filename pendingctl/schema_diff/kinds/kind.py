"""A kind of object, and the SQL that several kinds share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object: its name, the catalog whose oids its query returns, and the query.

    `optional` maps each attribute that is read only on request to the option that enables it. `with_columns`: the
    comments and grants of its columns, which are not objects of their own (a view's), are attributes of the object.
    `with_definition`: the definition adds something to the attributes and is compared beside them. With
    `option`, it is read only if that option is enabled.
    """

    name: str
    catalog: str
    query: str
    optional: Mapping[str, str] = field(default_factory=dict)
    with_columns: bool = False
    with_definition: bool = False
    option: str | None = None


def listed(options: str) -> str:
    """Return the SQL that lists an array of options, each `name=value`, in alphabetical order.

    An option whose value looks as if it contained another option is quoted.
    """
    return f"""case when {options} is not null then (
            select string_agg(
                case when option ~ ', .*=' then quote_literal(option) else option end, ', ' order by option
            )
            from unnest({options}) option
        ) end"""


def generated_name(label: str) -> str:
    """Return the SQL that says whether the server picked the name of a partition's index, which ends with this label.

    It is made of the table, the columns of the index and the label, and a number where that is taken; a long one is
    shortened (ChooseIndexName in the server's indexcmds.c). `index` is the index in pg_class, and `rel` its table.
    """
    return f"""index.relispartition and (
            select case when length(picked.name) > 63
                then length(index.relname) > 60 and index.relname ~ ('_' || {label} || '\\d*$')
                else starts_with(index.relname, picked.name)
                    and substr(index.relname, length(picked.name) + 1) ~ '^\\d*$'
            end
            from (
                select concat_ws(
                    '_',
                    rel.relname,
                    case when {label} <> 'pkey' then string_agg(own.attname, '_' order by own.attnum) end,
                    {label}
                ) as name
                from pg_attribute own where own.attrelid = index.oid
            ) picked
        )"""
