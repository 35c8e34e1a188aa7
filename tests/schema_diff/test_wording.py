"""The text of differences."""

from __future__ import annotations

from pathlib import Path

import pytest

from pendingctl.schema_diff import Difference, SchemaDiff, report
from pendingctl.schema_diff.text_difference import differing_words


def printed(*differences: Difference, files: tuple[str, ...] = ("s.sql",), migrated: bool = False) -> list[str]:
    compared = SchemaDiff(tuple(map(Path, files)), differences, (), migrated=migrated)
    return [f"{line.place}{line.sentence}" for line in report.lines(compared)]


def test_line_has_the_values_of_both_sides() -> None:
    assert printed(Difference("column", "public.t.a", "default", "5", "6", 2)) == [
        "s.sql:2: column public.t.a default: s.sql says 5 / database says 6"
    ]
    assert printed(Difference("index", "public.i", "predicate", None, "(a > 0)", None)) == [
        "s.sql: index public.i predicate: s.sql says nothing / database says (a > 0)"
    ]


def test_migrations_say_what_they_lead_to() -> None:
    assert printed(Difference("column", "public.t.a", "default", "5", "6", 2), migrated=True) == [
        "s.sql:2: column public.t.a default: s.sql says 5 / migrations say 6"
    ]


def test_line_of_several_files_has_the_file_that_defines_the_object() -> None:
    found = Difference("column", "public.t.a", "default", "5", "6", 2, file="db/t.sql")
    unknown = Difference("table", "public.u", "presence", None, "table", None)

    assert printed(found, unknown, files=("db/t.sql", "db/u.sql")) == [
        "db/t.sql:2: column public.t.a default: t.sql says 5 / database says 6",
        "table public.u presence: the files say nothing / database says table",
    ]
    assert printed(found, unknown, files=("db",))[1] == (
        "db: table public.u presence: db says nothing / database says table"
    )


def test_line_of_the_own_schema_names_it() -> None:
    assert printed(Difference("column", "public.t.a", "default", "5", "6", 2), files=()) == [
        "schema.sql:2: column public.t.a default: schema.sql says 5 / database says 6"
    ]


BODY = "begin\n  select count(*) from orders where tenant = 1;\n  return 7;\nend"


@pytest.mark.parametrize(
    ("expected", "actual", "shown"),
    [
        (
            " SELECT a\n   FROM t\n  WHERE (a > 0);",
            " SELECT a\n   FROM t;",
            "body line 3: s.sql says SELECT a FROM t WHERE (a > 0); / database says SELECT a FROM t;",
        ),
        (
            BODY,
            BODY.replace(" where tenant = 1", ""),
            "body line 2: s.sql says … count(*) from orders where tenant = 1; return 7; end / "
            "database says … count(*) from orders; return 7; end",
        ),
        (
            "begin\n  one;\nend",
            "begin\n  two;\nend",
            "body line 2: s.sql says begin one; end / database says begin two; end",
        ),
        ("begin\nend\n;", "begin\nend", "body line 3: s.sql says begin end ; / database says begin end"),
        (
            "begin\n  one;\nend",
            "begin\n\tone;\nend",
            "body line 2: s.sql says '  one;' / database says '\\tone;', only white space differs",
        ),
        (
            "one;\nend\n",
            "one;\nend",
            "body line 3: s.sql says '' / database says nothing, only white space differs",
        ),
        (
            "((state = ANY (ARRAY['new'::text, 'paid'::text, 'sent'::text, 'lost'::text])))",
            "((state = ANY (ARRAY['new'::text, 'paid'::text, 'lost'::text])))",
            "body: s.sql says … 'paid'::text, 'sent'::text, 'lost'::text]))) / "
            "database says … 'paid'::text, 'lost'::text])))",
        ),
        ("a\nb", None, "body: s.sql says a\nb / database says nothing"),
    ],
)
def test_the_differing_words_of_long_texts_are_shown(expected: str, actual: str | None, shown: str) -> None:
    assert printed(Difference("function", "public.f()", "body", expected, actual, 2)) == [
        f"s.sql:2: function public.f() {shown}"
    ]


