"""What doctor tells people: the worst at the end, where a terminal shows it. Imports rich, as render does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Group
from rich.text import Text

from ..diagnosis.findings import Verdict
from ..doctor import Check
from .render import one_line

_STYLES = {Verdict.OK: "green", Verdict.UNKNOWN: "cyan", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}
_VERDICT = max(len(verdict) for verdict in Verdict) + 2
_NAME = len("transactions") + 2
_ARROW = "→ "


def report(checks: Sequence[Check], width: int) -> Group:
    """Return a line for each check: verdict, name, and the finding, which goes on below itself if it is long.

    What mends it stands below, each remedy after an arrow, and the number of each verdict at the end. Nothing is cut: a
    remedy that is longer than a line is left to the terminal to wrap, which keeps it whole for whoever copies it.
    """
    order = list(Verdict)
    lines = [
        line
        for check in sorted(checks, key=lambda check: order.index(check.finding.verdict))
        for line in _lines(check, width)
    ]
    numbers = [
        f"{number} {verdict}"
        for verdict in reversed(Verdict)
        if (number := sum(each.finding.verdict is verdict for each in checks))
    ]
    return Group(*lines, Text(""), _whole(Text(f"{len(checks)} checks: {', '.join(numbers)}")))


def _lines(check: Check, width: int) -> Iterator[Text]:
    finding = check.finding
    room = max(width - _VERDICT - _NAME, 20)
    head = Text.assemble((finding.verdict.ljust(_VERDICT), _STYLES[finding.verdict]), (check.name.ljust(_NAME), "bold"))
    for part in _wrapped(one_line(finding.sentence), room):
        yield _whole(head + part)
        head = Text(" " * (_VERDICT + _NAME))
    for remedy in finding.remedies:
        yield _whole(Text.assemble(" " * _VERDICT, (_ARROW, "bold"), one_line(remedy)))


def _wrapped(text: str, width: int) -> Iterator[str]:
    """Break a text between words; a word that is longer than a line is left to the terminal, whole."""
    line = ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
    yield line


def _whole(line: Text) -> Text:
    line.no_wrap, line.overflow = True, "ignore"
    return line
