"""What a pattern of --ignore excludes, and what it does not."""

from __future__ import annotations

import pytest

from pendingctl.schema_diff.compare import compare, uncompared_kinds
from pendingctl.schema_diff.ignore import (
    without_ignored_attributes,
    without_ignored_objects,
    without_ignored_uncompared,
)
from pendingctl.schema_diff.model import Catalog, CatalogObject, Name, Uncompared


def make_object(kind: str, name: Name, table: Name, value: str) -> CatalogObject:
    return CatalogObject(kind, name, table, f"{kind} {value}", {"first": value, "second": "same"})


def catalog(value: str) -> Catalog:
    table, quoted = ("public", "orders"), ("app", "Odd [name]")
    return Catalog(
        (
            make_object("table", table, table, value),
            make_object("column", (*table, "id"), table, value),
            make_object("index", ("public", "by_id"), table, value),
            make_object("table", quoted, quoted, value),
            make_object("function", ("public", "f(integer[])"), (), value),
        ),
        {"sequences": 2 if value == "x" else 3},
    )


ALL = {
    "table public.orders first",
    "column public.orders.id first",
    "index public.by_id first",
    'table app."Odd [name]" first',
    'function public."f(integer[])" first',
    "sequences",
}


def left(*patterns: str) -> set[str]:
    one, other = without_ignored_objects(catalog("x"), patterns), without_ignored_objects(catalog("y"), patterns)
    differences = without_ignored_attributes(compare(one, other, lambda *_: None), patterns)
    kinds = without_ignored_uncompared(uncompared_kinds(one, other), patterns)
    return {f"{each.kind} {each.object} {each.attribute}" for each in differences} | {each.what for each in kinds}


@pytest.mark.parametrize(
    ("pattern", "excluded"),
    [
        ("public.orders", {"table public.orders", "column public.orders.id", "index public.by_id"}),
        ("table public.orders", {"table public.orders", "column public.orders.id", "index public.by_id"}),
        ("index public.orders", set()),
        ("public.by_*", {"index public.by_id"}),
        ("index *", {"index public.by_id"}),
        ("public.orders.id", {"column public.orders.id"}),
        ("public.orders.first", {"table public.orders"}),
        ("public.orders.id.first", {"column public.orders.id"}),
        ("public.orders.id.second", set()),
        ("column public.orders.id first", {"column public.orders.id"}),
        ("*.first", ALL - {"sequences"}),
        ('app."Odd [name]"', {'table app."Odd [name]"'}),
        ('function public."f(integer[])"', {'function public."f(integer[])"'}),
        ("app.*", {'table app."Odd [name]"'}),
        ("PUBLIC.*", set()),
        ("sequences", {"sequences"}),
        ("seq*", {"sequences"}),
        ("*", ALL),
    ],
)
def test_pattern_excludes_differences(pattern: str, excluded: set[str]) -> None:
    assert left() == ALL
    assert left(pattern) == ALL - {name if name in ALL else f"{name} first" for name in excluded}


def test_patterns_are_combined() -> None:
    assert left("index *", "sequences") == ALL - {"index public.by_id first", "sequences"}


def test_pattern_excludes_what_cannot_be_compared() -> None:
    view = Uncompared("view public.v definition", "…")
    assert without_ignored_uncompared([view], ["view * definition"]) == ()
    assert without_ignored_uncompared([view], ["index *"]) == (view,)
