"""The rows of the claim path: the parameters by which a statement finds or writes one, and what its columns become."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from psycopg.errors import LockNotAvailable
from psycopg.rows import args_row, class_row

from ..errors import UnreadablePayload
from ..model import Claim, Click, Operator, PutOutcome, Scope, Stored
from ..payload import read_json, read_payload
from ..postgres.connections import Connection
from ..postgres.time_limits import FIRST_LOCK_TIMEOUT, Purpose
from . import statements
from .ending_statements import EXPIRE_ONE
from .refusal import FoundRow


def claim_parameters(
    click: Click,
    lease: timedelta | None,
    *,
    pod: str,
    application: str = "",
    lease_token: UUID | None = None,
    operator: Operator | None = None,
) -> dict[str, object]:
    """Return the parameters of `statements.CLAIM`; each call has a lease token of its own unless one is given."""
    leaves_it_to_the_pods = lease is None or not lease
    return {
        "id": click.question_id,
        "organization_id": click.organization_id,
        "connection_id": click.connection_id,
        "user_id": click.user_id,
        "answered_by": click.user_id if operator is None else operator.answered_by,
        "reason": None if operator is None else operator.reason,
        "application": application,
        "ask_number": click.ask_number,
        "answer": click.value,
        "option": click.option,
        "delivery_key": click.delivery_key,
        "lease": lease,
        "lease_token": None if leaves_it_to_the_pods else lease_token or uuid4(),
        "pod": pod,
        "lock_timeout": FIRST_LOCK_TIMEOUT,
    }


def _claim(
    id: str,
    ask_number: int,
    expected_user_id: str,
    payload: str,
    value: str | None,
    claimed_at: datetime,
    lease_token: UUID | None,
    card: str | None,
) -> Claim:
    try:
        read = read_payload(payload)
    except UnreadablePayload:
        # Whoever leases the answer finds the same, and reports it.
        read, lease_token = {}, None
    return Claim(id, ask_number, expected_user_id, read, value, claimed_at, lease_token, read_json(card))


# By place, here and below: names cost a claim a twentieth of the client's time.
CLAIM_ROW = args_row(_claim)


async def claim(connection: Connection, parameters: Mapping[str, object]) -> Claim | None:
    """Claim the row that the click is for, also one that somebody holds for a while; None where there is none."""
    cursor = connection.cursor(row_factory=CLAIM_ROW)
    try:
        return await (await cursor.execute(statements.CLAIM, parameters)).fetchone()
    except LockNotAvailable:
        await connection.rollback()
    patient = {**parameters, "lock_timeout": Purpose.CLAIM.lock_timeout}
    return await (await cursor.execute(statements.CLAIM_AFTER_WAITING, patient)).fetchone()


def _stored(
    id: str, outcome: str, ask_number: int, created_at: datetime, row_version: str, is_to_be_posted: bool
) -> Stored:
    return Stored(id, PutOutcome(outcome), ask_number, created_at, row_version, is_to_be_posted)


# What a statement that stores a question has left.
STORED_ROW = args_row(_stored)


async def look(connection: Connection, id: str, by: Scope | Click) -> FoundRow | None:
    """Return the row of this id as the organization and connection of `by` may see it; None where there is none."""
    cursor = connection.cursor(row_factory=class_row(FoundRow))
    parameters = {"id": id, "organization_id": by.organization_id, "connection_id": by.connection_id}
    return await (await cursor.execute(statements.LOOK, parameters)).fetchone()


async def expire_one(connection: Connection, id: str, ask_number: int, *, pod: str, lock_timeout: str | None) -> None:
    """End an asking whose deadline has passed, if no pod has done that yet.

    `lock_timeout` is None in a transaction of the caller's, whose own limits stay.
    """
    parameters = {
        "id": id,
        "ask_number": ask_number,
        "pod": pod,
        "awaited_by": None,
        "lock_timeout": lock_timeout,
    }
    await connection.execute(EXPIRE_ONE, parameters)


def scope_parameters(scope: Scope) -> dict[str, str]:
    """Return the parameters by which a statement finds the rows of exactly this scope."""
    return {
        "organization_id": scope.organization_id,
        "connection_id": scope.connection_id,
        "expected_user_id": scope.expected_user_id,
    }
