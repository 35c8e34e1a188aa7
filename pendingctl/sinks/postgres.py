"""Answers into a table of the application's own, in the same database: exactly once."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg

from ..errors import InvalidInput
from ..leased import LeasedAnswer
from ..model import ANSWERS, Outcome
from ..postgres.connections import Connection
from ..turns import Turns
from .protocol import DeliveryFailed, Marks, fields_of, json_of

# A delivery holds one of the store's connections: no more than these, of one tenant no more than half, and each no
# longer than that.
AT_ONCE = 4
OF_A_TENANT = 2
LOCK_TIMEOUT = "2s"
STATEMENT_TIMEOUT = "10s"

# For the statements that follow in the same transaction, and no others, also behind a pooler.
LIMITS = """
    select set_config('lock_timeout', %(lock_timeout)s, true),
           set_config('statement_timeout', %(statement_timeout)s, true)
"""

# What begins or ends a transaction (PostgreSQL's grammar, TransactionStmt).
_TRANSACTIONS_OWN = frozenset(
    ("abort", "begin", "commit", "end", "prepare", "release", "rollback", "savepoint", "start")
)


@dataclass(frozen=True, slots=True)
class PostgresSink:
    """Marks the answer and runs the application's statement in one transaction, so that both happen or neither does.

    The statement's parameters are the fields of `Answer`, with the payload as JSON text:

        PostgresSink("insert into approval (question, answer) values (%(question_id)s, %(value)s)")

    `outcomes` are the endings of which the application hears. Four deliveries run at once, two of one organization.
    Each waits at most 2 s for a lock, and its statement takes at most 10 s; then it is tried again, as after any error
    of the statement.

    Raises InvalidInput for a statement that is empty, or that would end the transaction or begin another.
    """

    statement: LiteralString
    outcomes: frozenset[Outcome] = ANSWERS
    _turns: asyncio.Semaphore = field(
        default_factory=lambda: asyncio.Semaphore(AT_ONCE), init=False, repr=False, compare=False
    )
    _tenant_turns: Turns[str] = field(default_factory=lambda: Turns(OF_A_TENANT), init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        word = _first_word(self.statement)
        if not word:
            raise InvalidInput("PostgresSink has no statement; give it one, such as an insert")
        if word in _TRANSACTIONS_OWN:
            raise InvalidInput(
                f"PostgresSink cannot run {word.upper()}: the mark of the answer belongs to the same transaction"
            )

    async def deliver(self, leased: LeasedAnswer, marks: Marks) -> bool:
        """Deliver within one transaction. Raises DeliveryFailed for what the statement raises."""
        limits = {"lock_timeout": LOCK_TIMEOUT, "statement_timeout": STATEMENT_TIMEOUT}
        tenant = leased.answer.organization_id
        async with self._tenant_turns.turn(tenant), self._turns, marks.transaction() as connection:
            await connection.execute(LIMITS, limits)
            # First: it locks the row, so that no other pod's transaction is under way when the statement runs.
            if not await marks.mark_delivered(leased, connection=connection):
                return False
            await self._run(leased, connection)
        return True

    async def _run(self, leased: LeasedAnswer, connection: Connection) -> None:
        parameters = {**fields_of(leased.answer), "payload": json_of(leased.answer.payload)}
        try:
            # Results in binary are had by the extended protocol alone, which takes one statement and no `; commit`.
            await connection.execute(self.statement, parameters, binary=True)
        except psycopg.Error as error:
            if connection.broken:
                raise
            said = str(error.diag.message_primary or error).strip()
            raise DeliveryFailed(f"the statement of PostgresSink failed: {said}") from error


def _first_word(statement: str) -> str:
    """Return the statement's first word in lower case, empty if it begins with none."""
    rest = statement.lstrip()
    while rest.startswith(("--", "/*")):
        rest = (rest.partition("\n")[2] if rest.startswith("--") else _after_comment(rest)).lstrip()
    word = re.match(r"[a-z(]+", rest, re.IGNORECASE)
    return word[0].lower() if word else ""


def _after_comment(text: str) -> str:
    # Postgres nests comments.
    depth = 0
    for mark in re.finditer(r"/\*|\*/", text):
        depth += 1 if mark[0] == "/*" else -1
        if depth == 0:
            return text[mark.end() :]
    return ""
