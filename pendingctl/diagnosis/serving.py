"""What the pods of a question's application have to do with it, by what they have noted of themselves. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..inspected import PendingInteraction
from ..pods import NotedPod
from ..words import age, counted

Noted = Sequence[NotedPod] | None
# A pod may have begun, or noted itself, some seconds after it was ready.
_LATE_NOTE = 15.0


@dataclass(frozen=True, slots=True)
class Life:
    """Whether a pod that took something over lives, and when it was last seen."""

    is_alive: bool
    seen_seconds_ago: float


def life_of(pods: Noted, name: str | None, since_seconds: float) -> Life | None:
    """Return what is known of the pod that had this name so long ago; a name may have come again since.

    None where it is not known, also of a pod that has closed in good order.
    """
    of_then = [each for each in pods or () if each.pod == name and each.up_seconds >= since_seconds - _LATE_NOTE]
    if not of_then:
        return None
    last = min(of_then, key=lambda each: each.seen_seconds_ago)
    return Life(last.is_alive, last.seen_seconds_ago)


def nobody_serves(row: PendingInteraction, pods: Noted, *, of_connection: bool = False) -> str:
    """Return that no pod does the work of a question: of its application, or of its connection alone."""
    application = f"application {row.application!r}"
    where = f"{row.organization_id}/{row.connection_id}"
    if not pods:
        # Pods of a version before this one note nothing.
        if of_connection:
            return f"no live pod of {application} seems to serve {where}"
        return f"no pod of {application} seems to be alive"
    alive = sorted({each.pod for each in pods if each.is_alive})
    if not alive:
        last = min(pods, key=lambda each: each.seen_seconds_ago)
        return f"no pod of {application} is alive; the last one, {last.pod}, was seen {age(last.seen_seconds_ago)} ago"
    named = ", ".join(alive[:3]) + (" and others" if len(alive) > 3 else "")
    sentence = f"of {application} {counted(len(alive), 'pod is', 'pods are')} alive ({named})"
    if of_connection:
        return f"{sentence}, and none serves {where}, or they are busy"
    return f"{sentence}, but busy, or slow to reach the database"
