"""What the methods of Slack's Web API do, and what they refuse. Pure but for the workspaces that they change.

The errors are those of each method's page on docs.slack.dev.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace

from ..payload import JsonObject, JsonValue
from .block_rules import MOST_TEXT, complaints, objects, text_length
from .messages import Message, Reply, text_of, with_ids
from .workspaces import Channel, Installation, Person, Workspaces

# "Truncating content" on chat.postMessage's page, and chat.update's `msg_too_long`.
POST_TEXT = 40_000
UPDATE_TEXT = 4_000
METADATA_TEXT = 8_000
MOST_OF_A_PAGE = 999
READS = frozenset({"conversations.history", "conversations.replies"})


class _Refused(Exception):
    def __init__(self, code: str, **details: JsonValue) -> None:
        super().__init__(code)
        self.reply: JsonObject = {"ok": False, "error": code, **details}


def needed_scope(method: str, channel: str = "") -> str | None:
    """Return the scope that a method needs in a channel of this id, None if it needs none."""
    if method in READS:
        return {"D": "im:history", "G": "groups:history"}.get(channel[:1], "channels:history")
    return {"conversations.open": "im:write"}.get(method, "chat:write" if method.startswith("chat.") else None)


def perform(known: Workspaces, by: Installation | None, method: str, arguments: JsonObject) -> JsonObject:
    """Return what a method is answered that a token's owner calls, None for a token that is nobody's."""
    try:
        if by is None:
            raise _Refused("invalid_auth")
        if by.error is not None:
            raise _Refused(by.error)
        if method not in _METHODS:
            raise _Refused("unknown_method", req_method=method)
        scope = needed_scope(method, text_of(arguments, "channel"))
        if scope is not None and scope not in by.scopes:
            raise _Refused("missing_scope", needed=scope, provided=",".join(sorted(by.scopes)))
        return {"ok": True, **_METHODS[method](known, by, arguments)}
    except _Refused as refused:
        return refused.reply


def check_content(fields: JsonObject, most: int) -> JsonObject | None:
    """Return why a message's text and blocks are refused, None if they are not."""
    try:
        _content(fields, most)
    except _Refused as refused:
        return refused.reply
    return None


def _test(known: Workspaces, by: Installation, _: JsonObject) -> JsonObject:
    team = known.workspaces.get(by.team or "")
    about: dict[str, JsonValue] = {"team": team.name, "team_id": team.id} if team else {"team": None, "team_id": None}
    if by.organization is not None:
        about["enterprise_id"] = by.organization
    return {
        "url": "https://slack.test/",
        "user": "bot",
        "user_id": by.bot_user,
        "bot_id": by.bot,
        "is_enterprise_install": by.team is None,
        **about,
    }


def _open(known: Workspaces, by: Installation, arguments: JsonObject) -> JsonObject:
    users = text_of(arguments, "users")
    if not users:
        raise _Refused("users_list_not_supplied")
    seen = {key for channel in known.channels.values() if by.bot in channel.bots for key in channel.members}
    homes = {*known.teams_of(by), by.organization}
    found = [each for each in known.people.values() if each.id == users and (each.team in homes or each.key in seen)]
    if len(found) != 1:
        raise _Refused("user_not_found")
    return {"channel": {"id": known.direct_messages(by, found[0]).id}}


def _post(known: Workspaces, by: Installation, arguments: JsonObject) -> JsonObject:
    channel = _channel(known, by, arguments, archived="is_archived")
    thread_ts = arguments.get("thread_ts")
    if thread_ts is not None and thread_ts not in channel.messages:
        raise _Refused("thread_not_found")
    text, blocks = _content(arguments, POST_TEXT)
    message = Message(
        channel=channel.id,
        ts=known.next_ts(),
        text=text,
        user=by.bot_user,
        bot=by.bot,
        app=by.app,
        team=by.team,
        blocks=blocks or (),
        metadata=_metadata(arguments),
        thread_ts=str(thread_ts) if thread_ts is not None else None,
    )
    channel.messages[message.ts] = message
    return {"channel": channel.id, "ts": message.ts, "message": message.as_json()}


def _update(known: Workspaces, by: Installation, arguments: JsonObject) -> JsonObject:
    channel = _channel(known, by, arguments, archived="is_inactive", is_edit=True)
    message = channel.messages.get(text_of(arguments, "ts"))
    if message is None:
        raise _Refused("message_not_found")
    if message.bot != by.bot:
        raise _Refused("cant_update_message")
    if channel.is_archived:
        raise _Refused("is_inactive")
    text, blocks = _content(arguments, UPDATE_TEXT)
    metadata = _metadata(arguments)
    edited = replace(
        message,
        text=text,
        # Without blocks the former ones stay.
        blocks=message.blocks if blocks is None else blocks,
        metadata=message.metadata if metadata is None else metadata,
        is_edited=True,
    )
    channel.messages[message.ts] = edited
    return {"channel": channel.id, "ts": message.ts, "text": text, "message": edited.as_json()}


