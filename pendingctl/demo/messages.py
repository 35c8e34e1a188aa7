"""What people see in the demo's Slack: messages with their buttons, and replies that one person alone sees."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..payload import JsonObject, JsonValue
from .block_rules import objects

# Slack escapes these in each text, and shows them as they are meant (docs.slack.dev, "Formatting message text").
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))


@dataclass(frozen=True, slots=True)
class Button:
    """A button as it stands in its message: `element` is what was posted, in the block `block_id`."""

    block_id: str
    element: JsonObject

    @property
    def action_id(self) -> str:
        return text_of(self.element, "action_id")

    @property
    def label(self) -> str:
        """What a person reads on it."""
        label = self.element.get("text")
        return shown(text_of(label, "text")) if isinstance(label, Mapping) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message as it was at one moment: an edit makes another, and whoever has this one has a stale copy.

    `bot` is the id of the bot that posted it, None for a person's own. `user` is who it is from, a bot's user included.
    """

    channel: str
    ts: str
    text: str
    user: str
    bot: str | None = None
    app: str | None = None
    team: str | None = None
    blocks: tuple[JsonObject, ...] = ()
    metadata: JsonObject | None = None
    thread_ts: str | None = None
    is_edited: bool = False

    @property
    def buttons(self) -> tuple[Button, ...]:
        return tuple(
            Button(text_of(block, "block_id"), element)
            for block in self.blocks
            if block.get("type") == "actions"
            for element in objects(block.get("elements"))
        )

    def button(self, choice: str) -> Button:
        """Return the button whose label or action_id this is. Raises LookupError if none or more than one is."""
        found = [button for button in self.buttons if choice in (button.label, button.action_id)]
        if len(found) != 1:
            labels = ", ".join(repr(button.label) for button in self.buttons) or "none"
            raise LookupError(f"the message has {len(found)} buttons {choice!r}; its buttons: {labels}")
        return found[0]

    def as_json(self) -> JsonObject:
        """Return the message as the Web API and payloads give it."""
        given: dict[str, JsonValue] = {"type": "message", "user": self.user, "ts": self.ts, "text": self.text}
        for name, value in (
            *(("bot_id", self.bot), ("app_id", self.app), ("team", self.team), ("thread_ts", self.thread_ts)),
            ("metadata", self.metadata),
        ):
            if value is not None:
                given[name] = value
        if self.blocks:
            given["blocks"] = list(self.blocks)
        if self.is_edited:
            given["edited"] = {"user": self.user, "ts": self.ts}
        return given


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What one person alone sees: `user` is `TEAM:USER`, `response_url` the one that it came by, if it did.

    `fields` is the request as it came.
    """

    user: str
    channel: str
    ts: str
    text: str
    blocks: tuple[JsonObject, ...]
    thread_ts: str | None
    response_url: str | None
    fields: JsonObject


def text_of(found: JsonObject, field: str) -> str:
    """Return a field's text, empty where it has none."""
    value = found.get(field)
    return value if isinstance(value, str) else ""


def shown(text: str) -> str:
    """Return what a person reads where this text was sent."""
    for entity, character in _ENTITIES:
        text = text.replace(entity, character)
    return text


def with_ids(blocks: Sequence[JsonObject]) -> tuple[JsonObject, ...]:
    """Return the blocks with an id each, as Slack gives one to those that have none."""
    return tuple(block if "block_id" in block else {**block, "block_id": secrets.token_urlsafe(4)} for block in blocks)
