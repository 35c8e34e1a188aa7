"""What a client sends to append events to a stream. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from ..events.appending import MAX_EVENTS
from ..events.model import NewEvent
from ..payload import JsonValue
from .json_bodies import check_fields, read_fields
from .problems import Problem

_FIELDS = ("events", "expected")
_EVENT_FIELDS = ("type", "data")


@dataclass(frozen=True, slots=True)
class NewEvents:
    """Events to append, and the number of the last event that their writer knows of, if it names one."""

    events: tuple[NewEvent, ...]
    expected: int | None


def appended_by(body: bytes) -> NewEvents:
    """Return what a request's body appends. Raises Problem and InvalidInput."""
    fields = read_fields(body, _FIELDS, "an append")
    events, expected = fields.get("events"), fields.get("expected")
    if not isinstance(events, list):
        raise Problem(HTTPStatus.BAD_REQUEST, "'events' is no list of events")
    # Each costs time in which this process does nothing else.
    if len(events) > MAX_EVENTS:
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"{len(events):,} events are given; append at most {MAX_EVENTS:,} at once"
        )
    if expected is not None and type(expected) is not int:
        raise Problem(HTTPStatus.BAD_REQUEST, "'expected' is no whole number")
    return NewEvents(tuple(map(_event, events)), expected)


def _event(value: JsonValue) -> NewEvent:
    if not isinstance(value, Mapping):
        raise Problem(HTTPStatus.BAD_REQUEST, "an event is no JSON object")
    check_fields(value, _EVENT_FIELDS, "an event")
    type, data = value.get("type"), value.get("data")
    if not isinstance(type, str) or not isinstance(data, str):
        raise Problem(HTTPStatus.BAD_REQUEST, "the 'type' or the 'data' of an event is no text")
    return NewEvent(type, data)
