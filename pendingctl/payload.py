"""A question's payload, and what a row can hold: ids, text and JSON. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeAlias

from .errors import InvalidInput, UnreadablePayload

JsonValue: TypeAlias = "None | bool | int | float | str | Sequence[JsonValue] | Mapping[str, JsonValue]"
JsonObject: TypeAlias = Mapping[str, JsonValue]

MAX_ID_CHARACTERS = 255
# An entry of a B-tree index on pages of 8 kB holds 2,704 bytes (BTMaxItemSize in PostgreSQL's access/nbtree.h): 8 of a
# header, then each long text with a header of 4, aligned to 4. An index has four ids at most, and each has this share.
MAX_ID_BYTES = (2_704 - 8) // 4 // 4 * 4 - 4
MAX_PAYLOAD_BYTES = 256 * 1024
MAX_STREAM_NAME_CHARACTERS = 255
# Each pod, sink and reader of JSON on the way takes that many, whatever its Python and however deep its own stack is.
MAX_NESTING = 500

_STREAM_NAME = re.compile(rf"[A-Za-z0-9._:~-]{{1,{MAX_STREAM_NAME_CHARACTERS}}}")
_ENCODER = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def question_payload(text: str, options: Sequence[str], details: JsonObject | None = None) -> JsonObject:
    """Return the payload `{"question": {…}}` as the store, the bridge and the command line all write it."""
    return {"question": {**(details or {}), "text": text, "options": list(options)}}


def question_text(payload: JsonObject) -> str | None:
    """Return the question's text, or None for a payload of another shape."""
    text = _question_field(payload, "text")
    return text if isinstance(text, str) else None


def question_options(payload: JsonObject) -> tuple[str, ...]:
    """Return the question's options, none for a payload of another shape."""
    options = _question_field(payload, "options")
    return tuple(map(str, options)) if isinstance(options, list) else ()


def accepts(payload: JsonObject, value: str | None) -> bool:
    """Whether the value is an answer to the question as the claim sees it: one of its options, or any without them."""
    options = _question_field(payload, "options")
    return not isinstance(options, list) or not options or (isinstance(value, str) and value in options)


def option_at(payload: JsonObject, place: int) -> str | None:
    """Return the option at this place, from 0, as the claim finds it; None where there is none, or it is no text."""
    options = _question_field(payload, "options")
    option = options[place] if isinstance(options, list) and place < len(options) else None
    return option if isinstance(option, str) else None


def conversation_of(payload: JsonObject) -> str:
    """Return the conversation that the question belongs to, empty when the payload names none."""
    conversation = _question_field(payload, "conversation_id")
    return conversation if isinstance(conversation, str) else ""


def read_payload(text: str) -> JsonObject:
    """Return a row's payload. Raises UnreadablePayload for one that `put` would not have stored, and says why."""
    try:
        payload: JsonValue = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadablePayload(f"the row's payload cannot be read: {error}") from None
    if not isinstance(payload, dict):
        raise UnreadablePayload("the row's payload is not a JSON object")
    return payload


def read_json(text: str | None) -> JsonValue:
    """Return a row's JSON; None where there is none, and where Python cannot read what jsonb can hold."""
    try:
        read: JsonValue = json.loads(text) if text is not None else None
    except (ValueError, RecursionError):
        return None
    return read


def read_time(stored: JsonValue) -> datetime | None:
    """Return a time that a row holds as JSON; None for what Python cannot hold, such as `infinity`."""
    try:
        return datetime.fromisoformat(stored) if isinstance(stored, str) else None
    except ValueError:
        return None


def _question_field(payload: JsonObject, field: str) -> JsonValue:
    question = payload.get("question")
    return question.get(field) if isinstance(question, Mapping) else None


