"""Calls of Slack's Web API: one session, one token a connection, and errors that say whether anything was done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
from slack_sdk.errors import SlackApiError
from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from ...errors import InvalidInput
from ...payload import JsonObject, JsonValue
from ...printable import printable
from .errors import (
    CARD_GONE,
    LIMITED,
    MENDABLE,
    METHOD_REFUSED,
    NO_RETRY_AFTER,
    PERMANENT,
    TOKEN_REFUSED,
    NotSent,
    Paused,
    RateLimited,
    Refused,
    SlackFailed,
)
from .limits import LONGEST_WAIT, Connection, Pauses, Rates

# A connection is made within the first, a reply is there within the second; a post has 20 s in all, an edit 15 s.
CONNECT_SECONDS = 5.0
REPLY_SECONDS = 10.0
MOST_CONNECTIONS = 100
_REASON_CHARACTERS = 300
# These take no JSON (their pages on docs.slack.dev, "Content types").
_READS = frozenset({"conversations.history", "conversations.replies"})

# The client logs what it sends and receives at DEBUG, the question's text included: nothing below ERROR is let out.
_silent = logging.Logger("slack_sdk of pendingctl", level=logging.ERROR)


class Calls:
    """Calls methods of Slack for the connections whose `tokens` are given, at `base_url`."""

    def __init__(self, tokens: Mapping[Connection, str], base_url: str, clock: Callable[[], float]) -> None:
        self._tokens = dict(tokens)
        self._base_url = checked_base_url(base_url)
        self._clock = clock
        self._rates = Rates(clock)
        self.pauses = Pauses(clock)
        # By origin, read once: what the environment names costs as much as a fifth of a call.
        self._proxies: dict[tuple[str, str], str | None] = {}
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(
        self, connection: Connection, method: str, arguments: JsonObject, *, pauses: bool = True
    ) -> JsonObject:
        """Call a method and return its reply.

        One that Slack limits for a short time waits, in this channel alone. `pauses` says that a token that may not
        do this pauses the method; else it is Refused as `missing_scope`. Raises SlackFailed, of which SurelyNothing
        says that nothing was done.
        """
        token = self._tokens.get(connection)
        if token is None:
            raise NotSent(f"there is no token for connection {connection[1]!r} of {connection[0]!r}")
        channel = str(arguments.get("channel", ""))
        until = self._clock() + LONGEST_WAIT.total_seconds()
        while True:
            if (remaining := self.pauses.remaining(connection, method)) is not None:
                raise Paused(f"Slack has refused the token or its scopes for {method} lately", remaining)
            await self._rates.wait(connection, method, channel, until)
            try:
                reply = await self._send(token, method, arguments)
            except RateLimited as error:
                self._rates.limit(connection, method, channel, error.retry_after)
                if self._clock() + error.retry_after.total_seconds() > until:
                    raise
            except _TokenRefused as error:
                raise Paused(str(error), self.pauses.refused(connection, "", str(error))) from None
            except _MethodRefused as error:
                if not pauses:
                    raise Refused(str(error), "missing_scope") from None
                raise Paused(str(error), self.pauses.refused(connection, method, str(error))) from None
            else:
                self.pauses.accepted(connection, method)
                return reply

    async def respond(self, url: str, message: JsonObject) -> None:
        """Show a message to one person by a press's `response_url`, which takes five within half an hour.

        docs.slack.dev, "Handling user interaction". Raises SlackFailed.
        """
        shown = {**message, "response_type": "ephemeral", "replace_original": False}
        try:
            # No redirect, since it could lead anywhere.
            async with self._opened().post(url, json=shown, allow_redirects=False, proxy=self._proxy(url)) as reply:
                status = reply.status
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise SlackFailed(f"the response_url cannot be reached: {type(error).__name__}") from None
        if status != 200:
            raise SlackFailed(f"the response_url was answered {status}")

    async def _send(self, token: str, method: str, arguments: JsonObject) -> JsonObject:
        """Send one request. No cause is chained, since slack_sdk's errors quote the whole reply."""
        client = AsyncWebClient(
            token=token,
            base_url=self._base_url,
            session=self._opened(),
            # Its default sends a request again whose connection broke after Slack took it: a card would be there twice.
            retry_handlers=[],
            logger=_silent,
        )
        # The client takes the environment's proxy whatever NO_PROXY says.
        client.proxy = self._proxy(self._base_url)
        try:
            if method in _READS:
                response = await client.api_call(method, http_verb="GET", params=dict(arguments))
            else:
                response = await client.api_call(method, json=dict(arguments))
        except SlackApiError as error:
            raise _meaning(method, error) from None
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"Slack cannot be reached: {_named(error)}") from None
        except Exception as error:  # noqa: BLE001 (whatever the client raises over a reply that is no JSON, or none)
            raise SlackFailed(f"{method} ended without a reply that can be read: {_named(error)}") from None
        data: object = response.data
        if not isinstance(data, dict):
            raise SlackFailed(f"{method} ended without a reply that can be read")
        reply: dict[str, JsonValue] = data
        return reply

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS),
                timeout=aiohttp.ClientTimeout(total=REPLY_SECONDS, connect=CONNECT_SECONDS),
                # Tokens of different workspaces share the session, and must not share cookies.
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._session

    def _proxy(self, url: str) -> str | None:
        parts = urlsplit(url)
        origin = (parts.scheme, parts.netloc)
        if origin not in self._proxies:
            self._proxies[origin] = _proxy_of(*origin)
        return self._proxies[origin]


