"""Claims: which of the statements makes a click the winner, and what is reported where none does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from psycopg.errors import LockNotAvailable
from psycopg.rows import args_row

from ..errors import DatabaseFailed, UnreadablePayload
from ..model import Claim, Click, Operator, Refusal
from ..payload import read_json, read_payload
from ..postgres.connections import Connection
from ..postgres.time_limits import FIRST_LOCK_TIMEOUT, Purpose
from . import statements
from .refusal import judge
from .rows import TRIES, look


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


def _read(
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


# By place: names cost a claim a twentieth of the client's time.
CLAIM_ROW = args_row(_read)


async def _claimed(connection: Connection, parameters: Mapping[str, object]) -> Claim | None:
    """Claim the row that the click is for, also one that somebody holds for a while; None where there is none."""
    cursor = connection.cursor(row_factory=CLAIM_ROW)
    try:
        return await (await cursor.execute(statements.CLAIM, parameters)).fetchone()
    except LockNotAvailable:
        await connection.rollback()
    patient = {**parameters, "lock_timeout": Purpose.CLAIM.lock_timeout}
    return await (await cursor.execute(statements.CLAIM_AFTER_WAITING, patient)).fetchone()


async def claim(
    connection: Connection,
    click: Click,
    lease: timedelta | None,
    *,
    pod: str,
    application: str,
    lease_token: UUID | None = None,
    operator: Operator | None = None,
) -> Claim | Refusal:
    """Make the click the winner, or return why it is not, see `PendingStore.claim`.

    Raises DatabaseFailed where the row changes all the time.
    """
    parameters = claim_parameters(
        click, lease, pod=pod, application=application, lease_token=lease_token, operator=operator
    )
    for _ in range(TRIES):
        if (won := await _claimed(connection, parameters)) is not None:
            return won
        found = await look(connection, click.question_id, click)
        judgement = judge(click, found, application, lease_token, operator)
        if judgement is not None:
            return judgement
    raise DatabaseFailed(f"question {click.question_id!r} was reopened {TRIES} times during one claim; try again")