def check_id(value: str, name: str) -> None:
    """Refuse what cannot be an id: empty, over 255 characters or 668 bytes of UTF-8, or what Postgres cannot hold.

    Raises InvalidInput.
    """
    if not value:
        raise InvalidInput(f"{name} is empty")
    if len(value) > MAX_ID_CHARACTERS:
        raise InvalidInput(f"{name} has {len(value)} characters; at most {MAX_ID_CHARACTERS} are allowed")
    check_text(value, name)
    if not value.isascii() and (size := len(value.encode())) > MAX_ID_BYTES:
        raise InvalidInput(f"{name} has {size} bytes as UTF-8; at most {MAX_ID_BYTES} are allowed")


def check_stream_name(name: str) -> None:
    """Refuse what is not 1 to 255 of the characters A-Z a-z 0-9 . _ : ~ -; raises InvalidInput."""
    if not _STREAM_NAME.fullmatch(name):
        raise InvalidInput(
            f"the stream's name is not 1 to {MAX_STREAM_NAME_CHARACTERS} of the characters A-Z a-z 0-9 . _ : ~ -; "
            "choose another"
        )


def check_text(value: str, name: str) -> None:
    """Refuse text that Postgres cannot hold: NUL characters and lone surrogates. Raises InvalidInput."""
    if "\0" in value:
        raise InvalidInput(f"{name} holds a NUL character, which Postgres cannot store")
    if value.isascii():
        return
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InvalidInput(f"{name} holds a lone surrogate or broken UTF-8, which Postgres cannot store") from None


def check_positive(value: int | None, name: str) -> None:
    """Refuse a number below 1. Raises InvalidInput."""
    if value is not None and value < 1:
        raise InvalidInput(f"the {name} is {value}; it must be at least 1")


def encode_payload(payload: JsonObject, max_bytes: int = MAX_PAYLOAD_BYTES) -> str:
    """Return the payload as JSON text that jsonb takes.

    Raises InvalidInput for a payload that is no JSON object, that is over `max_bytes` bytes of UTF-8, that is nested
    more than 500 deep, or that holds what jsonb cannot: NUL characters, lone surrogates, NaN and Infinity
    (PostgreSQL manual, section 8.14 "JSON Types").
    """
    if not isinstance(payload, Mapping):
        raise InvalidInput("the payload is not a JSON object")
    return encode_json(payload, "the payload", max_bytes)


def encode_json(value: JsonValue, name: str, max_bytes: int = MAX_PAYLOAD_BYTES) -> str:
    """Return a value as JSON text that jsonb takes; `name` is what an error calls it. Raises as `encode_payload`."""
    try:
        text = _ENCODER.encode(value)
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidInput(f"{name} holds a lone surrogate or broken UTF-8") from None
    except RecursionError:
        raise InvalidInput(f"{name} is nested over {MAX_NESTING} deep") from None
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} cannot be written as JSON: {error}") from None
    if size > max_bytes:
        raise InvalidInput(f"{name} has {size:,} bytes; at most {max_bytes:,} are allowed")
    # Only a text with so many brackets can be nested so deeply.
    if text.count("[") + text.count("{") > MAX_NESTING and _is_nested_too_deeply(value):
        raise InvalidInput(f"{name} is nested over {MAX_NESTING} deep")
    # Only a text with the escape in it can hold the character; an escaped backslash before u0000 is harmless.
    if "\\u0000" in text and _holds_nul(value):
        raise InvalidInput(f"{name} holds a NUL character, which Postgres cannot store")
    return text


def _is_nested_too_deeply(value: JsonValue) -> bool:
    level = [value]
    for _ in range(MAX_NESTING + 1):
        level = [
            inner
            for outer in level
            if isinstance(outer, Mapping | list | tuple)
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
    return bool(level)


def _holds_nul(payload: JsonValue) -> bool:
    waiting = [payload]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if "\0" in value:
                return True
        elif isinstance(value, Mapping):
            waiting.extend(value.keys())
            waiting.extend(value.values())
        elif isinstance(value, Sequence):
            waiting.extend(value)
    return False
