"""What `stats` prints for people. Imports rich, as render does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..counts import AGES, Durations, ErrorGroup, LastSweep, LimitKeys, Numbers, Overview, Part, Storage, Trouble
from ..diagnosis.pods import held_by
from ..diagnosis.streams import late_seconds
from ..events.model import RingState
from ..pods import NotedPod
from ..printable import printable
from ..words import age, counted, size, span, until
from .render import one_line, stdout_has_colours

# With the names before it a bar fits into 80 columns.
_BAR = 40
_MOST_GROUPS = 100
_MOST_NAMED = 5
_TROUBLES = {Trouble.DELIVERY: "deliveries", Trouble.CARD: "cards", Trouble.APPEND: "appends"}
_BAD, _HEED = "bold red", "yellow"


def overview_page(overview: Overview, ring: RingState | None) -> RenderableType:
    """Return the overview, which fits into a terminal of 80 columns and 24 lines."""
    numbers, estimated = overview.counts.total, overview.counts.estimated
    table = Table(box=None, show_header=False, show_edge=False, pad_edge=False)
    table.add_column(no_wrap=True, style="bold")
    table.add_column(overflow="fold")
    marks = {part: "~" if part in estimated else "" for part in Part}
    table.add_row("open", _open(numbers, marks))
    for row in _ages(numbers):
        table.add_row("", row)
    table.add_row("cards", _cards(numbers, marks))
    table.add_row("deliveries", _deliveries(numbers, marks[Part.WAITING]))
    if numbers.events_to_append:
        table.add_row("appends", _appends(numbers, marks[Part.WAITING]))
    table.add_row("last hour", _last_hour(numbers, marks[Part.ENDED]))
    times = None if overview.times is None else overview.times.total
    table.add_row("answers in", _times(times, "answer"))
    table.add_row("delivered in", _times(times, "delivery"))
    for name, pods in zip(("pods", ""), _pods(overview.pods), strict=False):
        table.add_row(name, pods)
    table.add_row("last sweep", _sweep(overview.last_sweep))
    table.add_row("table", _storage(overview.storage))
    table.add_row("streams", _streams(ring))
    if overview.limits is not None and overview.limits.keys:
        table.add_row("limits", _limits(overview.limits))
    return table


def _joined(parts: Sequence[tuple[str, str]], none: str) -> Text:
    text = Text(", ").join(Text(part, style) for part, style in parts)
    return text if parts else Text(none)


def _open(numbers: Numbers, marks: Mapping[Part, str]) -> Text:
    mark = marks[Part.OPEN]
    number = numbers.pending + numbers.stale
    parts = [(f"{mark}{counted(number, 'question', 'questions')}", "")] if number else []
    if numbers.oldest_pending_seconds is not None:
        parts.append((f"the oldest {mark}{age(numbers.oldest_pending_seconds)} old", ""))
    if numbers.stale:
        parts.append((f"{mark}{numbers.stale:,} stale", _HEED))
    if numbers.overdue_deadlines:
        parts.append((f"{marks[Part.LATE]}{numbers.overdue_deadlines:,} past their deadline for a minute", _BAD))
    if (soon := numbers.due_within_the_hour - numbers.overdue_deadlines) > 0:
        parts.append((f"{mark}{soon:,} due within the hour", ""))
    return _joined(parts, "no question")


def _ages(numbers: Numbers) -> Iterator[Text]:
    """Return a line for each class of ages, none where nothing is open."""
    most = max(numbers.ages)
    if not most:
        return
    names = [f"under {age(edge)}" for edge in AGES] + ["older"]
    width = len(f"{most:,}")
    has_colours = stdout_has_colours()
    for name, number in zip(names, numbers.ages, strict=True):
        bar = ("█" if has_colours else "#") * max(round(number * _BAR / most), 1 if number else 0)
        style = _HEED if name == "older" else "cyan"
        yield Text.assemble(f"{name.ljust(12)} {number:>{width},} ", (bar, style))


def _cards(numbers: Numbers, marks: Mapping[Part, str]) -> Text:
    late = marks[Part.LATE]
    parts = [(f"{marks[Part.OPEN]}{numbers.cards_to_post:,} to post", "")] if numbers.cards_to_post else []
    if numbers.overdue_cards:
        parts.append((f"{late}{numbers.overdue_cards:,} due for a minute", _BAD))
    if numbers.cards_never_posted:
        parts.append((f"{late}{numbers.cards_never_posted:,} given up (pendingctl list --card never-posted)", _BAD))
    return _joined(parts, "none to post")


def _deliveries(numbers: Numbers, mark: str) -> Text:
    parts: list[tuple[str, str]] = []
    if numbers.undelivered:
        parts.append((f"{mark}{counted(numbers.undelivered, 'answer', 'answers')} to deliver", ""))
    if numbers.stuck:
        parts.append((f"{mark}{numbers.stuck:,} stuck (pendingctl list --state stuck)", _BAD))
    if numbers.endings_to_tell:
        parts.append((f"{mark}{counted(numbers.endings_to_tell, 'other ending', 'other endings')}", ""))
    if numbers.overdue_endings:
        parts.append((f"{mark}{numbers.overdue_endings:,} due for a minute", _BAD))
    if numbers.oldest_undelivered_seconds is not None:
        parts.append((f"the oldest answer {age(numbers.oldest_undelivered_seconds)} old", ""))
    return _joined(parts, "none to do")


def _appends(numbers: Numbers, mark: str) -> Text:
    waiting = counted(numbers.events_to_append, "question waits for its stream", "questions wait for their streams")
    parts = [(f"{mark}{waiting}", "")]
    if numbers.overdue_events:
        parts.append((f"{mark}{numbers.overdue_events:,} due for a minute", _BAD))
    return _joined(parts, "")


def _last_hour(numbers: Numbers, mark: str) -> Text:
    ended = {
        "answered": numbers.answered,
        "defaulted": numbers.defaulted,
        "expired": numbers.expired,
        "withdrawn": numbers.withdrawn,
    }
    return _joined([(f"{mark}{number:,} {how}", "") for how, number in ended.items() if number], "nothing ended")


def _times(durations: Durations | None, what: str) -> Text:
    if durations is None:
        return Text("not known: the trail could not be read")
    if what == "answer":
        number, p50, p95 = durations.answers, durations.answer_p50_seconds, durations.answer_p95_seconds
    else:
        number, p50, p95 = durations.deliveries, durations.delivery_p50_seconds, durations.delivery_p95_seconds
    if p50 is None or p95 is None:
        return Text("not known: none of the last hour among the trail's last entries")
    return Text(f"{span(p50)} (p50), {span(p95)} (p95), of the last {number:,}")


def _pods(pods: Sequence[NotedPod] | None) -> Iterator[Text]:
    """Return a line for those that live, and one for those that died."""
    if pods is None:
        yield Text("not known: what they note could not be read")
        return
    alive, dead = [each for each in pods if each.is_alive], [each for each in pods if not each.is_alive]
    if alive:
        names = sorted({each.pod for each in alive})
        versions = sorted({each.version for each in alive})
        held = held_by(alive)
        whose = "it holds" if len(names) == 1 else "they hold"
        mixed = f"; versions {', '.join(versions)}" if len(versions) > 1 else ""
        yield Text.assemble(
            f"{len(names):,} alive: {_named(names)}{f'; {whose} {held}' if held else ''}", (printable(mixed), _HEED)
        )
    else:
        yield Text.assemble(("none alive", _BAD))
    if dead:
        last = min(each.seen_seconds_ago for each in dead)
        held = held_by(dead)
        since = f"{'the last ' if len(dead) > 1 else ''}{age(last)} ago"
        named = _named(sorted({each.pod for each in dead}))
        yield Text.assemble((f"{len(dead):,} died: {named}, {since}{f', with {held}' if held else ''}", _HEED))


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMED:,} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(map(one_line, names[:_MOST_NAMED])) + more


def _sweep(sweep: LastSweep | None) -> Text:
    if sweep is None:
        return Text("not known: its table could not be read")
    if sweep.seconds_ago is None:
        return Text("no sweep --every has begun a cycle")
    return Text(f"{age(sweep.seconds_ago)} ago" + (f" on {one_line(sweep.pod)}" if sweep.pod else ""))


def _storage(storage: Storage | None) -> Text:
    if storage is None:
        return Text("its size could not be read")
    rows = "" if storage.rows is None else f"~{storage.rows:,} rows, "
    trail = "" if storage.trail_bytes is None else f"; trail {size(storage.trail_bytes)}"
    return Text(f"{rows}{size(storage.bytes)}{trail}")


def _streams(ring: RingState | None) -> Text:
    if ring is None:
        return Text("not known: their tables could not be read")
    about = "" if ring.streams is None else f"~{counted(ring.streams, 'stream', 'streams')}, "
    events = f"{size(ring.event_bytes)} of events" if ring.has_events else "no events"
    text = Text(f"{about}{events}, kept for {age(ring.retention_seconds)}")
    if late := late_seconds(ring):
        text.append(f"; the turn of their ring is {age(late)} late (pendingctl sweep)", _BAD)
    return text


def _limits(limits: LimitKeys) -> Text:
    mark = "~" if limits.is_estimate else ""
    return Text(f"{mark}{counted(limits.keys, 'key', 'keys')}, {size(limits.bytes)}")


def errors_page(errors: Sequence[ErrorGroup]) -> RenderableType:
    """Return two lines for each group: how many, since when and what is next; and the error."""
    if not errors:
        return "nothing that waits has failed"
    lines = []
    for each in errors[:_MOST_GROUPS]:
        what = counted(each.rows, each.trouble.value, _TROUBLES[each.trouble])
        given_up = f", {each.given_up:,} given up" if each.given_up else ""
        due_in = each.next_attempt_seconds
        tried = "" if due_in is None else f", the next attempt {until(timedelta(seconds=due_in))}"
        lines.append(
            Text.assemble(
                (what, _BAD if each.given_up else _HEED),
                f"{given_up}, the oldest {age(each.oldest_seconds)} old{tried}; one is {one_line(each.example)}",
            )
        )
        lines.append(Text(f"  {one_line(each.error)}"))
    if len(errors) > _MOST_GROUPS:
        lines.append(Text(f"and {len(errors) - _MOST_GROUPS:,} more; -o json lists all"))
    return Group(*lines)
