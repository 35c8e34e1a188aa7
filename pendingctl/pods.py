"""What pods note of themselves, as types. Pure: no I/O, no clock, no SQL."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

BEAT_SECONDS = 10.0
# Three notes that did not come.
ALIVE_SECONDS = 30.0
# How long the row of a pod that died says so.
KEPT = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat:
    """What a pod notes every 10 s: that it lives, and what it holds just then.

    `instance` is this start of the pod in its application: another one may have its name. `connections` are those that
    it serves; `claims`, `cards` and `answers` are under way: clicks, cards to post and edit, endings to deliver.
    """

    instance: UUID
    version: str
    connections: int
    claims: int
    cards: int
    answers: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedPod:
    """A pod by its last note; the lengths of time are by the database's clock."""

    pod: str
    application: str
    version: str
    up_seconds: float
    seen_seconds_ago: float
    connections: int
    claims: int
    cards: int
    answers: int

    @property
    def is_alive(self) -> bool:
        """Whether its last note is no older than it may be."""
        return self.seen_seconds_ago < ALIVE_SECONDS

    @property
    def holds(self) -> bool:
        """Whether anything was under way when it was last seen."""
        return bool(self.claims or self.cards or self.answers)
