"""Slack as a chat platform. Needs the extra `slack`."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from ...errors import InvalidInput
from ...payload import JsonValue
from ..protocol import Card, CardGone, MessageHandle, NotPosted, Reminder
from ..wording import Sentence
from .blocks import Confirm, Message, card_message, check_card, said_message
from .calls import Calls
from .clicks import Press
from .errors import CARD_GONE, MENDABLE, PERMANENT, Paused, RateLimited, Refused, SlackFailed, SurelyNothing
from .limits import Connection
from .references import Conversation, Posted, conversation_of, posted_of
from .search import bot_of, find, metadata_of

BASE_URL = "https://slack.com/api/"
_MOST_DIRECT_MESSAGES = 10_000

_log = logging.getLogger(__name__)


class SlackPlatform:
    """Posts questions to Slack, and edits them there, with one token for each (organization, connection).

    A question's `conversation_id` is a channel's id (`C0123`), a channel and a thread in it
    (`C0123:1712345678.000100`), or a person's id (`U0123`), whose direct messages are opened; without one the question
    is shown in its user's.

    With `confirm` a dialog asks once more before a press counts. `base_url` is where Slack's methods are. Use it with
    `async with`, or `close` it after the bridges that use it.

    A card has 25 options at most; if one has over 30 characters, all stand in full above the buttons. What has no room,
    4,000 characters with the buttons, and 3,000 above them, is refused when it is asked. Of a question over 4,500
    characters the beginning and the end are shown. A post whose outcome is unknown is looked for (`find_card`), for
    which the token needs the scopes `channels:history`, `groups:history` and `im:history`.

    A token that Slack refuses pauses its connection (`is_paused`) for 1, 2, 4, … minutes, an hour at most.

    Raises InvalidInput for a base URL that cannot be read.
    """

    def __init__(
        self,
        tokens: Mapping[tuple[str, str], str],
        *,
        confirm: Confirm | None = None,
        base_url: str = BASE_URL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens = frozenset(tokens)
        self._calls = Calls(tokens, base_url, clock)
        self._confirm = confirm
        self._direct_messages: OrderedDict[tuple[Connection, str], str] = OrderedDict()
        self._bots: dict[Connection, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections to Slack."""
        await self._calls.close()

    def check_card(self, connection_id: str, card: Card) -> None:
        """Raise InvalidInput for a card that a connection cannot show: no token, no conversation, too many options."""
        if (card.organization_id, connection_id) not in self._tokens:
            raise InvalidInput(
                f"there is no token of Slack for connection {connection_id!r} of {card.organization_id!r}; give one to "
                "SlackPlatform"
            )
        check_card(card, self._confirm)

    def is_paused(self, organization_id: str, connection_id: str) -> bool:
        """Whether Slack has refused the connection's token, or the scope to post, a short time ago."""
        return self._calls.pauses.remaining((organization_id, connection_id), "chat.postMessage") is not None

    async def post_card(self, connection_id: str, card: Card) -> MessageHandle:
        """Post a card and return its reference, `{"channel": …, "ts": …}`.

        Raises NotPosted when Slack has surely not posted it, and SlackFailed when that is unknown.
        """
        connection = (card.organization_id, connection_id)
        try:
            self.check_card(connection_id, card)
            conversation = conversation_of(card.conversation_id, card.user_id)
        except InvalidInput as error:
            raise NotPosted(str(error), is_permanent=True) from None
        message = card_message(card, self._confirm)
        try:
            posted = await self._post(connection, conversation, message, metadata=metadata_of(card))
        except SurelyNothing as error:
            raise _not_posted(error) from None
        return posted.as_json()

    async def edit_card(self, connection_id: str, handle: MessageHandle, card: Card) -> None:
        """Replace what a card shows. Raises CardGone when no edit of it can succeed, else SlackFailed."""
        posted = posted_of(handle)
        if posted is None:
            raise CardGone("its row has no reference of Slack's")
        connection = (card.organization_id, connection_id)
        message = _message(card_message(card, self._confirm))
        try:
            await self._calls.call(connection, "chat.update", {**posted.as_json(), **message})
        except Refused as error:
            if error.code in CARD_GONE:
                raise CardGone(str(error)) from None
            raise

    async def post_reminder(self, connection_id: str, handle: MessageHandle, reminder: Reminder) -> None:
        """Post a reminder in the thread of its card. Raises NotPosted when Slack has surely not posted it.

        An escalation is not posted where the card stands in the direct messages of another.
        """
        connection = (reminder.organization_id, connection_id)
        posted = posted_of(handle)
        try:
            conversation = conversation_of(reminder.conversation_id, reminder.user_id)
        except InvalidInput as error:
            raise NotPosted(str(error), is_permanent=True) from None
        if posted is not None:
            # A thread is named by its first message: in one that began before the card, that is another.
            conversation = Conversation(posted.channel, is_person=False, thread=conversation.thread or posted.ts)
        if reminder.is_escalation and conversation.is_direct:
            raise NotPosted("its card stands in direct messages that nobody else sees", is_permanent=True)
        try:
            await self._post(connection, conversation, said_message(reminder.said))
        except SurelyNothing as error:
            raise _not_posted(error) from None

    async def find_card(self, connection_id: str, card: Card) -> MessageHandle | None:
        """Return the reference of this asking's card, None if there is none among the messages of the last day.

        Raises NotPosted where the token may not read the conversation, and SlackFailed where Slack does not say.
        """
        connection = (card.organization_id, connection_id)
        try:
            conversation = conversation_of(card.conversation_id, card.user_id)
            found = await find(
                *(self._calls, connection, card),
                channel=await self._channel(connection, conversation),
                thread=conversation.thread,
                bot=await self._bot(connection),
            )
        except InvalidInput as error:
            raise NotPosted(str(error), is_permanent=True) from None
        except Refused as error:
            raise NotPosted(
                f"it cannot be looked for: {error}; look whether it is there, and let the app read the conversation",
                is_permanent=error.code not in MENDABLE,
            ) from None
        except (Paused, RateLimited) as error:
            raise _not_posted(error) from None
        return None if found is None else found.as_json()

    async def reply(
        self, press: Press, said: Sentence, *, organization_id: str | None = None, connection_id: str | None = None
    ) -> None:
        """Show a reply to whoever has pressed a button, and to nobody else, below the card that stays as it is.

        By the press's `response_url`, which needs no token, and where that fails by the connection's
        chat.postEphemeral, if one is given. Raises SlackFailed if both fail.
        """
        shown = _message(said_message(said))
        if press.thread_ts is not None:
            shown["thread_ts"] = press.thread_ts
        if press.response_url is not None:
            try:
                await self._calls.respond(press.response_url, shown)
            except SlackFailed as error:
                _log.info("a reply by response_url failed: %s", error)
            else:
                return
        if organization_id is None or connection_id is None:
            raise SlackFailed("there is no connection by which the reply could be posted")
        arguments = {"channel": press.channel_id, "user": press.user_id, **shown}
        await self._calls.call((organization_id, connection_id), "chat.postEphemeral", arguments)

    async def _bot(self, connection: Connection) -> str:
        if connection not in self._bots:
            self._bots[connection] = await bot_of(self._calls, connection)
        return self._bots[connection]

    async def _post(
        self, connection: Connection, conversation: Conversation, message: Message, **more: JsonValue
    ) -> Posted:
        channel = await self._channel(connection, conversation)
        arguments: dict[str, JsonValue] = {
            "channel": channel,
            **_message(message),
            "unfurl_links": False,
            "unfurl_media": False,
            **more,
        }
        if conversation.thread is not None:
            arguments["thread_ts"] = conversation.thread
        try:
            reply = await self._calls.call(connection, "chat.postMessage", arguments)
        except Refused:
            self._direct_messages.pop((connection, conversation.id), None)
            raise
        posted = posted_of(reply)
        if posted is None:
            raise SlackFailed("chat.postMessage was answered without the message's channel and time")
        return posted

    async def _channel(self, connection: Connection, conversation: Conversation) -> str:
        """Return the conversation's channel; a person's direct messages are opened first."""
        if not conversation.is_person:
            return conversation.id
        key = (connection, conversation.id)
        if key not in self._direct_messages:
            try:
                reply = await self._calls.call(connection, "conversations.open", {"users": conversation.id})
            except SurelyNothing:
                raise
            except SlackFailed as error:
                # Opened or not, nothing was posted.
                raise SurelyNothing(str(error)) from None
            opened = reply.get("channel")
            channel = opened.get("id") if isinstance(opened, dict) else None
            if not isinstance(channel, str):
                raise SurelyNothing("conversations.open was answered without a channel")
            self._direct_messages[key] = channel
            if len(self._direct_messages) > _MOST_DIRECT_MESSAGES:
                self._direct_messages.popitem(last=False)
        return self._direct_messages[key]


def _message(message: Message) -> dict[str, JsonValue]:
    # Without `parse` an edit links names and channels in the text (docs.slack.dev, "chat.update method").
    return {"text": message.text, "blocks": list(message.blocks), "parse": "none"}


def _not_posted(error: SurelyNothing) -> NotPosted:
    match error:
        case Paused() | RateLimited():
            return NotPosted(str(error), retry_after=error.retry_after)
        case Refused():
            return NotPosted(str(error), is_permanent=error.code in PERMANENT)
    return NotPosted(str(error))
