"""pendingctl stream follow"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import InvalidInput
from . import render
from .database import following_of
from .event_loop import interruptible_call, run
from .options import DsnOption, OrganizationOption, Output, OutputOption

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..events.model import StreamItem


def follow(
    name: Annotated[str, typer.Argument(metavar="NAME", show_default=False, help="The stream's name.")],
    org: OrganizationOption,
    dsn: DsnOption = None,
    after: Annotated[
        str | None,
        typer.Option(
            "--after",
            metavar="ID",
            show_default=False,
            help="Begin behind the event of this id, as -o jsonl has it; by default with the first event.",
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Print a stream's events as they are appended, until it is closed or deleted.

    What is gone, and that the position belonged to another history of the stream, is a note on stderr, or a record of
    its own. While the database is away it waits; a stream that does not exist yet is empty.

    Example: pendingctl stream follow chat-42 --org acme
    """
    from ..events.model import START, Cursor, StreamName

    if output not in (Output.TABLE, Output.JSONL):
        raise InvalidInput(f"follow prints events one by one and -o {output} is one document; take -o jsonl")
    stream = StreamName(org, name)
    position = START if after is None else Cursor.parse(after)

    async def following() -> None:
        async with following_of(dsn, "stream follow") as streams:
            items = streams.subscribe(stream, position)
            with _written(output) as write:
                async for item in items:
                    interruptible_call(partial(write, item))
                    # Until the next one comes, which may be long, it would be kept.
                    del item

    run(following())


@contextmanager
def _written(output: Output) -> Iterator[Callable[[StreamItem], None]]:
    if output is Output.JSONL:
        with render.streamed(output) as write:
            yield lambda item: write([_record(item)])
        return
    with render.streamed_lines() as write_lines:
        yield lambda item: _write_line(item, write_lines)


def _record(item: StreamItem) -> render.Row:
    from ..events.model import End, Event, Gap, Reset

    match item:
        case Event():
            return {
                "kind": "event",
                "id": str(item.cursor),
                "seq": item.seq,
                "at": item.at,
                "type": item.type,
                "data": item.data,
            }
        case Gap():
            return {"kind": "gap", "first": item.first, "last": item.last}
        case Reset():
            return {"kind": "reset", "last_seq": item.last_seq}
        case End():
            return {"kind": "end", "last_seq": item.last_seq}


def _write_line(item: StreamItem, write: Callable[[list[str]], None]) -> None:
    from ..events.model import End, Event, Gap, Reset

    match item:
        case Event():
            at = item.at.isoformat(sep=" ", timespec="milliseconds")
            write([f"{item.cursor}  {at}  {render.one_line(item.type)}  {render.one_line(item.data)}"])
        case Gap():
            render.note(f"the events {item.first} to {item.last} are gone: they were older than the retention")
        case Reset():
            render.note(
                "the stream was deleted and made again, or a failover lost a part of it; it is read from its beginning"
            )
        case End():
            render.note(f"the stream has ended with event {item.last_seq}")
