"""Claims that are known to be wrong, so that the checker can be seen to fail. No other command reaches them."""

from __future__ import annotations

from ..database import ConnectionSource, translated_errors
from ..model import Claim, Click, Refusal
from ..store import PendingStore

_SELECT_UNCLAIMED = """
    select 1
    from pending_interactions
    where id = %(id)s
      and organization_id = %(organization_id)s
      and connection_id = %(connection_id)s
      and expected_user_id = %(expected_user_id)s
      and claimed_at is null
"""

_UPDATE_WITHOUT_LOOKING_AGAIN = """
    update pending_interactions
    set claimed_at = now(), answer = %(answer)s, delivery_key = %(delivery_key)s
    where id = %(id)s
    returning ask_number, entry_payload, claimed_at
"""


class SelectThenUpdateStore(PendingStore):
    """Selects the row first and then updates it: between the two, everybody else has selected it as well."""

    async def claim(self, click: Click) -> Claim | Refusal:
        """Claim in two statements; who comes late is refused by the correct claim, which matches no row then."""
        asked = {
            "id": click.question_id,
            "organization_id": click.organization_id,
            "connection_id": click.connection_id,
            "expected_user_id": click.user_id,
            "answer": click.value,
            "delivery_key": click.delivery_key,
        }
        with translated_errors():
            async with self._source.connection() as connection:
                seen = await (await connection.execute(_SELECT_UNCLAIMED, asked)).fetchone()
                if seen is not None:
                    won = await (await connection.execute(_UPDATE_WITHOUT_LOOKING_AGAIN, asked)).fetchone()
                    if won is not None:
                        return Claim(click.question_id, *won)
        return await super().claim(click)


def store_for(implementation: str, source: ConnectionSource) -> PendingStore:
    """Return the store of the correct or of a broken implementation; `plan.IMPLEMENTATIONS` names them."""
    match implementation:
        case "correct":
            return PendingStore(source)
        case "select-then-update":
            return SelectThenUpdateStore(source)
        case _:
            raise ValueError(f"no implementation {implementation!r}")
