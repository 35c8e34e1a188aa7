"""What --without leaves out, beyond what test_command.py tries on a server: objects of extensions that it lacks."""

from __future__ import annotations

from pendingctl.schema_diff import Group
from pendingctl.schema_diff.groups import without_groups
from pendingctl.schema_diff.model import Catalog, CatalogObject, Name


def make_object(kind: str, name: Name, table: Name = (), **attributes: str | None) -> CatalogObject:
    return CatalogObject(kind, name, table or name, kind, attributes)


def left(catalog: Catalog, *groups: Group) -> list[Name]:
    return [item.name for item in without_groups(catalog, groups).objects]


def test_partitions_include_templates_of_pg_partman_and_chunks_of_timescaledb() -> None:
    chunk = ("_timescaledb_internal", "_hyper_1_1_chunk")
    catalog = Catalog(
        (
            make_object("extension", ("pg_partman",), schema="partman"),
            make_object("table", ("partman", "template_public_event")),
            make_object("table", ("public", "template_letter")),
            make_object("table", chunk),
            make_object("index", (chunk[0], "by_time"), chunk),
        )
    )

    assert left(catalog, Group.PARTITIONS) == [("pg_partman",), ("public", "template_letter")]
    assert left(catalog) == [item.name for item in catalog.objects]


def test_uncompared_subscriptions_belong_to_replication() -> None:
    catalog = Catalog((), {"subscriptions (they hold passwords)": 1, "security labels": 2})

    assert without_groups(catalog, {Group.REPLICATION}).uncompared == {"security labels": 2}
    assert without_groups(catalog, {Group.BOOKKEEPING}).uncompared == catalog.uncompared