class _TokenRefused(SlackFailed):
    pass


class _MethodRefused(SlackFailed):
    pass


def _meaning(method: str, error: SlackApiError) -> SlackFailed:
    """Return what a reply means that is no success."""
    response = error.response
    if not isinstance(response, AsyncSlackResponse):
        return SlackFailed(f"{method} ended without a reply that can be read")
    data: object = response.data
    said = data.get("error") if isinstance(data, dict) else None
    code = said if isinstance(said, str) else ""
    status = int(response.status_code)
    reason = f"{method} was answered {status} {_details(data) if code else 'and no error of Slack'}"
    if status == 429 or code in LIMITED:
        return RateLimited(reason, _retry_after(response.headers))
    if status >= 500:
        return SlackFailed(reason)
    if code in TOKEN_REFUSED:
        return _TokenRefused(reason)
    if code in METHOD_REFUSED:
        return _MethodRefused(reason)
    return Refused(reason, code) if code in MENDABLE | PERMANENT | CARD_GONE else SlackFailed(reason)


def _details(data: object) -> str:
    """Return the error with what Slack says of it: the missing scope, the block that is wrong."""
    assert isinstance(data, dict)
    metadata = data.get("response_metadata")
    messages = metadata.get("messages") if isinstance(metadata, dict) else None
    said = [data.get("error"), *(messages if isinstance(messages, list) else ())]
    if data.get("needed"):
        said.append(f"needed: {data['needed']}")
    return printable("; ".join(map(str, said)))[:_REASON_CHARACTERS]


def _retry_after(headers: Mapping[str, str]) -> timedelta:
    said = headers.get("Retry-After", "").strip()
    # Slack writes seconds (docs.slack.dev, "Rate limits"); nine digits are 31 years.
    return timedelta(seconds=int(said)) if said.isascii() and said.isdigit() and len(said) < 10 else NO_RETRY_AFTER


def _named(error: Exception) -> str:
    return printable(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)[:_REASON_CHARACTERS]


def checked_base_url(base_url: str) -> str:
    """Return the URL below which Slack's methods are, with one slash at its end. Raises InvalidInput."""
    try:
        parts = urlsplit(base_url)
        is_fit = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        is_fit = False
    if not is_fit or parts.query or parts.fragment:
        raise InvalidInput("Slack's base URL cannot be read; give it as https://HOST/api/")
    return base_url.rstrip("/") + "/"


def _proxy_of(scheme: str, netloc: str) -> str | None:
    if proxy_bypass(netloc):
        return None
    proxies = getproxies()
    return proxies.get(scheme) or proxies.get("all")
