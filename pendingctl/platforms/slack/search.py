"""Looking for a card in Slack by the metadata of its message."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta

from ...payload import JsonObject, JsonValue
from ..protocol import Card
from .calls import Calls
from .errors import SlackFailed
from .limits import Connection
from .references import Posted, posted_of

# A card that may be there is looked for among the messages of the last day, 2,000 at most: questions go stale in that
# time, and its post was tried within it. A second card is harmless: one keeps its buttons.
LOOK_BACK = timedelta(days=1)
MOST_PAGES = 10
PAGE = 200
# Anybody in the workspace can read a message's metadata (docs.slack.dev, "Message metadata"): they hold ids alone.
EVENT_TYPE = "pendingctl_card"


def metadata_of(card: Card) -> JsonObject:
    """Return what a card's message carries beside what it shows: its key, in which nothing has to be escaped."""
    return {"event_type": EVENT_TYPE, "event_payload": {"key": card.key}}


async def bot_of(calls: Calls, connection: Connection) -> str:
    """Return which bot the messages of a connection's token are from: others can write the same metadata."""
    reply = await calls.call(connection, "auth.test", {})
    bot = reply.get("bot_id")
    if not isinstance(bot, str):
        raise SlackFailed("auth.test names no bot; give SlackPlatform a bot's token (xoxb-…)")
    return bot


async def find(
    calls: Calls, connection: Connection, card: Card, *, channel: str, thread: str | None, bot: str
) -> Posted | None:
    """Return this bot's message of the card in a channel or a thread, None if surely none is there.

    Raises SlackFailed where that cannot be said.
    """
    arguments: dict[str, JsonValue] = {
        "channel": channel,
        "include_all_metadata": True,
        "limit": PAGE,
        "oldest": f"{time.time() - LOOK_BACK.total_seconds():.6f}",
    }
    method = "conversations.history"
    if thread is not None:
        method = "conversations.replies"
        arguments["ts"] = thread
    for _ in range(MOST_PAGES):
        reply = await calls.call(connection, method, arguments, pauses=False)
        messages = reply.get("messages")
        if not isinstance(messages, list):
            raise SlackFailed(f"{method} was answered without messages")
        for message in messages:
            if isinstance(message, dict) and _is_of(message, card, bot):
                return posted_of({"channel": channel, "ts": message.get("ts")})
        metadata = reply.get("response_metadata")
        cursor = metadata.get("next_cursor") if isinstance(metadata, dict) else None
        if not cursor:
            return None
        arguments["cursor"] = cursor
    raise SlackFailed(f"the card is not among the last {MOST_PAGES * PAGE:,} messages, and there are more of the day")


def _is_of(message: Mapping[str, JsonValue], card: Card, bot: str) -> bool:
    return message.get("bot_id") == bot and message.get("metadata") == metadata_of(card)
