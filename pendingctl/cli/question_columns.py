"""The columns that `list` can show, and those that it shows unless others are named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum, auto

from ..errors import InvalidInput
from ..inspected import UNDELIVERED, CardState, PendingSummary, State, Unposted
from ..words import age, until

# Of a question whose card nobody knows to be posted.
_CARDS = {
    Unposted.TO_BE_POSTED: "to be posted",
    Unposted.GIVEN_UP: "given up",
    Unposted.BY_CALLER: "shown by its caller",
}


class Place(Enum):
    """Where a column stands if not all of them fit on one line."""

    FIRST_LINE = auto()
    SCOPE = auto()
    ATTEMPTS = auto()
    FURTHER = auto()
    LINE_OF_ITS_OWN = auto()
    QUESTION = auto()


@dataclass(frozen=True, slots=True)
class Column:
    """A column, and what it shows of a row: an empty text where the row has none."""

    name: str
    place: Place
    cell: Callable[[PendingSummary], str]


@dataclass(frozen=True, slots=True)
class Attempts:
    """What the pods try, or have given up, of a row: how often they have, when they will again, and the last error."""

    number: int
    due_at: datetime | None
    error: str | None
    pod: str | None = None


def attempts_of(row: PendingSummary) -> Attempts | None:
    """Return what a row waits for: the delivery of its ending, its card's post, its card's edit; None if nothing."""
    if row.state in UNDELIVERED or row.delivery_due_at is not None:
        return Attempts(row.delivery_attempts, row.delivery_due_at, row.delivery_error, row.pod)
    if row.unposted is not None and row.unposted is not Unposted.BY_CALLER:
        return Attempts(row.post_attempts, row.post_due_at, row.post_error)
    return edit_attempts_of(row)


def edit_attempts_of(row: PendingSummary) -> Attempts | None:
    """Return the attempts to edit a row's card; None if its card shows what is so."""
    return None if row.card_due_at is None else Attempts(row.card_attempts, row.card_due_at, None)


def append_attempts_of(row: PendingSummary) -> Attempts | None:
    """Return the attempts to append to a row's stream; None if nothing is to be appended."""
    return None if row.stream_due_at is None else Attempts(row.stream_attempts, row.stream_due_at, row.stream_error)


def now_of(row: PendingSummary) -> datetime:
    """Return the database's time when the row was read."""
    return row.created_at + timedelta(seconds=row.age_seconds)


def columns_by_name(names: str) -> list[Column]:
    """Return the columns that a list names, with commas. Raises InvalidInput for an unknown name or none."""
    wanted = [name.strip().lower().replace("_", "-") for name in names.split(",")]
    known = {column.name: column for column in _columns(attempts_of)}
    for name in wanted:
        if name not in known:
            raise InvalidInput(f"there is no column {name!r}; the columns are: {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(wanted)]


def usual_columns(state: State | None, card: CardState | None) -> list[Column]:
    """Return the columns of a list of this state or card: with the attempts where its rows wait for one."""
    names = {"id", "state", "age", "organization", "connection", "user", "question"}
    if state in UNDELIVERED:
        names |= {"attempts", "next-attempt", "pod", "error"}
    elif card is CardState.NEVER_POSTED:
        names |= {"attempts", "next-attempt", "card"}
    elif card is CardState.GONE:
        names |= {"error"}
    elif card is CardState.BEHIND:
        names |= {"attempts", "next-attempt"}
    return [column for column in _columns(_attempts_by(state, card)) if column.name in names]


def filled_columns(rows: Sequence[PendingSummary], state: State | None, card: CardState | None) -> list[Column]:
    """Return all columns in which one of the rows has something."""
    return [column for column in _columns(_attempts_by(state, card)) if any(map(column.cell, rows))]


def _attempts_by(state: State | None, card: CardState | None) -> Callable[[PendingSummary], Attempts | None]:
    match card:
        case CardState.BEHIND if state not in UNDELIVERED:
            return edit_attempts_of
        case CardState.GONE if state not in UNDELIVERED:
            return _gone
    return attempts_of


def _gone(row: PendingSummary) -> Attempts:
    return Attempts(row.card_attempts, None, row.post_error)


def _columns(attempts_of: Callable[[PendingSummary], Attempts | None]) -> list[Column]:
    def of_attempts(cell: Callable[[PendingSummary, Attempts], str]) -> Callable[[PendingSummary], str]:
        return lambda row: "" if (attempts := attempts_of(row)) is None else cell(row, attempts)

    return [
        Column("id", Place.FIRST_LINE, lambda row: row.id),
        Column("state", Place.FIRST_LINE, lambda row: row.state),
        Column("age", Place.FIRST_LINE, lambda row: age(row.age_seconds)),
        Column("attempts", Place.ATTEMPTS, of_attempts(lambda _, attempts: f"{attempts.number:,}")),
        Column("next-attempt", Place.ATTEMPTS, of_attempts(_next_attempt)),
        Column("pod", Place.ATTEMPTS, lambda row: row.pod or ""),
        Column("organization", Place.SCOPE, lambda row: row.organization_id),
        Column("connection", Place.SCOPE, lambda row: row.connection_id),
        Column("user", Place.SCOPE, lambda row: row.expected_user_id),
        Column("application", Place.SCOPE, lambda row: row.application),
        Column("conversation", Place.SCOPE, lambda row: row.conversation_id or ""),
        Column("created", Place.FURTHER, lambda row: row.created_at.isoformat(" ", "seconds")),
        Column("deadline", Place.FURTHER, _deadline),
        Column("answered-by", Place.FURTHER, lambda row: row.answered_by or ""),
        Column("stream", Place.LINE_OF_ITS_OWN, _stream),
        Column("card", Place.LINE_OF_ITS_OWN, _card),
        Column("error", Place.LINE_OF_ITS_OWN, of_attempts(lambda _, attempts: attempts.error or "")),
        Column("question", Place.QUESTION, lambda row: row.question or ""),
    ]


def _next_attempt(row: PendingSummary, attempts: Attempts) -> str:
    return "none" if attempts.due_at is None else until(attempts.due_at - now_of(row))


def _deadline(row: PendingSummary) -> str:
    return "" if row.expires_at is None else row.expires_at.isoformat(" ", "seconds")


def _stream(row: PendingSummary) -> str:
    if row.stream_due_at is None:
        return (row.stream or "") + ("" if row.stream_error is None else f": lacks an event: {row.stream_error}")
    due = until(row.stream_due_at - now_of(row))
    error = "" if row.stream_error is None else f": {row.stream_error}"
    return f"{row.stream or 'of a former asking'}, to be appended to {due}{error}"


def _card(row: PendingSummary) -> str:
    if row.unposted is None:
        return ""
    return _CARDS[row.unposted] + ("" if row.post_error is None else f": {row.post_error}")
