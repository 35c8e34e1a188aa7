"""What Slack takes as blocks, by the pages of its Block Kit reference: whatever is not named here is refused. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..payload import JsonObject, JsonValue

MOST_BLOCKS = 50
MOST_TEXT = 9_600

_SECTION = {"type", "text", "expand", "block_id"}
_ACTIONS = {"type", "elements", "block_id"}
_RICH = {"type", "elements", "block_id"}
_BUTTON = {"type", "text", "action_id", "value", "style", "confirm"}
_STYLES = ("primary", "danger")
_CONFIRM = {"title", "text", "confirm", "deny", "style"}
_PARTS = {
    "text": {"type", "text", "style"},
    "user": {"type", "user_id", "style"},
    "date": {"type", "timestamp", "format", "fallback", "style"},
}


def complaints(blocks: object) -> list[str]:
    """Why Slack would refuse these blocks."""
    if not isinstance(blocks, list) or len(blocks) > MOST_BLOCKS:
        return [f"blocks must be an array of at most {MOST_BLOCKS}"]
    found = [
        f"{complaint} [json-pointer:/blocks/{place}]" for place, block in enumerate(blocks) for complaint in _in(block)
    ]
    actions = [block for block in blocks if isinstance(block, Mapping) and block.get("type") == "actions"]
    action_ids = [element.get("action_id") for block in actions for element in objects(block.get("elements"))]
    block_ids = [each["block_id"] for each in blocks if isinstance(each, Mapping) and "block_id" in each]
    for name, ids in (("action_id", action_ids), ("block_id", block_ids)):
        if len(ids) > len(set(map(str, ids))):
            found.append(f"{name} is not unique")
    return found


def text_length(value: JsonValue) -> int:
    """Return how many characters all texts in the blocks have together."""
    if isinstance(value, Mapping):
        own = value.get("text")
        return (_length(own) if isinstance(own, str) else 0) + sum(map(text_length, value.values()))
    return sum(map(text_length, value)) if isinstance(value, list | tuple) else 0


def objects(value: JsonValue) -> Sequence[JsonObject]:
    """Return the objects in a JSON array, none for what is no array."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list | tuple) else []


def _in(block: JsonValue) -> Iterator[str]:
    if not isinstance(block, Mapping):
        yield "must be an object"
        return
    if not isinstance(block_id := block.get("block_id", "b"), str) or not 1 <= len(block_id) <= 255:
        yield "block_id must have 1 to 255 characters"
    match block.get("type"):
        case "section":
            yield from _unknown(block, _SECTION)
            yield from _text(block.get("text"), 3_000)
            if not isinstance(block.get("expand", False), bool):
                yield "expand is not a boolean"
        case "actions":
            yield from _unknown(block, _ACTIONS)
            buttons = _elements(block)
            if not 1 <= len(buttons) <= 25:
                yield "must have 1 to 25 elements"
            for button in buttons:
                yield from _button(button)
        case "rich_text":
            yield from _unknown(block, _RICH)
            for section in _elements(block):
                if section.get("type") != "rich_text_section" or not _elements(section):
                    yield "unsupported element"
                for part in _elements(section):
                    yield from _part(part)
        case other:
            yield f"unsupported type: {other}"


def _elements(block: JsonObject) -> Sequence[JsonObject]:
    """Return the elements, none where one of them is no object."""
    elements = block.get("elements")
    found = objects(elements)
    return found if isinstance(elements, list) and len(found) == len(elements) else []


def _button(button: JsonObject) -> Iterator[str]:
    yield from _unknown(button, _BUTTON)
    if button.get("type") != "button":
        yield "unsupported element"
    yield from _text(button.get("text"), 75)
    for field, most in (("action_id", 255), ("value", 2_000)):
        value = button.get(field)
        if not isinstance(value, str) or not 1 <= _length(value) <= most:
            yield f"{field} must have 1 to {most} characters"
    if "style" in button and button["style"] not in _STYLES:
        yield "style must be primary or danger"
    if (confirm := button.get("confirm")) is not None:
        if not isinstance(confirm, Mapping):
            yield "confirm must be an object"
            return
        yield from _unknown(confirm, _CONFIRM)
        for field, most in (("title", 100), ("text", 300), ("confirm", 30), ("deny", 30)):
            yield from _text(confirm.get(field), most)


def _part(part: JsonObject) -> Iterator[str]:
    kind = part.get("type")
    if not isinstance(kind, str) or kind not in _PARTS:
        yield f"unsupported type: {kind}"
        return
    yield from _unknown(part, _PARTS[kind])
    if kind == "text" and not (isinstance(part.get("text"), str) and part["text"]):
        yield "must be more than 0 characters"
    if kind == "user" and str(part.get("user_id"))[:1] not in ("U", "W"):
        yield "user_id is no user"
    if kind == "date" and (type(part.get("timestamp")) is not int or not part.get("format")):
        yield "a date needs a timestamp and a format"


def _text(text: JsonValue, most: int) -> Iterator[str]:
    """Why this is no text of a card: plain_text alone, since mrkdwn can mention people and hide what it says."""
    words = text.get("text") if isinstance(text, Mapping) and text.get("type") == "plain_text" else None
    if not isinstance(text, Mapping) or not isinstance(words, str):
        yield "must be a text object"
        return
    yield from _unknown(text, {"type", "text", "emoji"})
    if not words.strip():
        yield "must be more than 0 characters"
    if _length(words) > most:
        yield f"must be less than {most + 1} characters"


def _unknown(found: JsonObject, known: set[str]) -> Iterator[str]:
    for field in set(found) - known:
        yield f"must not have additional property {field!r}"


def _length(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
