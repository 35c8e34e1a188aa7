"""Answers into a table of the application's own, in the same database: exactly once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import LiteralString

from ..model import LeasedAnswer
from ..payload import encode_payload
from .protocol import Marks


@dataclass(frozen=True, slots=True)
class PostgresSink:
    """Marks the answer and runs the application's statement in one transaction, so that both happen or neither does.

    The statement's parameters are the fields of `Answer`, with the payload as JSON text:

        PostgresSink("insert into approval (question, answer) values (%(question_id)s, %(value)s)")
    """

    statement: LiteralString

    async def deliver(self, leased: LeasedAnswer, marks: Marks) -> bool:
        """Deliver within one transaction. Raises what the statement raises, as the store's errors."""
        async with marks.transaction() as connection:
            # First: it locks the row, so that no other pod's transaction is under way when the statement runs.
            if not await marks.mark_delivered(leased, connection=connection):
                return False
            answer = {**asdict(leased.answer), "payload": encode_payload(leased.answer.payload)}
            await connection.execute(self.statement, answer)
        return True
