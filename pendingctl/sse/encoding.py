"""A stream's items as the bytes of server-sent events (HTML standard, section 9.2, "Server-sent events"). Pure."""

from __future__ import annotations

import json

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
    type = event.type.translate(_IN_A_TYPE)
    if type.startswith(RESERVED_TYPES):
        type = f"\ufffd{type}"
    return _encode(type, event.data, event.cursor)


def encode_id(position: Cursor) -> bytes:
    """Return what gives a client a position before its first event, with which to come back."""
    return f"id: {position}\n\n".encode()


def encode_retry(retry_ms: int) -> bytes:
    """Return what says to a client after how many milliseconds to come back."""
    return f"retry: {retry_ms}\n\n".encode()


def _encode(type: str, data: str, position: Cursor) -> bytes:
    if "\r" in data:
        data = data.replace("\r\n", "\n").replace("\r", "\n")
    if "\n" in data:
        data = data.replace("\n", "\ndata: ")
    return f"id: {position}\nevent: {type}\ndata: {data}\n\n".encode()
