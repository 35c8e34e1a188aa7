"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is, from the best to the worst. `unknown`: this role cannot see it, or it could not be read."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, what it means in a sentence with what was measured, and what mends it: commands, SQL or a sentence."""

    verdict: Verdict
    sentence: str
    remedies: tuple[str, ...] = ()


def ok(sentence: str) -> Finding:
    """Return the finding that nothing is wrong."""
    return Finding(Verdict.OK, sentence)


def unknown(sentence: str, *remedies: str) -> Finding:
    """Return the finding that it cannot be judged."""
    return Finding(Verdict.UNKNOWN, sentence, remedies)


def warn(sentence: str, *remedies: str) -> Finding:
    """Return the finding of something that costs, or that may fail later."""
    return Finding(Verdict.WARN, sentence, remedies)


def fail(sentence: str, *remedies: str) -> Finding:
    """Return the finding of something with which pendingctl does not do what it promises."""
    return Finding(Verdict.FAIL, sentence, remedies)


def worst(verdicts: list[Verdict]) -> Verdict:
    """Return the worst of them, ok of none."""
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.OK)
