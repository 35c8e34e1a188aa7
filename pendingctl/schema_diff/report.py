"""The text of a result: one line per difference, whatever the number of attributes that it changes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .model import Difference, SchemaDiff
from .text_difference import LONG_CHARACTERS, differing_words, shortened

NOTHING = "nothing"

_NEXT_VALUE = re.compile(r"nextval\('(?P<sequence>.+)'::regclass\)")
# A missing object in one line of the report; JSON has its whole definition.
_DEFINITION_CHARACTERS = 400


@dataclass(frozen=True, slots=True)
class Line:
    """The text of one difference, in the parts that a terminal colours.

    `place` is the file and the line in it, as far as they are known; `ours` and `theirs` name the two sides.
    """

    difference: Difference
    place: str
    what: str
    ours: str
    expected: str
    theirs: str
    actual: str
    hint: str = ""

    @property
    def sentence(self) -> str:
        """Return the text without its place."""
        return f"{self.what}: {self.ours} {self.expected} / {self.theirs} {self.actual}{self.hint}"


def lines(compared: SchemaDiff) -> Iterator[Line]:
    """Yield a line for each difference.

    One line stands for the two halves of a likely rename, and for the attributes in which serial and identity differ.
    """
    paired = {(each.kind, each.renamed_to) for each in compared.differences if each.renamed_to is not None}
    serials = list(_serials(compared.differences))
    beside = {each for serial in serials for each in serial.beside}
    by_identity = {serial.identity: serial for serial in serials}
    for each in compared.differences:
        what, hint = f"{each.kind} {each.object} {each.attribute}", _followers(each.folded)
        if each.renamed_to is not None:
            what, hint = f"{each.kind} {each.object} name", f", likely renamed{hint}"
            yield _line(compared, each, what, each.object, each.renamed_to, hint)
        elif each in by_identity:
            serial = by_identity[each]
            expected, actual = (each.expected or serial.text), (each.actual or serial.text)
            yield _line(compared, each, what, expected, actual, _followers(serial.folded))
        elif each.attribute == "presence":
            if each not in beside and (each.renamed_from is None or (each.kind, each.object) not in paired):
                yield _line(compared, each, what, _presence(each.expected, each), _presence(each.actual, each), "")
        elif each not in beside:
            yield _values(compared, each, what, hint)


def schema_name(compared: SchemaDiff) -> str:
    """Return how a sentence names what schema.sql is called."""
    given = compared.schema_files
    return "the files" if len(given) > 1 else _name(given[0]) if given else "schema.sql"


def _values(compared: SchemaDiff, each: Difference, what: str, hint: str) -> Line:
    expected, actual = each.expected, each.actual
    if expected is None or actual is None or not any(map(_is_long, (expected, actual))):
        return _line(compared, each, what, _value(expected), _value(actual), hint)
    found = differing_words(expected, actual)
    # The lines of other texts are the server's, and nobody has written them.
    if each.attribute == "body" and "\n" in expected:
        what += f" line {found.line}"
    if found.more:
        hint = f", and in {found.more} more place{'' if found.more == 1 else 's'}{hint}"
    if found.only_white_space:
        hint = f", only white space differs{hint}"
    return _line(compared, each, what, found.expected, found.actual, hint)


def _line(compared: SchemaDiff, each: Difference, what: str, expected: str, actual: str, hint: str) -> Line:
    given = compared.schema_files
    name = schema_name(compared) if each.file is None else _name(Path(each.file))
    file = each.file or ("" if len(given) > 1 else str(given[0]) if given else "schema.sql")
    place = f"{file}: " if each.line is None else f"{file}:{each.line}: "
    return Line(
        difference=each,
        place=place if file else "",
        what=what,
        ours=f"{name} say{'' if each.file is None and len(given) > 1 else 's'}",
        expected=expected,
        theirs="migrations say" if compared.migrated else "database says",
        actual=actual,
        hint=hint,
    )


@dataclass(frozen=True, slots=True)
class _Serial:
    """A column that is serial on one side and an identity on the other."""

    identity: Difference
    beside: tuple[Difference, ...]
    text: str
    folded: Mapping[str, int]


def _serials(differences: Iterable[Difference]) -> Iterator[_Serial]:
    found = {(each.kind, each.object, each.attribute): each for each in differences}
    for (kind, column, attribute), identity in found.items():
        default = found.get(("column", column, "default"))
        if kind != "column" or attribute != "identity" or default is None:
            continue
        if (identity.expected is None) != (default.actual is None):
            continue
        next_value = _NEXT_VALUE.fullmatch(default.expected or default.actual or "")
        if next_value is None or (identity.expected and identity.actual) or (default.expected and default.actual):
            continue
        sequence = next_value["sequence"]
        owner = found.get(("sequence", sequence, "owned_by"))
        presence = found.get(("sequence", sequence, "presence"))
        # The sequence of a serial column belongs to it, and that of the identity can have another name.
        owned = owner is not None and {owner.expected, owner.actual} == {column, f"identity of {column}"}
        if owned or presence is not None:
            beside = (default, owner if owned else presence)
            yield _Serial(
                identity,
                tuple(each for each in beside if each is not None),
                "serial" if owned else f"serial ({sequence})",
                {**identity.folded, **default.folded},
            )


def _is_long(text: str) -> bool:
    return "\n" in text or len(text) > LONG_CHARACTERS


def _value(value: str | None) -> str:
    return NOTHING if value is None else shortened(value)


def _presence(value: str | None, difference: Difference) -> str:
    if value is None:
        return NOTHING
    text = shortened(" ".join(value.split()), _DEFINITION_CHARACTERS)
    return f"{text} with {_counted(difference.folded)}" if difference.folded else text


def _name(path: Path) -> str:
    # "." has no name of its own.
    return path.name or path.resolve().name


def _followers(folded: Mapping[str, int]) -> str:
    return f", and so {_counted(folded)}" if folded else ""


def _counted(folded: Mapping[str, int]) -> str:
    return ", ".join(f"{number} {kind if number == 1 else _plural(kind)}" for kind, number in folded.items())


def _plural(kind: str) -> str:
    if kind.endswith("y"):
        return kind[:-1] + "ies"
    return kind + ("es" if kind.endswith(("x", "s")) else "s")
