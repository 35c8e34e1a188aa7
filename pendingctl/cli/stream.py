"""pendingctl stream: append to event streams, follow, list, show, close and delete them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from io import BufferedIOBase
from typing import Annotated

import typer

from ..errors import InvalidInput
from ..events.model import MAX_EVENT_BYTES, Appended, NewEvent, Stream, StreamDetails, StreamName
from ..words import counted
from . import render
from .confirmation import confirm
from .database import streams_of, target_of
from .event_loop import interruptible_call, run
from .options import (
    DryRunOption,
    DsnOption,
    OptionalOrganization,
    OrganizationOption,
    Output,
    OutputOption,
    YesOption,
)
from .standard_input import standard_input
from .stream_follow import follow

# What is appended at once of lines that come in: what is there, and no more than this many bytes.
_CHUNK_BYTES = 1024 * 1024

StreamArgument = Annotated[str, typer.Argument(metavar="STREAM", show_default=False, help="The stream's name.")]

stream = typer.Typer(
    help="Append to event streams, follow, list, show, close and delete them.",
    epilog="Example: pendingctl stream append talk-42 --org acme 'the first words'",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
)


stream.command()(follow)


@stream.command()
def append(
    name: StreamArgument,
    organization: OrganizationOption,
    data: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[DATA]...", show_default=False, help="The data of an event each. Without any, the lines of stdin."
        ),
    ] = None,
    type: Annotated[str, typer.Option("--type", metavar="TYPE", help="The events' type.")] = "message",
    expected: Annotated[
        int | None,
        typer.Option(
            "--expected",
            metavar="N",
            min=0,
            show_default=False,
            help="Append only if N is the last event's number; all at once, so that a repetition appends nothing.",
        ),
    ] = None,
    dsn: DsnOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Append events to a stream, which the first one creates.

    Lines of stdin are appended as they come in; blank ones are left out.

    Example: pendingctl stream append talk-42 --org acme --type token 'the first words'
    """
    target = StreamName(organization, name)

    async def appending() -> tuple[list[Appended], int]:
        # The first and the last alone: lines may come in for weeks.
        done: list[Appended] = []
        number = 0
        async with streams_of(dsn, "stream append") as streams:
            if expected is not None:
                events = _events(data, type) if data else _all_events_of_stdin(type)
                return [await streams.append(target, events, expected=expected)], len(events)
            for events in [_events(data, type)] if data else _events_of_stdin(type):
                done[1:] = [await streams.append(target, events)]
                number += len(events)
                await streams.settled()
        return done, number

    done, number = run(appending())
    if not done:
        raise InvalidInput("stdin has no line that is not blank; nothing was appended")
    fields = {
        "organization_id": organization,
        "name": name,
        "first_seq": done[0].first_seq,
        "last_seq": done[-1].last_seq,
        "events": number,
        "repeated": done[0].is_repeated,
        "at": done[-1].at,
        "cursor": str(done[-1].cursor),
    }
    how = "had appended" if done[0].is_repeated else "appended"
    render.show_document(output, fields, f"{how} {counted(number, 'event', 'events')} to {name}: {_numbers(done)}")


def _numbers(done: Sequence[Appended]) -> str:
    first, last = done[0].first_seq, done[-1].last_seq
    return str(first) if first == last else f"{first} to {last}"


def _events(data: Sequence[str], type: str) -> list[NewEvent]:
    return [NewEvent(type, each) for each in data]


def _all_events_of_stdin(type: str) -> list[NewEvent]:
    """Return the events of all lines, which are to be appended at once."""
    from ..events.appending import check_events

    events: list[NewEvent] = []
    for part in _events_of_stdin(type):
        events += part
        # Before the rest is read: it may have no end.
        check_events(events)
    return events


def _events_of_stdin(type: str) -> Iterator[list[NewEvent]]:
    """Yield the events of the lines that are there, again and again, and as many as can be appended at once."""
    with standard_input() as stdin:
        yield from _events_of_lines(stdin, type)


def _events_of_lines(stdin: BufferedIOBase, type: str) -> Iterator[list[NewEvent]]:
    from ..events.appending import MAX_EVENTS

    rest, number = b"", 0
    while True:
        chunk = interruptible_call(partial(stdin.read1, _CHUNK_BYTES))
        *lines, rest = (rest + chunk).split(b"\n") if chunk else [rest, b""]
        events = [event for place, line in enumerate(lines, number + 1) for event in _events_of(line, place, type)]
        number += len(lines)
        if len(rest.removesuffix(b"\r")) > MAX_EVENT_BYTES:
            raise InvalidInput(
                f"line {number + 1} of stdin has more than {MAX_EVENT_BYTES:,} bytes; the lines before may be appended"
            )
        for first in range(0, len(events), MAX_EVENTS):
            yield events[first : first + MAX_EVENTS]
        if not chunk:
            return


def _events_of(line: bytes, number: int, type: str) -> list[NewEvent]:
    """Return the event of a line; none of a blank one."""
    if not line.strip():
        return []
    try:
        return [NewEvent(type, line.removesuffix(b"\r").decode())]
    except (InvalidInput, UnicodeDecodeError) as error:
        said = error if isinstance(error, InvalidInput) else "it is not UTF-8"
        raise InvalidInput(f"line {number} of stdin: {said}; the lines before may be appended") from None