def _post_ephemeral(known: Workspaces, by: Installation, arguments: JsonObject) -> JsonObject:
    channel = _channel(known, by, arguments, archived="is_archived")
    members = [known.people[key] for key in channel.members if known.people[key].id == arguments.get("user")]
    if not members:
        raise _Refused("user_not_in_channel")
    text, blocks = _content(arguments, POST_TEXT)
    reply = Reply(
        user=_nearest(known, by, members).key,
        channel=channel.id,
        ts=known.next_ts(),
        text=text,
        blocks=blocks or (),
        thread_ts=text_of(arguments, "thread_ts") or None,
        response_url=None,
        fields=arguments,
    )
    known.replies.append(reply)
    return {"message_ts": reply.ts}


def _read(known: Workspaces, by: Installation, arguments: JsonObject, *, is_thread: bool) -> JsonObject:
    channel = _channel(known, by, arguments, archived=None)
    thread = text_of(arguments, "ts")
    if is_thread and thread not in channel.messages:
        raise _Refused("thread_not_found")
    try:
        begin = int(text_of(arguments, "cursor") or 0)
        limit = int(text_of(arguments, "limit") or 100)
        oldest = float(text_of(arguments, "oldest") or 0)
    except ValueError:
        raise _Refused("invalid_arguments") from None
    if not 1 <= limit <= MOST_OF_A_PAGE:
        raise _Refused("invalid_arguments")
    found = [
        message
        for message in channel.messages.values()
        if (thread in (message.ts, message.thread_ts) if is_thread else message.thread_ts is None)
        and float(message.ts) >= oldest
    ]
    if not is_thread:
        found.reverse()
    page = [message.as_json() for message in found[begin : begin + limit]]
    if text_of(arguments, "include_all_metadata") not in ("1", "true"):
        page = [{key: value for key, value in message.items() if key != "metadata"} for message in page]
    cursor = str(begin + limit) if len(found) > begin + limit else ""
    return {"messages": page, "has_more": bool(cursor), "response_metadata": {"next_cursor": cursor}}


_METHODS: Mapping[str, Callable[[Workspaces, Installation, JsonObject], JsonObject]] = {
    "auth.test": _test,
    "chat.postEphemeral": _post_ephemeral,
    "chat.postMessage": _post,
    "chat.update": _update,
    "conversations.history": lambda known, by, arguments: _read(known, by, arguments, is_thread=False),
    "conversations.open": _open,
    "conversations.replies": lambda known, by, arguments: _read(known, by, arguments, is_thread=True),
}
METHODS = frozenset(_METHODS)


def _channel(
    known: Workspaces, by: Installation, arguments: JsonObject, *, archived: str | None, is_edit: bool = False
) -> Channel:
    """Return the channel of a call; `archived` is the error that the method has for one that is archived."""
    channel = known.channels.get(text_of(arguments, "channel"))
    if channel is None or not channel.teams & known.teams_of(by):
        raise _Refused("channel_not_found")
    if channel.is_private and by.bot not in channel.bots:
        raise _Refused("channel_not_found")
    if is_edit:
        return channel
    if channel.is_archived and archived is not None:
        raise _Refused(archived)
    if by.bot not in channel.bots:
        raise _Refused("not_in_channel")
    return channel


def _content(fields: JsonObject, most: int) -> tuple[str, tuple[JsonObject, ...] | None]:
    """Return a message's text and blocks, None for blocks that are not given."""
    text, given = fields.get("text"), fields.get("blocks")
    if not isinstance(text, str) or not text:
        # Slack takes blocks without a text too, with a warning: screen readers have nothing to read then.
        raise _Refused("no_text")
    if len(text) > most:
        raise _Refused("msg_too_long")
    if fields.get("parse") not in (None, "none", "full"):
        raise _Refused("invalid_arguments")
    if given is None:
        return text, None
    if found := complaints(given):
        raise _Refused("invalid_blocks", response_metadata={"messages": [f"[ERROR] {each}" for each in found]})
    if text_length(given) > MOST_TEXT:
        raise _Refused("msg_blocks_too_long")
    return text, with_ids(objects(given))


def _metadata(arguments: JsonObject) -> JsonObject | None:
    metadata = arguments.get("metadata")
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping) or set(metadata) != {"event_type", "event_payload"}:
        raise _Refused("invalid_metadata_format")
    if not text_of(metadata, "event_type") or not isinstance(metadata["event_payload"], Mapping):
        raise _Refused("invalid_metadata_schema")
    if len(json.dumps(metadata)) > METADATA_TEXT:
        raise _Refused("metadata_too_large")
    return metadata


def _nearest(known: Workspaces, by: Installation, people: list[Person]) -> Person:
    """Return whom an id means that people of several workspaces have: the one of the app's own workspace."""
    homes = {*known.teams_of(by), by.organization}
    return next((person for person in people if person.team in homes), people[0])
