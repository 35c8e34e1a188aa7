"""What Slack takes as blocks, by the pages of its Block Kit reference: whatever is not named here is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST_BLOCKS = 50
MOST_TEXT = 9_600

_SECTION = {"type", "text", "expand", "block_id"}
_ACTIONS = {"type", "elements", "block_id"}
_RICH = {"type", "elements", "block_id"}
_BUTTON = {"type", "text", "action_id", "value", "style", "confirm"}
_CONFIRM = {"title", "text", "confirm", "deny", "style"}
_PARTS = {
    "text": {"type", "text", "style"},
    "user": {"type", "user_id", "style"},
    "date": {"type", "timestamp", "format", "fallback", "style"},
}


def complaints(blocks: object) -> list[str]:
    """Why Slack would refuse these blocks."""
    if not isinstance(blocks, list) or len(blocks) > MOST_BLOCKS:
        return ["blocks must be an array of at most 50"]
    found = [
        f"{complaint} [json-pointer:/blocks/{place}]" for place, block in enumerate(blocks) for complaint in _in(block)
    ]
    ids = [element["action_id"] for block in blocks if block.get("type") == "actions" for element in block["elements"]]
    return [*found, *(["action_id is not unique"] if len(ids) > len(set(ids)) else [])]


def text_length(value: object) -> int:
    """The characters of all texts in the blocks together."""
    if isinstance(value, Mapping):
        own = value.get("text")
        return (_length(own) if isinstance(own, str) else 0) + sum(map(text_length, value.values()))
    return sum(map(text_length, value)) if isinstance(value, list) else 0


def _in(block: Mapping[str, Any]) -> Iterator[str]:
    match block.get("type"):
        case "section":
            yield from _unknown(block, _SECTION)
            yield from _text(block.get("text"), 3_000, {"plain_text"})
            if not isinstance(block.get("expand", False), bool):
                yield "expand is not a boolean"
        case "actions":
            yield from _unknown(block, _ACTIONS)
            if not 1 <= len(block["elements"]) <= 25:
                yield "must have 1 to 25 elements"
            for element in block["elements"]:
                yield from _button(element)
        case "rich_text":
            yield from _unknown(block, _RICH)
            for section in block["elements"]:
                if section.get("type") != "rich_text_section" or not section.get("elements"):
                    yield "unsupported element"
                for part in section.get("elements", ()):
                    yield from _part(part)
        case other:
            yield f"unsupported type: {other}"


def _button(button: Mapping[str, Any]) -> Iterator[str]:
    yield from _unknown(button, _BUTTON)
    if button.get("type") != "button":
        yield "unsupported element"
    yield from _text(button.get("text"), 75, {"plain_text"})
    if not 1 <= len(button.get("action_id", "")) <= 255:
        yield "action_id must have 1 to 255 characters"
    if not 1 <= _length(button.get("value", "")) <= 2_000:
        yield "value must have 1 to 2000 characters"
    if (confirm := button.get("confirm")) is not None:
        yield from _unknown(confirm, _CONFIRM)
        for field, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
            yield from _text(confirm.get(field), most, {"plain_text"})


def _part(part: Mapping[str, Any]) -> Iterator[str]:
    kind = part.get("type")
    if kind not in _PARTS:
        yield f"unsupported type: {kind}"
        return
    yield from _unknown(part, _PARTS[kind])
    if kind == "text" and not part.get("text"):
        yield "must be more than 0 characters"
    if kind == "user" and str(part.get("user_id"))[:1] not in ("U", "W"):
        yield "user_id is no user"
    if kind == "date" and (type(part.get("timestamp")) is not int or not part.get("format")):
        yield "a date needs a timestamp and a format"


def _text(text: object, most: int, kinds: set[str]) -> Iterator[str]:
    if not isinstance(text, Mapping) or text.get("type") not in kinds or not isinstance(text.get("text"), str):
        yield "must be a text object"
        return
    yield from _unknown(text, {"type", "text", "emoji"})
    if not text["text"].strip():
        yield "must be more than 0 characters"
    if _length(text["text"]) > most:
        yield f"must be less than {most + 1} characters"


def _unknown(found: Mapping[str, Any], known: set[str]) -> Iterator[str]:
    for field in set(found) - known:
        yield f"must not have additional property {field!r}"


def _length(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2