def test_places_beyond_what_a_line_can_show_are_counted() -> None:
    ours = " ".join(f"word{number}" for number in range(1000))
    theirs = ours.replace("word100 ", "x ").replace("word500 ", "").replace("word900 ", "y z ").replace("word950 ", "")

    found = differing_words(ours, theirs)

    first = "… word95 word96 word97 word98 word99 {}word101 word102 word103 word104 word105 …"
    second = " word495 word496 word497 word498 word499 {}word501 word502 word503 word504 word505 …"
    assert (found.expected, found.actual) == (
        (first + second).format("word100 ", "word500 "),
        (first + second).format("x ", ""),
    )
    assert found.more == 2
    (line,) = printed(Difference("view", "public.v", "definition", f"{ours}\n", theirs, 2))
    assert line.startswith("s.sql:2: view public.v definition: s.sql says … word95")
    assert line.endswith("word505 …, and in 2 more places")
    assert differing_words(theirs.replace("y z ", "word900 ").replace("x ", "word100 "), ours).more == 0


def test_texts_with_nothing_in_common_are_cut() -> None:
    found = differing_words("a " * 50_000, "b\n" * 50_000)

    assert found.expected.startswith("a a a")
    assert found.actual.startswith("b b b")
    assert max(map(len, (found.expected, found.actual))) < 500


def test_long_definition_of_a_missing_object_is_one_shortened_line() -> None:
    body = "create function f() returns int language sql as $$\n" + "  select 1;\n" * 500 + "$$"
    (line,) = printed(Difference("function", "public.f()", "presence", body, None, 2))

    assert "\n" not in line
    assert "says create function f() returns int language sql as $$ select 1;" in line
    assert len(line) < 600


def test_folded_objects_are_counted_on_the_line() -> None:
    missing = Difference(
        "table", "public.t", "presence", "table", None, 1, {"column": 3, "index": 2, "policy": 2, "constraint": 1}
    )
    assert printed(missing) == [
        "s.sql:1: table public.t presence: s.sql says table with 3 columns, 2 indexes, 2 policies, 1 constraint / "
        "database says nothing"
    ]


def test_likely_rename_is_one_line() -> None:
    old = Difference("column", "public.t.a", "presence", "text", None, 3, renamed_to="public.t.b")
    new = Difference("column", "public.t.b", "presence", None, "text", 1, renamed_from="public.t.a")
    assert printed(old, new) == [
        "s.sql:3: column public.t.a name: s.sql says public.t.a / database says public.t.b, likely renamed"
    ]


def serial_or_identity(sequence: Difference, next_value: str = "nextval('public.t_id_seq'::regclass)") -> list[str]:
    return printed(
        Difference("column", "public.t.id", "default", next_value, None, 1, {"column": 2}),
        Difference("column", "public.t.id", "identity", None, "by default", 1),
        sequence,
    )


def test_serial_or_identity_is_one_line() -> None:
    owned = Difference("sequence", "public.t_id_seq", "owned_by", "public.t.id", "identity of public.t.id", 1)
    assert serial_or_identity(owned) == [
        "s.sql:1: column public.t.id identity: s.sql says serial / database says by default, and so 2 columns"
    ]


def test_serial_with_another_sequence_or_identity_is_one_line() -> None:
    ids = Difference("sequence", "public.ids", "presence", "sequence", None, 1)
    assert serial_or_identity(ids, "nextval('public.ids'::regclass)") == [
        "s.sql:1: column public.t.id identity: s.sql says serial (public.ids) / database says by default, "
        "and so 2 columns"
    ]


def test_other_attributes_of_the_sequence_of_a_serial_column_are_reported() -> None:
    shown = printed(
        Difference("column", "public.t.id", "default", None, "nextval('public.t_id_seq'::regclass)", 1),
        Difference("column", "public.t.id", "identity", "always", None, 1),
        Difference("sequence", "public.t_id_seq", "owned_by", "identity of public.t.id", "public.t.id", 1),
        Difference("sequence", "public.t_id_seq", "increment", "1", "2", 1),
    )
    assert shown == [
        "s.sql:1: column public.t.id identity: s.sql says always / database says serial",
        "s.sql:1: sequence public.t_id_seq increment: s.sql says 1 / database says 2",
    ]


def test_identity_or_an_ordinary_default_are_two_lines() -> None:
    shown = printed(
        Difference("column", "public.t.id", "default", "5", None, 1),
        Difference("column", "public.t.id", "identity", None, "always", 1),
    )
    assert len(shown) == 2
