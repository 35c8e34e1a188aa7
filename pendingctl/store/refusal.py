"""Why a click did not win. Pure: it judges a row that the store has found."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..model import Claim, Click, Refusal, RefusalReason, Scope
from ..payload import JsonObject, accepts


@dataclass(frozen=True, slots=True)
class FoundRow:
    """A row as it is looked at after a statement that did not match it."""

    organization_id: str
    connection_id: str
    expected_user_id: str
    entry_payload: JsonObject
    created_at: datetime
    claimed_at: datetime | None
    ask_number: int
    answer: str | None
    delivery_key: str | None
    answered_by: str | None
    withdrawn_at: datetime | None
    is_undelivered: bool
    row_version: str

    @property
    def scope(self) -> Scope:
        """Who may claim it."""
        return Scope(self.organization_id, self.connection_id, self.expected_user_id)

    @property
    def is_withdrawn(self) -> bool:
        """Whether nobody needs the answer any more."""
        return self.claimed_at is not None and self.withdrawn_at is not None

    def repeated_claim(self, id: str) -> Claim:
        """Return the claim that the row holds, told again: who is told so again neither delivers nor edits the card.

        Raises ValueError for a row that is not claimed.
        """
        if self.claimed_at is None:
            raise ValueError(f"question {id!r} is not claimed")
        return Claim(id, self.ask_number, self.entry_payload, self.claimed_at, repeated=True)


def judge(click: Click, found: FoundRow | None) -> Claim | Refusal | None:
    """Return what a click whose claim matched no row is told; None when it would match by now.

    Organization and connection come first, so that a stranger cannot tell a foreign question from an unknown one;
    then the user, whatever the state; then the state. A press that had won is told so again.
    """
    id = click.question_id
    if found is None or (found.organization_id, found.connection_id) != (
        click.organization_id,
        click.connection_id,
    ):
        return Refusal(id, RefusalReason.UNKNOWN_OR_EXPIRED)
    if found.expected_user_id != click.user_id:
        return Refusal(id, RefusalReason.NOT_YOURS)
    if click.ask_number is not None and click.ask_number != found.ask_number:
        # The earlier asking was answered, or there would be no later one; of a later asking this row knows nothing.
        earlier = click.ask_number < found.ask_number
        return Refusal(id, RefusalReason.ALREADY_ANSWERED if earlier else RefusalReason.UNKNOWN_OR_EXPIRED)
    if found.claimed_at is None:
        return None if accepts(found.entry_payload, click.value) else Refusal(id, RefusalReason.INVALID_ANSWER)
    if found.is_withdrawn:
        return Refusal(id, RefusalReason.WITHDRAWN)
    if (found.delivery_key, found.answer) == (click.delivery_key, click.value):
        return found.repeated_claim(id)
    return Refusal(
        id,
        RefusalReason.ALREADY_ANSWERED,
        found.answered_by or found.expected_user_id,
        found.answer,
        claimed_at=found.claimed_at,
    )
