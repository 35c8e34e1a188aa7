"""Questions in a file, one JSON object per line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import NoReturn
from uuid import uuid4

from ..errors import InvalidInput
from ..model import Scope
from ..payload import JsonObject, JsonValue, check_id, encode_payload, question_payload
from ..schedule import Schedule, schedule_parameters

_OWN_FIELDS = frozenset(
    ("id", "organization_id", "connection_id", "expected_user_id", "question", "options", "conversation_id")
)


def read_questions(
    lines: Iterable[bytes], name: str, schedule: Schedule, *, show: bool
) -> Iterator[tuple[str, Scope, JsonObject]]:
    """Yield the id, scope and payload of each line that is not blank, of questions that may have this schedule.

    A line is `{"id"?, "organization_id", "connection_id", "expected_user_id", "question", "options"?,
    "conversation_id"?}`; a missing id is generated, and further fields are kept in the payload unchanged.

    Raises InvalidInput, with the file's `name` and the line's number, at the first line that is wrong or repeats
    an id.
    """
    seen: set[str] = set()
    for number, raw in enumerate(lines, start=1):
        if not raw.strip():
            continue
        try:
            id, scope, payload = _read(raw)
            if id in seen:
                raise InvalidInput(f"the id {id!r} is already in the file")
            schedule_parameters(schedule, payload, scope.expected_user_id, show=show)
        except InvalidInput as error:
            raise InvalidInput(f"{name}:{number}: {error}; nothing was stored") from None
        seen.add(id)
        yield id, scope, payload


def _read(raw: bytes) -> tuple[str, Scope, JsonObject]:
    try:
        line: JsonValue = json.loads(raw.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError:
        raise InvalidInput("the line is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise InvalidInput(f"the line is not JSON: {error.msg} at column {error.colno}") from None
    except (RecursionError, ValueError) as error:
        raise InvalidInput(f"the line cannot be read as JSON: {error}") from None
    if not isinstance(line, dict):
        raise InvalidInput("the line is not a JSON object")
    id = _text(line, "id") if line.get("id") is not None else str(uuid4())
    check_id(id, "id")
    scope = Scope(_text(line, "organization_id"), _text(line, "connection_id"), _text(line, "expected_user_id"))
    options = line.get("options", [])
    if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
        raise InvalidInput('"options" is not an array of strings')
    details = {"conversation_id": _text(line, "conversation_id")} if "conversation_id" in line else {}
    payload = {
        **question_payload(_text(line, "question"), [str(option) for option in options], details),
        **{field: value for field, value in line.items() if field not in _OWN_FIELDS},
    }
    encode_payload(payload)
    return id, scope, payload


def _text(line: dict[str, JsonValue], field: str) -> str:
    value = line.get(field)
    if value is None:
        raise InvalidInput(f'"{field}" is missing')
    if not isinstance(value, str):
        raise InvalidInput(f'"{field}" is not a string')
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidInput(f"the line holds {name}, which is not JSON")
