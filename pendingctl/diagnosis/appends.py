"""What is the matter with a question's stream: that something is not appended to it. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta

from ..inspected import PendingInteraction
from ..words import age, counted
from . import remedies
from .askings import due_in, ended_how
from .findings import Finding, warn
from .serving import Noted, nobody_serves
from .work import LATE_SECONDS

_LATE = timedelta(seconds=LATE_SECONDS)


def judge_stream(row: PendingInteraction, now: datetime, pods: Noted) -> Finding | None:
    """Return why a question's stream lacks what became of it; None where it lacks nothing, or only for a moment."""
    happened = "its card was posted" if row.outcome is None else ended_how(row, now)
    stream = "the stream of a former asking" if row.stream is None else f"its stream {row.stream}"
    due = row.stream_due_at
    if due is None:
        if row.stream_error is None:
            return None
        return warn(
            f"{happened}, and {stream} lacks that for good: {row.stream_error}", "name another stream when you ask"
        )
    error = f"; the last error: {row.stream_error}" if row.stream_error else ""
    if now - due >= _LATE:
        return warn(
            f"{happened}, and nobody appends that to {stream}: it has been due for {age(now - due)}; "
            f"{nobody_serves(row, pods)}{error}",
            f"{remedies.start_pods(row.application)}, with InteractionBridge(…, streams=Streams(pool))",
            remedies.DOCTOR,
        )
    if row.stream_error is None and row.stream_attempts <= 1:
        return None
    tries = counted(row.stream_attempts, "attempt", "attempts")
    return warn(
        f"{happened}, and that is not on {stream} yet: {tries} so far, and the next one is due "
        f"{due_in(due, now)}{error}",
        "the pods try again by themselves; for who has locked the stream:",
        remedies.DOCTOR,
    )
