"""Which rows a list shows, in which order, and from which one on. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self
from urllib.parse import quote, unquote

from ..errors import InvalidInput
from ..inspected import CardState, PendingSummary, State
from ..payload import check_id, check_text

# As Postgres writes a time, with a T in place of the space.
_KEY = re.compile(r"-?infinity|\d{4,6}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?[+-]\d\d(:\d\d){0,2}( BC)?")


class Sort(StrEnum):
    """The order of a list: by when a question was asked, or, of the open ones that have one, by their deadline."""

    OLDEST = "oldest"
    NEWEST = "newest"
    DUE = "due"


@dataclass(frozen=True, slots=True)
class Filters:
    """Which rows a list shows; None takes all."""

    organization_id: str | None = None
    connection_id: str | None = None
    expected_user_id: str | None = None
    state: State | None = None
    older_than: timedelta | None = None
    card: CardState | None = None
    application: str | None = None
    due_within: timedelta | None = None
    """Open questions whose deadline has passed or comes so soon."""
    since: datetime | timedelta | None = None
    """Asked at this time or later; a length of time counts back from now."""
    until: datetime | timedelta | None = None
    """Asked before this time."""
    answered_by: str | None = None
    error: str | None = None
    """Text in the last error of the delivery or of the card's post, whatever its case."""
    conversation_id: str | None = None


ALL = Filters()


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of a row in a list: what the list is sorted by, as Postgres writes it, and the row's id."""

    key: str
    id: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor that was written so. Raises InvalidInput."""
        key, _, id = text.partition("/")
        if not _KEY.fullmatch(key):
            raise no_cursor(text)
        id = unquote(id, errors="surrogateescape")
        check_id(id, "the id in the cursor")
        return cls(key, id)

    def __str__(self) -> str:
        return f"{self.key}/{quote(self.id, safe='')}"


def no_cursor(text: str) -> InvalidInput:
    """Return the error for a text that no list has given as the place where it goes on."""
    return InvalidInput(f"{text[:400]!r} is no cursor; take the one that the list before has printed")


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a list, and the place from which it goes on; None after the last one."""

    rows: list[PendingSummary]
    after: Cursor | None


@dataclass(frozen=True, slots=True)
class Found:
    """How many rows pass the filters; where it is not exact, about so many, from a sample of the table."""

    number: int
    is_exact: bool


def filter_parameters(filters: Filters, max_age: timedelta) -> dict[str, object]:
    """Return the parameters by which the statements filter. Raises InvalidInput for text that Postgres cannot hold."""
    for text in (
        filters.organization_id,
        filters.connection_id,
        filters.expected_user_id,
        filters.application,
        filters.answered_by,
        filters.error,
        filters.conversation_id,
    ):
        check_text(text or "", "a filter")
    return {
        "application": filters.application,
        "organization_id": filters.organization_id,
        "connection_id": filters.connection_id,
        "expected_user_id": filters.expected_user_id,
        "state": filters.state,
        "older_than": filters.older_than,
        "since": filters.since if isinstance(filters.since, datetime) else None,
        "since_ago": filters.since if isinstance(filters.since, timedelta) else None,
        "until": filters.until if isinstance(filters.until, datetime) else None,
        "until_ago": filters.until if isinstance(filters.until, timedelta) else None,
        "answered_by": filters.answered_by,
        "error": filters.error,
        "conversation_id": filters.conversation_id,
        "card": filters.card,
        "due_within": filters.due_within,
        "max_age": max_age,
    }


def counted_from(filters: Filters, now: datetime) -> Filters:
    """Return the filters as they are at this time: however late they are used, they take no row that was asked since.

    Ages and lengths of time count back from it; a deadline that comes soon still counts from the reading.
    """
    untils = [now, _time(filters.until, now), _time(filters.older_than, now)]
    return replace(
        filters,
        older_than=None,
        since=_time(filters.since, now),
        until=min(each for each in untils if each is not None),
    )


def _time(time: datetime | timedelta | None, now: datetime) -> datetime | None:
    return now - time if isinstance(time, timedelta) else time


def reads_few_rows(filters: Filters, sort: Sort) -> bool:
    """Whether an index holds the rows of these filters and few others, however many rows the table has."""
    return (
        filters.state in (State.STUCK, State.UNDELIVERED)
        or filters.card is not None
        or filters.due_within is not None
        or sort is Sort.DUE
    )


def picks_by_column(filters: Filters) -> bool:
    """Whether rows are picked by a column that no index leads with, and of which the planner knows how common it is."""
    columns = (filters.application, filters.connection_id, filters.expected_user_id, filters.answered_by)
    return any(value is not None for value in columns)


def picks_by_looking(filters: Filters) -> bool:
    """Whether rows are picked by what only a look at each of them shows."""
    return (
        filters.error is not None
        or filters.conversation_id is not None
        or filters.state in (State.CLAIMED, State.EXPIRED, State.WITHDRAWN, State.DEFAULTED)
    )
