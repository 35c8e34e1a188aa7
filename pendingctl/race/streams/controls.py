"""Streams that are known to be broken, with which the checker is seen to fail. Nothing but a race uses them.

Each breaks one law in the way in which such code is usually written, and names the check that must find it.
"""

from __future__ import annotations

from collections.abc import Mapping

from ...events.ring import Ring
from ...postgres.connections import ConnectionSource
from ..limits.controls import EXPECTED_LIMIT_CHECKS
from . import broken_appends, broken_readers
from .plan import STREAM_IMPLEMENTATIONS
from .racing import RacingStreams

# The check by which each control must be found.
EXPECTED_STREAM_CHECKS: Mapping[str, str] = {
    "max-plus-one": "numbers_without_gaps",
    "serial-cursor": "appends_in_order",
    "read-before-register": "each_event_once",
    "drop-when-full": "jumps_are_announced",
    "no-generation": "another_history_is_a_reset",
    "no-organization": "only_its_organization",
    "notify-in-advance": "nothing_uncommitted",
    "notify-only": "all_arrives",
    "turn-without-truncating-next": "nothing_young_removed",
    "retry-without-expected": "retry_appends_once",
    "end-in-memory": "closed_stays_closed",
    "batch-waits": "lock_holds_up_no_other",
    "xmin-cursor": "nobody_is_delayed",
    **EXPECTED_LIMIT_CHECKS,
}

_STREAMS: Mapping[str, type[RacingStreams]] = {
    "max-plus-one": broken_appends.MaxPlusOne,
    "serial-cursor": broken_appends.SerialCursor,
    "retry-without-expected": broken_appends.RetryWithoutExpected,
    "end-in-memory": broken_appends.EndInMemory,
    "batch-waits": broken_appends.BatchWaits,
    "read-before-register": broken_readers.ReadBeforeRegister,
    "drop-when-full": broken_readers.DropWhenFull,
    "no-generation": broken_readers.NoGeneration,
    "no-organization": broken_readers.NoOrganization,
    "notify-in-advance": broken_readers.NotifyInAdvance,
    "notify-only": broken_readers.NotifyOnly,
    "xmin-cursor": broken_readers.XminCursor,
}

assert set(EXPECTED_STREAM_CHECKS) == set(STREAM_IMPLEMENTATIONS[1:])


def streams_for(
    implementation: str, source: ConnectionSource, *, pod: str, is_waking: bool, listen_dsn: str | None = None
) -> RacingStreams:
    """Return the streams of an implementation that `STREAM_IMPLEMENTATIONS` names."""
    kind = _STREAMS.get(implementation, RacingStreams)
    return kind(source, pod=pod, is_waking=is_waking, listen_dsn=listen_dsn)


def ring_for(implementation: str, source: ConnectionSource, *, pod: str) -> Ring:
    """Return the ring of an implementation."""
    kind = broken_appends.TurnWithoutTruncatingNext if implementation == "turn-without-truncating-next" else Ring
    return kind(source, pod=pod)
