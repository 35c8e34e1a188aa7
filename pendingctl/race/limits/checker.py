"""Whether what was taken from limits in a race shows that the laws held. Pure: no database, no files, no clock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from ..verdict.checker import CheckResult, Judgement, Verdict, Violation
from . import laws
from .facts import KeyFacts, keys_of
from .history import LimitHistory, Take, TakeOutcome

_LAWS: tuple[Callable[[KeyFacts], Iterator[str]], ...] = (
    laws.limit_never_exceeded,
    laws.no_false_denial,
    laws.denial_writes_nothing,
    laws.clock_set_back_costs_one_burst,
)

LIMIT_CHECKS = tuple(law.__name__ for law in _LAWS)


def judge_limits(history: LimitHistory, streams: Judgement) -> Judgement:
    """Return a judgement of a race's streams with that of its limits: every law, and what proves nothing."""
    keys = keys_of(history)
    checks = [
        _result(
            law.__name__,
            tuple(Violation(law.__name__, facts.label, detail) for facts in keys for detail in law(facts)),
            history,
        )
        for law in _LAWS
    ]
    return replace(
        streams, checks=(*streams.checks, *checks), reasons=(*streams.reasons, *_proves_nothing(history, keys))
    )


def _result(name: str, violations: tuple[Violation, ...], history: LimitHistory) -> CheckResult:
    if violations:
        return CheckResult(name, Verdict.FAIL, violations)
    skipped = name == laws.clock_set_back_costs_one_burst.__name__ and not history.set_back
    return CheckResult(name, Verdict.SKIPPED if skipped else Verdict.PASS, ())


def _proves_nothing(history: LimitHistory, keys: list[KeyFacts]) -> Iterator[str]:
    outcomes = {take.outcome for take in history.takes}
    for outcome in (TakeOutcome.ALLOWED, TakeOutcome.DENIED):
        if outcome not in outcomes:
            yield f"no take from a limit was {outcome}"
    if not any(_is_fought_for(facts) for facts in keys):
        yield "no two pods took from one key at the same time"
    if not any(_has_asked(take) for facts in keys for pair in laws.unchanged(facts) for take in pair.denials):
        yield "no denial that asked the database came between two looks at its row"
    for set_back in history.set_back:
        if all(facts.noticed_us(set_back) is None for facts in keys):
            yield "nothing was taken from a key after the clock was set back"
    moments = [(take.began, take.ended) for take in history.takes if take.ended is not None]
    if any(ended.server == began.server and ended.at_us < began.at_us for began, ended in moments):
        yield "the database's own clock was set back meanwhile; race again"


def _has_asked(take: Take) -> bool:
    return take.is_new and take.outcome is TakeOutcome.DENIED


def _is_fought_for(facts: KeyFacts) -> bool:
    until: dict[str, int] = {}
    for take in facts.takes:
        if any(pod != take.pod and ended > take.began.at_us for pod, ended in until.items()):
            return True
        if take.ended is not None:
            until[take.pod] = max(until.get(take.pod, 0), take.ended.at_us)
    return False
