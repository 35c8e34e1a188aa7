"""The commands that work on the rows of a list: which rows these are, what they ask, and what they report."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import typer

from ..errors import InvalidInput, NotFound
from ..inspected import PendingSummary
from ..model import Scope
from ..remedied import NotDone, Remedied
from ..store.filters import ALL, Filters, Found, counted_from
from ..words import counted
from . import render
from .confirmation import check_terminal, confirm
from .database import inspection_of, store_of, target_of
from .event_loop import run
from .fields import summary_fields
from .filters import page_of
from .options import Output
from .question_columns import columns_by_name, now_of
from .question_table import question_table

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..store import PendingStore
    from ..store.inspection import Inspection
    from ..store.remedies import Remedies

# A batch is one short transaction; a click on one of its rows waits until that has ended.
BATCH_SIZE = 100
SAMPLE = 5

_WHY_NOT = {
    NotDone.GONE: "gone by now",
    NotDone.ASKED_AGAIN: "asked again meanwhile",
    NotDone.BUSY: "locked by somebody else just then",
    NotDone.OPEN: "still open",
    NotDone.ANSWERED: "answered already",
    NotDone.EXPIRED: "expired",
    NotDone.WITHDRAWN: "withdrawn already",
    NotDone.AWAITED: "waited for, and no longer than until the deadline",
    NotDone.NO_DEADLINE: "without a deadline",
    NotDone.UNDER_WAY: "posted by a pod just now",
    NotDone.BY_CALLER: "shown by whoever stored them",
    NotDone.NOTHING_TO_REPAIR: "with nothing to repair",
}


@dataclass(frozen=True, slots=True)
class Remedy:
    """What a command does to a batch of rows, and its words: "Withdraw 7 questions?", then "7 questions withdrawn".

    `outcome` is what JSON calls a row to which it was done. `fine` are reasons to leave a row that are no failure.
    """

    command: str
    question: str
    done: str
    outcome: str
    apply: Callable[[Remedies, Sequence[PendingSummary]], Awaitable[list[Remedied]]]
    fine: frozenset[NotDone] = frozenset()
    moves_deadlines: bool = False


@dataclass(frozen=True, slots=True)
class _Listed:
    """The filters as of the moment when the first rows were read, these rows, and how many there are."""

    filters: Filters
    sample: list[PendingSummary]
    found: Found

    def amount(self) -> str:
        about = "" if self.found.is_exact else "about "
        return f"{about}{counted(self.found.number, 'question', 'questions')}"

    def in_words(self, width: int) -> RenderableType:
        from rich.console import Group

        rest = "" if len(self.sample) == self.found.number else f", the first {len(self.sample)}"
        table = question_table(self.sample, columns_by_name("id,state,question"), width)
        return Group(f"{self.amount()}{rest}:", table) if self.sample else table


def scope_beside_id(filters: Filters) -> Scope:
    """Return the whole scope that a command takes beside an id.

    Raises InvalidInput where a part is missing, and for a filter that is none.
    """
    organization, connection, user = filters.organization_id, filters.connection_id, filters.expected_user_id
    if organization is None or connection is None or user is None:
        raise InvalidInput("an id needs its whole scope: --org, --connection and --user")
    if filters != Filters(organization_id=organization, connection_id=connection, expected_user_id=user):
        raise InvalidInput("give an id with --org, --connection and --user, or filters; an id takes no other filter")
    return Scope(organization, connection, user)


def check_id_is_not_missing(filters: Filters) -> None:
    """Raise InvalidInput where a whole scope stands alone, as it does beside an id that a script has lost."""
    scope = filters.organization_id, filters.connection_id, filters.expected_user_id
    if None not in scope and filters == Filters(*scope):
        raise InvalidInput(
            "the id is missing; for all of this user's questions add another filter, such as --state pending"
        )


def remedy_listed(
    remedy: Remedy,
    filters: Filters,
    *,
    dsn: str | None,
    max_age: timedelta,
    dry_run: bool,
    yes: bool,
    output: Output,
) -> None:
    """Apply a remedy to all rows that `list` shows with these filters, after it has shown how many, and the first.

    Ends with exit code 1 where one of them was left for a reason that is a failure. Raises InvalidInput without a
    filter, and when it is not confirmed.
    """
    if filters == ALL:
        raise InvalidInput(f"{remedy.command} needs ids, or filters as list has them; else it would take all questions")
    if not dry_run:
        check_terminal(yes=yes)
    listed = run(_listed(dsn, remedy, filters, max_age))
    if dry_run:
        _show_foreseen(listed, output)
        return
    if listed.sample:
        render.show_beside(listed.in_words(render.stderr_width()))
        confirm(f"{remedy.question.format(listed.amount())} on {target_of(dsn)}?", yes=yes)

    async def pages(store: PendingStore) -> AsyncGenerator[Sequence[PendingSummary], None]:
        after, is_last = None, not listed.sample
        while not is_last:
            page = await page_of(store.inspection, listed.filters, after=after, limit=BATCH_SIZE, max_age=max_age)
            yield page.rows
            after, is_last = page.after, page.after is None

    _remedy(remedy, pages, dsn, listed.found.number, output)


def remedy_named(remedy: Remedy, ids: Iterable[str], *, dsn: str | None, dry_run: bool, output: Output) -> None:
    """Apply a remedy to the questions of these ids, or to none of them where one is unknown: NotFound."""

    async def named() -> list[PendingSummary]:
        async with inspection_of(dsn, remedy.command) as inspection:
            return await _named(inspection, ids)

    rows = run(named())
    if dry_run:
        _show_foreseen(_Listed(ALL, rows, Found(len(rows), is_exact=True)), output)
        return

    async def batches(store: PendingStore) -> AsyncGenerator[Sequence[PendingSummary], None]:  # noqa: ARG001
        for begin in range(0, len(rows), BATCH_SIZE):
            yield rows[begin : begin + BATCH_SIZE]

    _remedy(remedy, batches, dsn, len(rows), output)


async def _named(inspection: Inspection, ids: Iterable[str]) -> list[PendingSummary]:
    rows: list[PendingSummary] = []
    unknown: list[str] = []
    for id in dict.fromkeys(ids):
        row = await inspection.get(id)
        if row is None:
            unknown.append(id)
        else:
            rows.append(row)
    if unknown:
        raise NotFound(f"there is no question {', '.join(unknown)}; nothing was done")
    return rows


async def _listed(dsn: str | None, remedy: Remedy, filters: Filters, max_age: timedelta) -> _Listed:
    async with inspection_of(dsn, remedy.command) as inspection:
        page = await page_of(inspection, filters, limit=SAMPLE, max_age=max_age)
        if page.after is None:
            found = Found(len(page.rows), is_exact=True)
        else:
            found = await inspection.count_found(filters, max_age=max_age)
    pinned = counted_from(filters, now_of(page.rows[0])) if page.rows else filters
    return _Listed(pinned, page.rows, found)


def _show_foreseen(listed: _Listed, output: Output) -> None:
    fields = [summary_fields(row) for row in listed.sample]
    document = {"rows": fields, "total": listed.found.number, "total_is_estimate": not listed.found.is_exact}
    render.show_document(output, document, listed.in_words(render.stdout_width()), rows=fields)


class _Tally:
    """How many rows a remedy was applied to, how many were left, and why."""

    def __init__(self, remedy: Remedy) -> None:
        self._remedy = remedy
        self.done = 0
        self.left = Counter[NotDone]()
        self.is_interrupted = False

    @property
    def has_begun(self) -> bool:
        """Whether a batch is done."""
        return bool(self.done or self.left)

    def count(self, became: Sequence[Remedied]) -> None:
        """Count a batch."""
        for each in became:
            if each.not_done is None:
                self.done += 1
            else:
                self.left[each.not_done] += 1

    def fields(self) -> render.Row:
        """Return the JSON fields."""
        return {"done": self.done, "not_done": self.left.total(), "interrupted": self.is_interrupted}

    def in_words(self) -> str:
        """Return all of it in one line."""
        said = f"{counted(self.done, 'question', 'questions')} {self._remedy.done}"
        if self.left:
            why = ", ".join(f"{number:,} {_WHY_NOT[reason]}" for reason, number in self.left.most_common())
            said += f"; {self.left.total():,} not: {why}"
        return said + ("; interrupted, the others are as they were" if self.is_interrupted else "")


def _remedy(
    remedy: Remedy,
    batches: Callable[[PendingStore], AsyncGenerator[Sequence[PendingSummary], None]],
    dsn: str | None,
    total: int,
    output: Output,
) -> None:
    """Apply a remedy batch by batch and print what became of each row; nothing is kept of a batch that is done.

    An interruption waits until the batch that has begun is done: then what is reported is what was done.
    """
    from asyncio import CancelledError

    tally = _Tally(remedy)

    async def applied(write: Callable[[Sequence[render.Row]], None]) -> None:
        async with store_of(dsn, remedy.command) as store, aclosing(batches(store)) as waiting:
            with render.progress(remedy.command, total) as advance:
                async for rows in waiting:
                    became = await _unbroken(remedy.apply(store.remedies, rows), tally)
                    tally.count(became)
                    write([_fields(each, remedy) for each in became])
                    advance(len(rows))
                    if tally.is_interrupted:
                        raise CancelledError

    try:
        with render.streamed_document(output, tally.fields) as write:
            try:
                run(applied(write))
            except (KeyboardInterrupt, SystemExit):
                tally.is_interrupted = True
                raise
    except BaseException:
        if tally.is_interrupted or tally.has_begun:
            render.note(tally.in_words())
        raise
    if output is Output.TABLE:
        render.show_document(output, {}, tally.in_words())
    if tally.left.keys() - remedy.fine:
        raise typer.Exit(1)


async def _unbroken(work: Awaitable[list[Remedied]], tally: _Tally) -> list[Remedied]:
    """Return what a batch has become, also when it is interrupted; its limit is a few seconds."""
    import asyncio

    batch = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(batch)
    except asyncio.CancelledError:
        tally.is_interrupted = True
        return await batch


def _fields(each: Remedied, remedy: Remedy) -> render.Row:
    fields: dict[str, object] = {
        "id": each.id,
        "ask_number": each.ask_number,
        "done": each.not_done is None,
        "outcome": remedy.outcome if each.not_done is None else each.not_done,
    }
    return fields if not remedy.moves_deadlines else {**fields, "expires_at": each.expires_at}
