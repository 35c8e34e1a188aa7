"""A store that notes what became of each claim, while the bridge uses it as any other store."""

from __future__ import annotations

import asyncio
import time
from contextvars import ContextVar
from dataclasses import dataclass, field

from psycopg_pool import PoolTimeout

from ..errors import DatabaseUnreachable, PendingctlError
from ..model import Claim, Click, Refusal, RefusalReason
from ..store import PendingStore
from .history import Outcome, Told

_REFUSALS = {
    RefusalReason.ALREADY_ANSWERED: Outcome.ALREADY_ANSWERED,
    RefusalReason.NOT_YOURS: Outcome.NOT_YOURS,
    RefusalReason.UNKNOWN_OR_EXPIRED: Outcome.UNKNOWN_OR_EXPIRED,
}


@dataclass(slots=True)
class Note:
    """What is known of one claim; `ended` is set with the last of it."""

    started_ns: int | None = None
    ended_ns: int | None = None
    outcome: Outcome = Outcome.CANNOT_SERVE
    told: Told = field(default_factory=Told)
    detail: str = ""
    ended: asyncio.Event = field(default_factory=asyncio.Event)


# The bridge claims in a task of its own, which inherits the context of the click that caused it.
noting: ContextVar[Note] = ContextVar("noting")


class RecordingStore(PendingStore):
    """Claims through another store and writes what happened into the note of the click's context."""

    def __init__(self, inner: PendingStore) -> None:
        super().__init__(inner._source)
        self._inner = inner

    async def claim(self, click: Click) -> Claim | Refusal:
        """Claim as the other store does, its errors included."""
        note = noting.get()
        note.outcome = Outcome.UNKNOWN
        note.started_ns = time.monotonic_ns()
        try:
            result = await self._inner.claim(click)
        except PendingctlError as error:
            note.outcome, note.detail = outcome_of_error(error), str(error)
            raise
        except BaseException as error:
            note.detail = type(error).__name__
            raise
        else:
            note.outcome, note.told = outcome_of(result)
            return result
        finally:
            note.ended_ns = time.monotonic_ns()
            note.ended.set()


def outcome_of(result: Claim | Refusal) -> tuple[Outcome, Told]:
    """Return how a claim ended and what was told."""
    if isinstance(result, Claim):
        outcome = Outcome.REPEATED if result.repeated else Outcome.WON
        return outcome, Told(claimed_at=result.claimed_at, payload=result.payload)
    return _REFUSALS[result.reason], Told(result.answered_by, result.answer, result.claimed_at)


def outcome_of_error(error: PendingctlError) -> Outcome:
    """Return whether a claim that raised was surely not applied: a connection that was lost may have committed."""
    if isinstance(error, DatabaseUnreachable) and not isinstance(error.__cause__, PoolTimeout):
        return Outcome.UNKNOWN
    return Outcome.FAILED
