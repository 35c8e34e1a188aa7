"""What the rows of streams become, and the parameters by which one is found."""

from __future__ import annotations

from datetime import datetime

from psycopg.rows import args_row

from ..errors import StreamMissing
from .model import Stream, StreamName


def name_parameters(stream: StreamName) -> dict[str, object]:
    """Return the parameters by which a statement finds this stream."""
    return {"organization_id": stream.organization_id, "name": stream.name}


def as_stream(
    id: int,
    organization_id: str,
    name: str,
    last_seq: int,
    last_at: datetime,
    created_at: datetime,
    closed_at: datetime | None,
) -> Stream:
    """Return the stream of a row, whose columns come in this order."""
    return Stream(id, StreamName.stored(organization_id, name), last_seq, last_at, created_at, closed_at)


STREAM_ROW = args_row(as_stream)


def missing(stream: StreamName) -> StreamMissing:
    """Return the error for a stream that does not exist."""
    return StreamMissing(
        f"organization {stream.organization_id} has no stream {stream.name}; look at: pendingctl stream list"
    )
