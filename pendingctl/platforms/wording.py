"""The sentences that people read, as words and parts.

A platform renders the parts in its own way; an application may replace the words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple, TypeVar

from ..errors import InvalidInput
from ..model import operator_of

_Given = TypeVar("_Given")
_Part = TypeVar("_Part")

# What stands in square brackets, and the name of a field in braces: `split` returns these at odd places.
_OPTIONAL = re.compile(r"\[([^][]*)\]")
_FIELD = re.compile(r"\{(\w+)\}")
_FIELDS = frozenset({"by", "operator", "to", "value", "at", "question", "options"})


def utc_minutes(at: datetime) -> str:
    """Return a time as everybody can read it, to the minute: `2026-01-01 12:00 UTC`."""
    return f"{at.astimezone(UTC).isoformat(' ', 'minutes')[:16]} UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sentence:
    """What is said, in parts: `words` is a template whose fields, such as `{by}`, are the other attributes here.

    What stands in square brackets is left out if one of its fields is missing: None, or no options. `by` and `to` are
    users' ids: of the person who did something, or was to do it, and of the one who is addressed. `operator` is the
    name of whoever did it in a user's place, who need not be a user of the platform.
    """

    words: str
    by: str | None = None
    operator: str | None = None
    to: str | None = None
    value: str | None = None
    at: datetime | None = None
    question: str | None = None
    options: tuple[str, ...] = ()

    def text(
        self,
        *,
        person: Callable[[str], str] = str,
        plain: Callable[[str], str] = str,
        time: Callable[[datetime], str] = utc_minutes,
    ) -> str:
        """Return the sentence as a platform writes it.

        `person` renders a user's id, as a mention for instance; `time` a time; `plain` makes everything else fit for
        the platform's markup: the operator, the value, the question, each option, and the template's own words. A
        missing field outside brackets is empty. Raises InvalidInput for a template that cannot be read.
        """
        return "".join(self.parts(person=person, plain=plain, time=time))

    def parts(
        self, *, person: Callable[[str], _Part], plain: Callable[[str], _Part], time: Callable[[datetime], _Part]
    ) -> list[_Part]:
        """Return the sentence piece by piece, for a platform whose messages are more than text; otherwise as `text`."""
        options = [part for option in self.options for part in (plain(", "), plain(option))][1:]
        parts = {
            "by": _rendered(self.by, person),
            "operator": _rendered(self.operator, plain),
            "to": _rendered(self.to, person),
            "value": _rendered(self.value, plain),
            "at": _rendered(self.at, time),
            "question": _rendered(self.question, plain),
            "options": options or None,
        }
        said: list[_Part] = []
        for piece in _pieces(self.words):
            if piece.is_optional and any(parts[field] is None for field in piece.fields):
                continue
            said.append(plain(piece.words[0]))
            for field, words in zip(piece.fields, piece.words[1:], strict=True):
                said += [*(parts[field] or ()), plain(words)]
        return said


def answered(words: str, answered_by: str | None, value: str | None, at: datetime | None) -> Sentence:
    """Return the sentence that says who has answered: a user, an operator in the user's place, or nobody."""
    operator = operator_of(answered_by)
    by = answered_by if operator is None else None
    return Sentence(words=words, by=by, operator=operator, value=value, at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """The words of everything that people read: a template for each sentence, to be replaced for another language.

    A template may name the fields that the English one names. A field that stands in square brackets there may be
    missing, and has to stand in brackets in its replacement too. Raises InvalidInput for any other template.
    """

    # The reply to a click.
    reply_answered: str = "You answered: {value}"
    reply_answered_without_value: str = "You answered."
    reply_already_answered: str = "Already answered[ by {by}][ by the operator {operator}][: {value}][ ({at})]"
    reply_not_yours: str = "This question is for somebody else."
    reply_invalid_answer: str = "That is not one of the options[: {options}]."
    reply_withdrawn: str = "This question was withdrawn."
    reply_expired: str = "This question has expired: nobody answered it in time."
    reply_superseded: str = "This question has changed; answer the newer card."
    reply_unknown_or_expired: str = "This question is unknown or has expired."
    reply_cannot_serve: str = "This cannot be served here right now, please try again."
    reply_limited: str = "You press buttons too often; please try again later."
    # What stands below the question on its card.
    card_stale: str = "Nobody has answered yet; this question is about to be removed."
    card_answered: str = "Answered[ by {by}][ by the operator {operator}][: {value}][ ({at})]"
    card_defaulted: str = "Nobody answered in time[; the answer is {value}][ ({at})]"
    card_expired: str = "Expired[ ({at})]: nobody answered in time."
    card_withdrawn: str = "Withdrawn[ ({at})]"
    card_changed: str = "This question has changed; answer the newer card."
    # To the person whose answer is missing, and to the one who may answer instead.
    reminder: str = "{to}, this question waits for your answer[ until {at}][: {question}]"
    escalation: str = "{to}, {by} has not answered; please answer instead[ by {at}][: {question}]"

    def __post_init__(self) -> None:
        for field in fields(self):
            try:
                _check(getattr(self, field.name), str(field.default))
            except InvalidInput as error:
                raise InvalidInput(f"the wording of {field.name} cannot be used: {error}") from None


class _Piece(NamedTuple):
    """A piece of a template: words, field, words, field, …, words. An optional one stood in brackets."""

    words: list[str]
    fields: list[str]
    is_optional: bool


# A press has four sentences of two or three templates written.
@lru_cache(maxsize=256)
def _pieces(template: str) -> tuple[_Piece, ...]:
    """Return a template's pieces. Raises InvalidInput for one that cannot be read."""
    return tuple(_read(template))


def _read(template: str) -> Iterator[_Piece]:
    for place, text in enumerate(_OPTIONAL.split(template)):
        split = _FIELD.split(text)
        piece = _Piece(words=split[::2], fields=split[1::2], is_optional=place % 2 == 1)
        if any(character in words for words in piece.words for character in "[]"):
            raise InvalidInput(f"a square bracket is unbalanced, or within another: {template!r}")
        if any(character in words for words in piece.words for character in "{}"):
            raise InvalidInput(f"a brace belongs to no field: {template!r}")
        if unknown := set(piece.fields) - _FIELDS:
            raise InvalidInput(f"there is no field {min(unknown)!r}: {template!r}")
        if piece.is_optional and not piece.fields:
            raise InvalidInput(f"square brackets without a field: {template!r}")
        yield piece


def _check(template: str, english: str) -> None:
    if not template.strip():
        raise InvalidInput("it is empty")
    is_optional = {field: piece.is_optional for piece in _pieces(english) for field in piece.fields}
    for piece in _pieces(template):
        for field in piece.fields:
            if field not in is_optional:
                known = ", ".join(is_optional) or "none"
                raise InvalidInput(f"it has no field {field!r}, only these: {known}: {template!r}")
            if is_optional[field] and not piece.is_optional:
                raise InvalidInput(f"{field!r} may be missing, so put it into square brackets: {template!r}")


def _rendered(part: _Given | None, render: Callable[[_Given], _Part]) -> list[_Part] | None:
    return None if part is None else [render(part)]


# Here, since it checks itself by what stands above.
ENGLISH = Wording()
