"""What is known of the ring of tables that holds the events of streams."""

from __future__ import annotations

from dataclasses import dataclass

from ..events.model import RingState
from ..words import age, size
from .findings import Finding, fail, ok, warn

# Sweeps that turn the ring are minutes apart, and a backup may hold one up.
LATE_TURN_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class Ring:
    """How the ring stands, None without its row, and which of its tables are no part of it."""

    state: RingState | None
    missing: tuple[int, ...]


def late_seconds(state: RingState) -> float:
    """For how long a turn has been due; 0 where it is not, or not for so long that anything is wrong."""
    late = (state.turned_seconds_ago or 0.0) - state.turn_every_seconds
    return late if late >= LATE_TURN_SECONDS else 0.0


def judge_ring(facts: Ring) -> Finding:
    """Whether events can be appended, and leave once they are older than the retention."""
    if facts.state is None:
        return fail(
            "the row of table pending_stream_ring is gone: nothing can be appended to a stream",
            "insert into pending_stream_ring default values",
        )
    if facts.missing:
        tables = [f"pending_stream_event_{slot}" for slot in facts.missing]
        return fail(
            f"{', '.join(tables)} {'is' if len(tables) == 1 else 'are'} no part of pending_stream_event: "
            "where the ring comes there, nothing can be appended",
            *(
                f"alter table pending_stream_event attach partition {table} for values in ({slot})"
                for slot, table in zip(facts.missing, tables, strict=True)
            ),
            "of a table that is gone altogether, create it as schema.sql has it",
        )
    if not facts.state.has_events:
        return ok("the ring of streams holds no event")
    kept = f"{size(facts.state.event_bytes)} of events, kept for {age(facts.state.retention_seconds)}"
    if late := late_seconds(facts.state):
        return warn(
            f"the turn of the ring of streams is {age(late)} late, and its tables grow: {kept}",
            "pendingctl sweep",
            "from then on by cron, or beside a pod: pendingctl sweep --every 5m",
            "if it stays late, something reads or writes the next table, as a backup does: see locks and transactions",
        )
    return ok(f"the ring of streams turns in time: {kept}")
