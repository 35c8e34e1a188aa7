"""What a client sends as JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Collection
from http import HTTPStatus

from ..payload import JsonObject, JsonValue
from .problems import Problem


def read_fields(body: bytes, allowed: Collection[str], what: str) -> JsonObject:
    """Return the fields of a JSON object, which is `what`, of those that are allowed; one that is null is left out.

    Raises Problem.
    """
    try:
        # UTF-8 alone, as RFC 8259 has it; and a name that comes twice would be read in two ways.
        fields = json.loads(body.decode(), object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is no JSON: {error}") from None
    if not isinstance(fields, dict):
        raise Problem(HTTPStatus.BAD_REQUEST, "the body is no JSON object")
    check_fields(fields, allowed, what)
    # Many clients write what they leave out as null.
    return {name: value for name, value in fields.items() if value is not None}


def check_fields(fields: JsonObject, allowed: Collection[str], what: str) -> None:
    """Raise Problem for a field that is not allowed."""
    if unknown := sorted(fields.keys() - set(allowed)):
        raise Problem(
            HTTPStatus.BAD_REQUEST, f"there is no field {unknown[0][:80]!r}; {what} has {', '.join(sorted(allowed))}"
        )


def _unique(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("a name comes twice in one object")
    return fields


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")
