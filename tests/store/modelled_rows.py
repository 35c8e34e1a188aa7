"""The model of a row: what the store is expected to make of puts and clicks, in Python."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeAlias

from pendingctl import Click, PutOutcome, RefusalReason, Scope
from pendingctl.errors import RequestRefused, ScopeMismatch
from pendingctl.payload import JsonObject

DAY = timedelta(hours=24)
# Whom a question is escalated to.
SECOND = "U3"
# The key, the value and the user of a click.
Press: TypeAlias = tuple[str, str | None, str]


class Ending(StrEnum):
    SUPERSEDED = "superseded"
    ANSWERED = "answered"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class Before:
    """The asking before a row's present one."""

    ask_number: int
    ending: Ending
    press: Press | None
    may_answer: frozenset[str]


@dataclass(frozen=True)
class Row:
    """`age` counts from the asking, or from its end; `press` is the winning key, value and user."""

    scope: Scope
    application: str
    text: int
    detail: int
    ask_number: int
    request: str | None
    age: timedelta = timedelta(0)
    displaced: tuple[str, ...] = ()
    ending: Ending | None = None
    press: Press | None = None
    is_undelivered: bool = False
    before: Before | None = None
    is_shown: bool = False
    has_escalation: bool = False
    is_escalated: bool = False

    @property
    def payload(self) -> JsonObject:
        return {"question": {"text": str(self.text), "conversation_id": "C1"}, "detail": self.detail}

    @property
    def may_answer(self) -> frozenset[str]:
        return frozenset({self.scope.expected_user_id} | ({SECOND} if self.is_escalated else set()))

    @property
    def is_stale(self) -> bool:
        """A card that is still to be posted delays this for as long again."""
        is_delayed = self.ending is None and self.is_shown
        return self.age >= (2 * DAY if is_delayed else DAY) and not self.is_undelivered


def expected_put(row: Row | None, asked: Row, *, keeps: bool) -> PutOutcome | type[Exception]:
    if row is None:
        return PutOutcome.CREATED
    if (row.scope, row.application) != (asked.scope, asked.application):
        return ScopeMismatch
    if asked.request in row.displaced:
        return RequestRefused
    is_same_request = row.request is not None and row.request == asked.request
    if row.ending is not None:
        if keeps or row.is_undelivered or is_same_request:
            return PutOutcome.WITHDRAWN if row.ending is Ending.WITHDRAWN else PutOutcome.ALREADY_ANSWERED
        return PutOutcome.REOPENED
    if is_same_request:
        return PutOutcome.REFRESHED if row.text == asked.text else RequestRefused
    if row.request is not None and asked.request is not None:
        return PutOutcome.SUPERSEDED
    return PutOutcome.REFRESHED if row.text == asked.text else PutOutcome.SUPERSEDED


def expected_claim(row: Row | None, click: Click, application: str) -> RefusalReason | tuple[int, bool]:
    """Why the click is refused, or the asking that it has won, and whether it had won before."""
    if row is None or (row.scope.organization_id, row.scope.connection_id) != (
        click.organization_id,
        click.connection_id,
    ):
        return RefusalReason.UNKNOWN_OR_EXPIRED
    if row.application != application:
        return RefusalReason.OTHER_APPLICATION
    number, press = click.ask_number, (click.delivery_key, click.value, click.user_id)
    if number is None or number == row.ask_number:
        if click.user_id not in row.may_answer:
            return RefusalReason.NOT_YOURS
        return (row.ask_number, False) if row.ending is None else _expected_of_ended(row, press)
    before = row.before if row.before is not None and row.before.ask_number == number else None
    if click.user_id not in ({row.scope.expected_user_id} if before is None else before.may_answer):
        return RefusalReason.NOT_YOURS
    if number > row.ask_number:
        return RefusalReason.UNKNOWN_OR_EXPIRED
    return RefusalReason.SUPERSEDED if before is None else _expected_of_ended(before, press)


def _expected_of_ended(ended: Row | Before, press: Press) -> RefusalReason | tuple[int, bool]:
    if ended.ending is Ending.ANSWERED:
        return (ended.ask_number, True) if ended.press == press else RefusalReason.ALREADY_ANSWERED
    return RefusalReason.WITHDRAWN if ended.ending is Ending.WITHDRAWN else RefusalReason.SUPERSEDED
