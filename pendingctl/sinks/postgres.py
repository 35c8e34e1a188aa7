"""Answers into a table of the application's own, in the same database: exactly once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

from ..model import LeasedAnswer, encode_payload
from ..store import PendingStore


@dataclass(frozen=True, slots=True)
class PostgresSink:
    """Marks the answer and runs the application's statement in one transaction, so that both are so or neither.

    The statement has the parameters `question_id`, `ask_number`, `value`, `organization_id`, `connection_id`,
    `user_id`, `conversation_id`, `payload` (JSON text) and `claimed_at`:

        PostgresSink("insert into approval (question, answer) values (%(question_id)s, %(value)s)")
    """

    statement: LiteralString

    async def deliver(self, leased: LeasedAnswer, store: PendingStore) -> bool:
        """Deliver within one transaction. Raises what the statement raises, as the store's errors."""
        answer = leased.answer
        async with store.transaction() as connection:
            # First: it locks the row, so that no other pod's transaction is under way when the statement runs.
            if not await store.mark_delivered(leased, connection=connection):
                return False
            await connection.execute(
                self.statement,
                {
                    "question_id": answer.question_id,
                    "ask_number": answer.ask_number,
                    "value": answer.value,
                    "organization_id": answer.organization_id,
                    "connection_id": answer.connection_id,
                    "user_id": answer.user_id,
                    "conversation_id": answer.conversation_id,
                    "payload": encode_payload(answer.payload),
                    "claimed_at": answer.claimed_at,
                },
            )
        return True