@stream.command(name="list")
def list_streams(
    organization: OptionalOrganization = None,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="CURSOR", show_default=False, help="Go on where the list before has ended."),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", metavar="N", min=1, max=9_999, help="At most N streams.")] = 100,
    dsn: DsnOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List streams, by organization and name.

    Example: pendingctl stream list --org acme
    """

    async def listed() -> list[Stream]:
        async with streams_of(dsn, "stream list") as streams:
            return await streams.list(organization, after=_name_of(after), limit=limit + 1)

    found = run(listed())
    shown, more = found[:limit], len(found) > limit
    following = _cursor_of(shown[-1].name) if more else None
    rows = [_fields(each) for each in shown]
    table: render.Text = _table(shown) if output is Output.TABLE else ""
    render.show_document(output, {"rows": rows, "after": following}, table, rows=rows)
    if following is not None and output is not Output.JSON:
        render.note(f"there are more; for the next ones add --after {following}")


def _cursor_of(name: StreamName) -> str:
    return f"{name.name}@{name.organization_id}"


def _name_of(cursor: str | None) -> StreamName | None:
    if cursor is None:
        return None
    name, at, organization = cursor.partition("@")
    if not at:
        raise InvalidInput("--after: this is no cursor of stream list; use the one that the list before has ended with")
    return StreamName.stored(organization, name)


def _fields(each: Stream) -> dict[str, object]:
    return {
        "organization_id": each.name.organization_id,
        "name": each.name.name,
        "last_seq": each.last_seq,
        "last_at": each.last_at,
        "created_at": each.created_at,
        "closed_at": each.closed_at,
        "cursor": str(each.cursor),
    }


def _table(found: Sequence[Stream]) -> render.Text:
    if not found:
        return "no streams"
    from rich.text import Text

    from .tables import new_table

    table = new_table()
    table.add_column("stream", overflow="fold", no_wrap=False)
    table.add_column("organization", overflow="fold")
    table.add_column("events", justify="right", no_wrap=True)
    table.add_column("last", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for each in found:
        table.add_row(
            Text(render.one_line(each.name.name)),
            Text(render.one_line(each.name.organization_id)),
            f"{each.last_seq:,}",
            each.last_at.isoformat(timespec="seconds"),
            "open" if each.closed_at is None else "closed",
        )
    return table


@stream.command()
def show(
    name: StreamArgument,
    organization: OrganizationOption,
    dsn: DsnOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show a stream, and which of its events are still there.

    Example: pendingctl stream show talk-42 --org acme
    """

    async def shown() -> StreamDetails:
        async with streams_of(dsn, "stream show") as streams:
            return await streams.show(StreamName(organization, name))

    details = run(shown())
    fields = {
        **_fields(details.stream),
        "first_seq": details.first_seq,
        "retention_seconds": None if details.retention is None else details.retention.total_seconds(),
    }
    render.show_document(output, fields, _page(fields) if output is Output.TABLE else "")


def _page(fields: dict[str, object]) -> render.Text:
    from .tables import groups_table

    return groups_table({"stream": {name: "" if value is None else value for name, value in fields.items()}})


@stream.command()
def close(
    name: StreamArgument,
    organization: OrganizationOption,
    dsn: DsnOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Close a stream: nothing is appended any more, and its readers get the end.

    Example: pendingctl stream close talk-42 --org acme
    """

    async def closing() -> int:
        async with streams_of(dsn, "stream close") as streams:
            return await streams.close(StreamName(organization, name))

    last_seq = run(closing())
    fields = {"closed": True, "organization_id": organization, "name": name, "last_seq": last_seq}
    render.show_document(output, fields, f"closed {name} after {counted(last_seq, 'event', 'events')}")


@stream.command()
def delete(
    name: StreamArgument,
    organization: OrganizationOption,
    purge: Annotated[
        bool, typer.Option("--purge", help="Delete its events at once too, and not only with the retention.")
    ] = False,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    dsn: DsnOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Delete a stream; its readers get the end, and nobody can read its events.

    Example: pendingctl stream delete talk-42 --org acme --yes
    """
    target = StreamName(organization, name)

    async def foreseen() -> int:
        async with streams_of(dsn, "stream delete") as streams:
            return (await streams.show(target)).stream.last_seq

    async def deleting() -> int:
        async with streams_of(dsn, "stream delete") as streams:
            return await streams.delete(target, purge=purge)

    if not dry_run:
        confirm(f"Delete stream {name} of organization {organization} on {target_of(dsn)}?", yes=yes)
    last_seq = run(foreseen() if dry_run else deleting())
    fields = {"deleted": not dry_run, "organization_id": organization, "name": name, "last_seq": last_seq}
    what = f"{name} with {counted(last_seq, 'event', 'events')}"
    if dry_run:
        render.show_document(output, {**fields, "would_delete": True}, f"would delete {what}")
        return
    render.show_document(output, fields, f"deleted {what}")
