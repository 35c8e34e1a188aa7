"""What a race prints for people: tables, what broke, the story that shows it, and the verdict as the last line."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..printable import printable
from ..words import counted
from .tables import new_table

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

    from ..race.self_test import SelfTestResult
    from ..race.streams.report import StreamRaceResult
    from ..race.verdict.checker import Violation
    from ..race.verdict.report import Latency, RaceResult

# A broken implementation breaks the same law hundreds of times.
MOST_VIOLATIONS = 10
_BAR_WIDTH = 24
_COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow", "skipped": "dim"}


def race_report(result: RaceResult) -> RenderableType:
    """A race's tables and its verdict."""
    from rich.console import Group
    from rich.text import Text

    # The checks come before the counts: first what the laws say, then how hard they were tested.
    blocks: list[RenderableType] = [_checks(result), _pods(result), _outcomes(result)]
    if result.faults:
        blocks.append(
            _counts("fault", ("planned", "landed"), [(each.kind, each.planned, each.landed) for each in result.faults])
        )
    if result.histogram:
        blocks.append(_histogram(result))
    if result.story:
        blocks.append(_story(result))
    spaced = [part for block in blocks for part in (block, Text(""))]
    # Lines are not wrapped: they are copied from a terminal.
    lines = [Text(line, no_wrap=True, overflow="ignore") for line in _lines(result)]
    return Group(*spaced, *lines, _verdict(result.verdict))


def stream_race_report(result: StreamRaceResult) -> RenderableType:
    """The tables of a race on streams and its verdict."""
    from rich.console import Group
    from rich.text import Text

    blocks: list[RenderableType] = [
        _checks(result),
        _counts("appends", ("",), list(result.appends.items())),
        _counts("readers got", ("",), [(f"{kind}s", number) for kind, number in result.items.items()]),
        _counts("takes from limits", ("",), list(result.takes.items())),
    ]
    if result.faults:
        blocks.append(
            _counts("fault", ("planned", "landed"), [(each.kind, each.planned, each.landed) for each in result.faults])
        )
    spaced = [part for block in blocks for part in (block, Text(""))]
    lines = (
        f"append to receipt ms: {_percentiles(result.latency_ms)}",
        f"streams: {result.contended:,} with appends of two pods at once, {result.sessions:,} subscriptions",
        *_findings(result.violations, result.reasons),
        f"again: {result.again}",
        "a seed replays the plan, not how the appends interleave",
    )
    return Group(
        *spaced, *(Text(printable(line), no_wrap=True, overflow="ignore") for line in lines), _verdict(result.verdict)
    )


def self_test_report(result: SelfTestResult) -> RenderableType:
    """With how many seeds each control was caught, and the verdict."""
    from rich.console import Group
    from rich.text import Text

    shown = new_table()
    for heading in ("implementation", "must be", "seeds"):
        shown.add_column(heading, no_wrap=True)
    correct = result.correct
    shown.add_row(
        "correct", "passed", _coloured(f"{correct.passed} of {correct.seeds}", correct.passed == correct.seeds)
    )
    for control in result.controls:
        caught = _coloured(f"{control.caught} of {control.seeds}", control.caught > 0)
        shown.add_row(control.implementation, f"caught by {control.expected_check}", caught)
    said = [Text(printable(f"correct, {each}")) for each in result.correct.said[:MOST_VIOLATIONS]]
    return Group(shown, Text(""), *said, _verdict(result.verdict))


def _lines(result: RaceResult) -> list[str]:
    return [
        printable(line)
        for line in (
            f"claim latency ms: {_percentiles(result.latency_ms)}",
            f"{result.attempts_per_second:,.0f} attempts/s, {result.wins_per_second:,.0f} wins/s",
            f"questions: {result.winners:,} of {result.questions:,} won, {result.contended:,} fought for",
            *_findings(result.violations, result.reasons),
            f"again: {result.again}",
            "a seed replays the plan, not how the clicks interleave",
        )
    ]


def _findings(violations: Sequence[Violation], reasons: Sequence[str]) -> list[str]:
    shown = violations[:MOST_VIOLATIONS]
    more = len(violations) - len(shown)
    return [
        *(f"violation: {each.law} {each.question_id or ''}: {each.detail}" for each in shown),
        *([f"violation: and {more:,} more, see -o json"] if more > 0 else []),
        *(f"inconclusive: {reason}" for reason in reasons),
    ]


def _checks(result: RaceResult | StreamRaceResult) -> Table:
    from rich.text import Text

    shown = new_table()
    shown.add_column("check")
    shown.add_column("verdict")
    for check in result.checks:
        more = f", {counted(len(check.violations), 'violation', 'violations')}" if check.violations else ""
        shown.add_row(check.name, Text(check.verdict + more, _COLOURS[check.verdict]))
    return shown


def _pods(result: RaceResult) -> Table:
    return _counts("pod", ("clicks", "wins"), [(pod.name, pod.clicks, pod.wins) for pod in result.pods])


def _outcomes(result: RaceResult) -> Table:
    return _counts("outcome", ("clicks",), [(name.replace("_", " "), n) for name, n in result.outcomes.items()])


def _histogram(result: RaceResult) -> Table:
    most = max(each.claims for each in result.histogram)
    shown = new_table()
    for heading in ("claims that took", "", ""):
        shown.add_column(heading, justify="left" if heading else "right")
    for each in result.histogram:
        end = "longer" if each.up_to_ms is None else f"up to {each.up_to_ms:g} ms"
        shown.add_row(end, f"{each.claims:,}", "█" * round(_BAR_WIDTH * each.claims / most))
    shown.columns[2].justify = "left"
    return shown


def _story(result: RaceResult) -> Table:
    """The operations of one question in order, a lane per pod."""
    from rich.text import Text

    lanes = list(dict.fromkeys(line.pod for line in result.story))
    shown = new_table()
    shown.add_column("ms", no_wrap=True, justify="right")
    for lane in lanes:
        shown.add_column(lane, overflow="fold")
    for line in result.story:
        end = "…" if line.to_ms is None else f"{line.to_ms:.1f}"
        text = Text(printable(f"{line.what} → {line.outcome}{' ★' if line.is_winner else ''}"))
        if line.is_winner:
            text.stylize("bold")
        shown.add_row(f"{line.from_ms:.1f}–{end}", *(text if lane == line.pod else "" for lane in lanes))
    shown.caption = "★ the stored winner"
    shown.caption_justify = "left"
    return shown


def _counts(name: str, columns: Sequence[str], rows: Sequence[tuple[str, *tuple[int, ...]]]) -> Table:
    shown = new_table()
    shown.add_column(name)
    for column in columns:
        shown.add_column(column, justify="right")
    for label, *counts in rows:
        shown.add_row(label, *(f"{count:,}" for count in counts))
    return shown


def _percentiles(took: Latency) -> str:
    named = {"p50": took.p50, "p95": took.p95, "p99": took.p99, "max": took.max}
    return ", ".join(f"{name} {'—' if value is None else f'{value:.1f}'}" for name, value in named.items())


def _coloured(text: str, good: bool) -> Text:
    from rich.text import Text

    return Text(text, _COLOURS["pass" if good else "fail"])


def _verdict(verdict: str) -> Text:
    from rich.text import Text

    return Text.assemble("verdict: ", (verdict, f"bold {_COLOURS[verdict]}"))
