"""Who is held up by what is not theirs: a stream that somebody has locked, readers that stall, a transaction. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..history.history import Outcome
from .facts import Facts
from .history import Append, StruckFault, Tag, Way
from .laws import Finding
from .plan import HARMLESS, LOCKING, StreamFaultKind

# An append that nothing holds up is read within this; in a race on busy processors nearly always within a tenth of it.
PROMPT_SECONDS = 2.0
_PROMPT_NS = round(PROMPT_SECONDS * 1e9)


def lock_holds_up_no_other(facts: Facts) -> Iterator[Finding]:
    """While a stream is locked, what is appended to others is read as soon as ever, together with it too."""
    for fault in facts.history.faults:
        if fault.kind in LOCKING:
            for append, waited in _late(facts, fault):
                yield append.stream, f"{append.name} was read {waited}, beside {fault.stream}, which was locked"


def nobody_is_delayed(facts: Facts) -> Iterator[Finding]:
    """What is appended while some readers stall, during a backup, or beside a transaction is read as soon as ever."""
    for fault in facts.history.faults:
        if fault.kind in HARMLESS:
            for append, waited in _late(facts, fault):
                yield append.stream, f"{append.name} was read {waited}, during the fault {fault.kind}"


def shows_no_delay(facts: Facts) -> Iterator[str]:
    """Yield why faults by which nobody is held up show nothing of that."""
    for fault in facts.history.faults:
        if fault.kind in LOCKING | HARMLESS and fault.landed:
            ways = {append.way for append in _appended_meanwhile(facts, fault)}
            for way in (Way.ALONE, Way.TOGETHER):
                if way not in ways:
                    yield f"nothing was appended this way that the fault {fault.kind} might have held up: {way}"


def _late(facts: Facts, fault: StruckFault) -> Iterator[tuple[Append, str]]:
    """Yield what was appended during a fault and not read in time, and after how long it was."""
    read: dict[str, list[dict[str, int]]] = {}
    for append in _appended_meanwhile(facts, fault):
        if append.stream not in read:
            # Which readers stall is not known, but not all of them do.
            throughout = facts.read_throughout(append.stream, fault.started_ns, fault.ended_ns or 0)
            read[append.stream] = [facts.received] if fault.kind is StreamFaultKind.STALL else throughout
        for received in read[append.stream] or [facts.received]:
            read_ns = received.get(str(Tag(append.stream, append.name, 0)))
            if read_ns is None or read_ns - append.started_ns > _PROMPT_NS:
                yield append, "never" if read_ns is None else f"after {(read_ns - append.started_ns) / 1e9:.1f} s"
                break


def _appended_meanwhile(facts: Facts, fault: StruckFault) -> list[Append]:
    """Return what was appended during a fault, and that it is not to hold up."""
    if fault.ended_ns is None:
        return []
    held_up = {append.transaction for append in facts.history.appends if append.stream == fault.stream} - {None}
    return [
        append
        for append in facts.history.appends
        if append.outcome is not Outcome.REFUSED
        and append.way is not Way.ROLLED_BACK
        and fault.started_ns < append.started_ns < fault.ended_ns - _PROMPT_NS
        and append.stream != fault.stream
        and append.transaction not in held_up
        # Readers that have got the end of a stream come back later.
        and not facts.was_deleted(append.stream, append.started_ns)
    ]
