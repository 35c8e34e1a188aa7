"""What is known of the pods: by what they note of themselves, or else by their sessions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..pods import NotedPod
from ..words import age, counted
from .findings import Finding, fail, ok, unknown, warn
from .work import LATE_SECONDS, Due

# How open_pool names a pod's sessions: with the version and the host.
POD = "pendingctl pod "

_FINISH = "finish the roll-out"


@dataclass(frozen=True, slots=True)
class PodSessions:
    """Sessions of one name, as a pool opens them unless the connection string has a name of its own."""

    application_name: str
    sessions: int


@dataclass(frozen=True, slots=True)
class Pods:
    """What pods have noted, their sessions, and what rows ask of them; None is what cannot be read."""

    noted: Sequence[NotedPod] | None
    sessions: Sequence[PodSessions]
    due: Sequence[Due] | None


def judge_pods(facts: Pods) -> Finding:
    """Which pods are alive, whether they are of one version, and which have died with what they held."""
    noted = facts.noted or ()
    alive, dead = [each for each in noted if each.is_alive], [each for each in noted if not each.is_alive]
    if alive:
        return _judge_alive(alive, dead, facts.sessions)
    late = max((each.overdue_seconds or 0 for each in facts.due or ()), default=0.0)
    if late >= LATE_SECONDS and (dead or not facts.sessions):
        said = f"no pod is alive, and something has been due for {age(late)}"
        return fail(f"{said}; {_died(dead)}" if dead else said, "start the pods", *_why(dead))
    if dead:
        return warn(f"no pod is alive; {_died(dead)}", "start the pods", *_why(dead))
    if facts.sessions:
        return _judge_sessions(facts.sessions)
    return unknown(
        "no pod has noted within the last hour that it lives, and no session is named as a pod's",
        "look for the pods where they run: those of a version before this one note nothing",
    )


def _judge_alive(alive: Sequence[NotedPod], dead: Sequence[NotedPod], sessions: Sequence[PodSessions]) -> Finding:
    names = sorted({each.pod for each in alive})
    held = held_by(alive)
    sentence = f"{counted(len(names), 'pod is', 'pods are')} alive: {_named(names)}" + (
        f"; {'it holds' if len(names) == 1 else 'they hold'} {held}" if held else ""
    )
    versions = sorted({each.version for each in alive} | {version for version, _ in map(_version_and_host, sessions)})
    if len(versions) > 1:
        return warn(f"{sentence}; {_mixed(versions)}", _FINISH)
    if any(each.holds for each in dead):
        return warn(f"{sentence}; {_died(dead)}; the others take that over when its leases have run out", *_why(dead))
    return ok(f"{sentence}; version {versions[0]}" + (f"; {_died(dead)}" if dead else ""))


def held_by(pods: Iterable[NotedPod]) -> str:
    """Return in words what pods hold together; nothing if they hold nothing."""
    pods = list(pods)
    held = (
        (sum(each.claims for each in pods), "claim", "claims"),
        (sum(each.cards for each in pods), "card", "cards"),
        (sum(each.answers for each in pods), "answer", "answers"),
    )
    return ", ".join(counted(number, one, many) for number, one, many in held if number)


def _died(dead: Sequence[NotedPod]) -> str:
    """A pod that closes takes its note away: one whose note has grown old was ended, or hangs."""
    names = sorted({each.pod for each in dead})
    held = held_by(dead)
    since = min(each.seen_seconds_ago for each in dead)
    return f"{_named(names)} died{', the last' if len(dead) > 1 else ''} {age(since)} ago" + f" with {held}" * bool(
        held
    )


def _why(dead: Sequence[NotedPod]) -> list[str]:
    if not dead:
        return []
    names = _named(sorted({each.pod for each in dead}))
    return [f"look where they ran for how {names} ended without closing: killed, out of memory, or hung"]


def _judge_sessions(sessions: Sequence[PodSessions]) -> Finding:
    found = [_version_and_host(each) for each in sessions]
    versions = sorted({version for version, _ in found})
    hosts = sorted({host for _, host in found})
    number = counted(sum(each.sessions for each in sessions), "session", "sessions")
    sentence = f"{counted(len(hosts), 'host has', 'hosts have')} pods with {number}: {_named(hosts)}"
    if len(versions) > 1:
        return warn(f"{sentence}; {_mixed(versions)}", _FINISH)
    return ok(f"{sentence}; version {versions[0]}")


def _version_and_host(sessions: PodSessions) -> tuple[str, str]:
    version, _, host = sessions.application_name.removeprefix(POD).partition(" ")
    return version, host


def _mixed(versions: Sequence[str]) -> str:
    return f"versions {', '.join(versions)} run beside each other, and the older ones do not know all columns"


def _named(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
