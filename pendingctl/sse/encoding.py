"""A stream's items as the bytes of server-sent events (HTML standard, section 9.2, "Server-sent events"). Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ..events.model import RESERVED_TYPES, Cursor, End, Event, Gap, Reset, StreamItem

COMMENT = b":\n\n"
"""What a client takes no notice of, and a proxy takes for life."""

# What would end a field, and NUL, are no text of a type: `NewEvent` refuses them, but rows may be written by hand.
_IN_A_TYPE = str.maketrans(dict.fromkeys("\r\n\0", "\ufffd"))


def encode(item: StreamItem, position: Cursor) -> bytes:
    """Return an item as one event, whose id is the position after it.

    A Gap is of type `pendingctl.gap`, a Reset of type `pendingctl.reset`, an End of type `pendingctl.end`; no event of
    an application has a type that begins as these do.
    """
    match item:
        case Event():
            return encode_event(item)
        case Gap():
            return _encode(f"{RESERVED_TYPES}gap", json.dumps({"from": item.first, "to": item.last}), position)
        case Reset():
            return _encode(f"{RESERVED_TYPES}reset", "{}", position)
        case End():
            return _encode(f"{RESERVED_TYPES}end", "{}", position)


def encode_event(event: Event) -> bytes:
    """Return an event as it was appended; of line ends, which are CR, LF or both, a client reads each as LF."""
    return _encode(_type_of(event), _in_lines(event.data), event.cursor)


def encode_in_pieces(event: Event, characters: int) -> Iterator[bytes]:
    """Yield the same in pieces of so many characters of its data, each of which is made when it is asked for."""
    head, start = _head(_type_of(event), event.cursor), 0
    while start < len(event.data):
        end = start + characters
        if event.data[end - 1 : end + 1] == "\r\n":
            # One line end.
            end += 1
        tail = "\n\n" if end >= len(event.data) else ""
        yield f"{head}{_in_lines(event.data[start:end])}{tail}".encode()
        head, start = "", end


def encode_id(position: Cursor) -> bytes:
    """Return what gives a client a position before its first event, with which to come back."""
    return f"id: {position}\n\n".encode()


def encode_retry(retry_ms: int) -> bytes:
    """Return what says to a client after how many milliseconds to come back."""
    return f"retry: {retry_ms}\n\n".encode()


def _encode(type: str, data: str, position: Cursor) -> bytes:
    return f"{_head(type, position)}{data}\n\n".encode()


def _head(type: str, position: Cursor) -> str:
    return f"id: {position}\nevent: {type}\ndata: "


def _type_of(event: Event) -> str:
    type = event.type.translate(_IN_A_TYPE)
    return f"\ufffd{type}" if type.startswith(RESERVED_TYPES) else type


def _in_lines(data: str) -> str:
    if "\r" in data:
        data = data.replace("\r\n", "\n").replace("\r", "\n")
    if "\n" in data:
        data = data.replace("\n", "\ndata: ")
    return data
