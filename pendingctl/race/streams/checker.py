"""Whether a history of streams shows that the laws held. Pure: no database, no files, no clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator

from ..history.history import Outcome
from ..verdict.checker import CheckResult, Judgement, Verdict, Violation
from . import delays, laws, reading
from .facts import Facts
from .history import EndingKind, ItemKind, StreamHistory, StruckFault, Way
from .plan import HARMLESS, LEAVING_BEHIND, LOCKING, StreamFaultKind

_LAWS: tuple[Callable[[Facts], Iterator[laws.Finding]], ...] = (
    laws.numbers_without_gaps,
    laws.appends_in_order,
    laws.nothing_young_removed,
    laws.retry_appends_once,
    laws.closed_stays_closed,
    delays.lock_holds_up_no_other,
    delays.nobody_is_delayed,
    laws.nothing_left_behind,
)
_OF_READERS = (
    reading.ONCE,
    reading.JUMPS,
    reading.HISTORIES,
    reading.ORGANIZATIONS,
    reading.UNCOMMITTED,
    reading.all_arrives.__name__,
)

STREAM_CHECKS = (
    laws.numbers_without_gaps.__name__,
    laws.appends_in_order.__name__,
    *_OF_READERS,
    *(law.__name__ for law in _LAWS[2:]),
)


def judge_streams(history: StreamHistory) -> Judgement:
    """Check every law, and whether the history could have broken one."""
    facts = Facts(history)
    violations: defaultdict[str, list[Violation]] = defaultdict(list)
    for law in _LAWS:
        for stream, detail in law(facts):
            violations[law.__name__].append(Violation(law.__name__, stream, detail))
    readings = [reading.read_again(facts, reader) for reader in facts.sessions]
    for stream, detail in reading.all_arrives(facts, readings):
        name = reading.all_arrives.__name__
        violations[name].append(Violation(name, stream, detail))
    for each in readings:
        for name, detail in each.found:
            violations[name].append(Violation(name, each.stream, detail))
    contended = _contended(facts)
    return Judgement(
        tuple(_result(name, tuple(violations[name]), history) for name in STREAM_CHECKS),
        (*history.reasons, *_proves_nothing(facts, contended)),
        contended,
    )


def _result(name: str, violations: tuple[Violation, ...], history: StreamHistory) -> CheckResult:
    if violations:
        return CheckResult(name, Verdict.FAIL, violations)
    struck = {fault.kind for fault in history.faults}
    skipped = {
        laws.nothing_young_removed.__name__: not history.turns,
        delays.lock_holds_up_no_other.__name__: struck.isdisjoint(LOCKING),
        delays.nobody_is_delayed.__name__: struck.isdisjoint(HARMLESS),
    }.get(name, False)
    return CheckResult(name, Verdict.SKIPPED if skipped else Verdict.PASS, ())


def _contended(facts: Facts) -> int:
    """Return to how many streams two pods appended at the same time."""
    by_stream = defaultdict(list)
    for append in facts.history.appends:
        if append.outcome is Outcome.OK:
            by_stream[append.stream].append(append)
    count = 0
    for appends in by_stream.values():
        appends.sort(key=lambda append: append.started_ns)
        until: dict[str, int] = {}
        for append in appends:
            if any(pod != append.pod and ended > append.started_ns for pod, ended in until.items()):
                count += 1
                break
            until[append.pod] = max(until.get(append.pod, 0), append.ended_ns or 0)
    return count


def _proves_nothing(facts: Facts, contended: int) -> Iterator[str]:
    history = facts.history
    if not contended:
        yield "no two pods appended to one stream at the same time; race with more appends"
    ways = {append.way for append in history.appends if append.outcome is Outcome.OK}
    for way in (Way.ALONE, Way.TOGETHER, Way.TRANSACTION, Way.EXPECTED):
        if way not in ways:
            yield f"no append succeeded that was made this way: {way}"
    if not any(append.is_repeated for append in history.appends):
        yield "no append was a repetition"
    ended = {ending.kind for ending in history.endings if ending.outcome is Outcome.OK}
    for kind in EndingKind:
        if kind not in ended:
            yield f"no stream was ended this way: {kind}"
    yield from _readers_prove_nothing(facts)
    for fault in history.faults:
        if not fault.landed:
            yield f"the fault {fault.kind} never landed: {fault.detail or 'it was not struck'}"
    yield from delays.shows_no_delay(facts)
    failed = [
        append for append in history.appends if append.outcome is Outcome.FAILED and append.way is not Way.ROLLED_BACK
    ]
    if failed and not history.faults:
        yield f"appends that failed: {len(failed)}, the first {failed[0].name}: {failed[0].detail}"


def _readers_prove_nothing(facts: Facts) -> Iterator[str]:
    struck = {fault.kind for fault in facts.history.faults}
    got = [(session.stream, item) for session in facts.history.sessions for item in session.items]
    kinds = {item.kind for _, item in got}
    if ItemKind.EVENT not in kinds:
        yield "no reader got an event"
    for fault in facts.history.faults:
        if fault.kind in LEAVING_BEHIND and fault.landed and not _has_shown_a_gap(facts, fault):
            yield f"the ring turned, and no reader got a gap during the fault {fault.kind}"
    if not any(len({session.pod for session in sessions}) > 1 for sessions in facts.sessions.values()):
        yield "no reader came back on another pod"
    if StreamFaultKind.FAILOVER in struck:
        if not facts.lost:
            yield "the failover lost nothing"
        elif not any(facts.find(stream, item) in facts.lost for stream, item in got):
            yield "no reader got what the failover lost"


def _has_shown_a_gap(facts: Facts, fault: StruckFault) -> bool:
    """Whether a reader got a gap after the last turn of a fault, which waits for those that it has left behind."""
    until = fault.ended_ns or 0
    turned = max((turn.ended_ns for turn in facts.history.turns if fault.started_ns < turn.ended_ns < until), default=0)
    return any(
        item.kind is ItemKind.GAP and turned < item.at_ns < until
        for session in facts.history.sessions
        for item in session.items
    )
