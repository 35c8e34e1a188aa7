"""How many rows there are. Pure: no I/O, no clock, no SQL."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationCounts:
    """How many questions of one organization wait for an answer, and how many answers for their delivery."""

    organization_id: str
    pending: int
    stale: int
    undelivered: int
    stuck: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How many rows there are in each state, and where.

    `cards_to_post` are those of open questions that a pod is to post, now or later; `cards_never_posted` those that the
    pods have given up.
    """

    pending: int
    claimed: int
    withdrawn: int
    expired: int
    defaulted: int
    stale: int
    undelivered: int
    stuck: int
    endings_to_tell: int
    due_within_the_hour: int
    cards_to_post: int
    cards_never_posted: int
    oldest_pending_seconds: float | None
    oldest_undelivered_seconds: float | None
    organizations: tuple[OrganizationCounts, ...]
