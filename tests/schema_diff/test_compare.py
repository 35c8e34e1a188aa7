"""The pure comparison, on catalogs that Hypothesis generates."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from pendingctl.schema_diff.compare import column_order_notes, compare
from pendingctl.schema_diff.model import Catalog, CatalogObject
from pendingctl.schema_diff.names import format_name

NAMES = st.sampled_from(["a", "b", "c", "Mixed", "with space"])
VALUES = st.none() | st.sampled_from(["x", "y", "z"])


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    objects = []
    for table in draw(st.lists(NAMES, unique=True, min_size=1)):
        objects.append(_object("table", ("public", table), ("public", table), draw(VALUES)))
        for kind in ("column", "constraint"):
            for name in draw(st.lists(NAMES, unique=True)):
                objects.append(_object(kind, ("public", table, name), ("public", table), draw(VALUES)))
    return Catalog(tuple(objects))


def _object(kind: str, name: tuple[str, ...], table: tuple[str, ...], value: str | None) -> CatalogObject:
    return CatalogObject(kind, name, table, kind, {"first": value, "second": "same"})


def no_line(_item: CatalogObject, _in_schema: bool, _attribute: str) -> int | None:
    return None


@given(catalogs())
def test_catalog_does_not_differ_from_itself(catalog: Catalog) -> None:
    assert compare(catalog, catalog, no_line) == ()
    assert list(column_order_notes(catalog, catalog)) == []


@given(catalogs(), st.data())
def test_only_the_changed_attribute_is_reported(catalog: Catalog, data: st.DataObject) -> None:
    changed = data.draw(st.sampled_from(catalog.objects))
    other = replace(changed, attributes={**changed.attributes, "second": "other"})
    actual = Catalog(tuple(other if item is changed else item for item in catalog.objects))

    (difference,) = compare(catalog, actual, no_line)

    assert (difference.kind, difference.object) == (changed.kind, format_name(changed.name))
    assert (difference.attribute, difference.expected, difference.actual) == ("second", "same", "other")


@given(catalogs(), st.data())
def test_missing_object_is_reported_without_its_parts(catalog: Catalog, data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(catalog.objects))
    is_table = gone.kind == "table"
    actual = Catalog(
        tuple(item for item in catalog.objects if item is not gone and not (is_table and item.table == gone.name))
    )

    (difference,) = compare(catalog, actual, no_line)
    (mirrored,) = compare(actual, catalog, no_line)

    assert (difference.object, difference.attribute) == (format_name(gone.name), "presence")
    assert (difference.expected, difference.actual) == (mirrored.actual, mirrored.expected) == (gone.definition, None)


def test_definition_is_reported_only_if_no_attribute_differs() -> None:
    one = _object("index", ("public", "i"), ("public", "t"), "x")
    hidden = Catalog((replace(one, definition="other"),))
    named = Catalog((replace(one, definition="other", attributes={"first": "y", "second": "same"}),))

    assert [each.attribute for each in compare(Catalog((one,)), hidden, no_line)] == ["definition"]
    assert [each.attribute for each in compare(Catalog((one,)), named, no_line)] == ["first"]


def test_order_of_columns_is_a_note() -> None:
    columns = [_object("column", ("public", "t", name), ("public", "t"), None) for name in "abc"]

    (note,) = column_order_notes(Catalog(tuple(columns)), Catalog((columns[2], columns[0])))

    assert note == "public.t: its columns stand in another order, which is not compared (--column-order)"


def folding(*changes: CatalogObject, without: tuple[str, ...] = ()) -> Catalog:
    """A table with two columns of different types, and an index on one of them; with changes."""
    table = ("public", "t")
    objects = [
        _object("table", table, table, None),
        _object("column", (*table, "a"), table, "text"),
        _object("column", (*table, "b"), table, "integer"),
        replace(_object("index", ("public", "i"), table, "on b"), columns=("b", None)),
    ]
    return Catalog((*(item for item in objects if item.name[-1] not in without), *changes))


def test_index_of_a_missing_column_is_counted_at_the_column() -> None:
    (difference,) = compare(folding(), folding(without=("b", "i")), no_line)

    assert (difference.object, difference.folded) == ("public.t.b", {"index": 1})


def test_renamed_column_is_reported_as_such_and_nothing_is_folded_into_it() -> None:
    renamed = _object("column", ("public", "t", "c"), ("public", "t"), "integer")

    found = compare(folding(), folding(renamed, without=("b", "i")), no_line)

    assert [(each.object, each.renamed_to, each.renamed_from, dict(each.folded)) for each in found] == [
        ("public.t.b", "public.t.c", None, {}),
        ("public.t.c", None, "public.t.b", {}),
        ("public.i", None, None, {}),
    ]


def test_column_of_another_type_is_not_a_rename() -> None:
    other = _object("column", ("public", "t", "c"), ("public", "t"), "bigint")

    found = compare(folding(), folding(other, without=("b", "i")), no_line)

    assert [each.renamed_to or each.renamed_from for each in found] == [None, None]


def test_ambiguous_rename_is_not_reported() -> None:
    others = [_object("column", ("public", "t", name), ("public", "t"), "integer") for name in "cd"]

    found = compare(folding(), folding(*others, without=("b", "i")), no_line)

    assert [each.renamed_to or each.renamed_from for each in found] == [None, None, None]


def test_renamed_table_is_recognized_by_its_parts() -> None:
    table = ("public", "u")
    moved = [
        _object("table", table, table, None),
        _object("column", (*table, "a"), table, "text"),
        _object("column", (*table, "b"), table, "integer"),
        replace(_object("index", ("public", "u_b"), table, "on b"), columns=("b", None)),
    ]

    old, new = compare(folding(), Catalog(tuple(moved)), no_line)
    assert (old.object, old.renamed_to, old.folded) == ("public.t", "public.u", {"column": 2, "index": 1})
    assert (new.object, new.renamed_from, new.folded) == ("public.u", "public.t", {"column": 2, "index": 1})

    assert {each.renamed_to for each in compare(folding(), Catalog(tuple(moved[:2])), no_line)} == {None}


def test_parts_of_a_table_that_became_a_view_are_folded_into_both() -> None:
    name = ("public", "t")
    view = Catalog((_object("view", name, name, None), _object("column", (*name, "a"), name, "text")))

    table_gone, view_new = compare(folding(), view, no_line)

    assert (table_gone.kind, table_gone.actual, table_gone.folded) == ("table", None, {"column": 2, "index": 1})
    assert (view_new.kind, view_new.expected, view_new.folded) == ("view", None, {"column": 1})
