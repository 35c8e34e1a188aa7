"""A strict Slack on loopback: it refuses what Slack's pages say is refused, and fails as a test wants it to."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias

from aiohttp import web

from .block_rules import MOST_TEXT, complaints, text_length

Fields: TypeAlias = Mapping[str, Any]

SCOPES = frozenset({"chat:write", "im:write", "channels:history", "groups:history", "im:history"})
NEEDED = {
    "chat.postMessage": "chat:write",
    "chat.update": "chat:write",
    "chat.postEphemeral": "chat:write",
    "conversations.open": "im:write",
    "conversations.history": "channels:history",
    "conversations.replies": "channels:history",
}
READS = frozenset({"conversations.history", "conversations.replies"})


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one call: `then` says whether it is done first, and what is replied, if anything."""

    is_done: bool = False
    error: str | None = None
    details: tuple[str, ...] = ()
    status: int = 200
    retry_after: str | None = None
    body: str | None = None
    content_type: str = "text/html"
    hangs_up: bool = False
    is_silent: bool = False


@dataclass
class Channel:
    """A conversation, with its messages by their time."""

    id: str
    is_archived: bool = False
    has_bot: bool = True
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class App:
    """An installation: what its token may do, and as whom it posts."""

    team: str
    bot: str
    scopes: frozenset[str] = SCOPES
    error: str | None = None


class FakeSlack:
    """The Web API of some workspaces. `calls` are the methods called, also those that failed."""

    def __init__(self) -> None:
        self.apps = {"xoxb-acme": App("T1", "B1"), "xoxb-globex": App("T2", "B2")}
        self.channels = {id: Channel(id) for id in ("C1", "C2", "C7")}
        self.calls: list[tuple[str, Fields]] = []
        # What was shown to one person, by a response_url or as an ephemeral message.
        self.replies: list[Fields] = []
        self.ephemerals: list[Fields] = []
        self.reply_status = 200
        self.url = ""
        self._faults: defaultdict[tuple[str, str], list[Fault]] = defaultdict(list)
        self._numbers = count()
        self._runner: web.AppRunner | None = None
        self._ended = asyncio.Event()

    async def start(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/api/{method}", self._serve)
        app.router.add_post("/reply/1", self._take_reply)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}/api/"

    async def stop(self) -> None:
        self._ended.set()
        if self._runner is not None:
            await self._runner.cleanup()

    def fail(self, method: str, *faults: Fault, channel: str = "") -> None:
        """Let the next calls of a method fail, one each; only those in a channel if one is named."""
        self._faults[method, channel] += faults

    def heal(self) -> None:
        """Let no more calls fail."""
        self._faults.clear()

    def called(self, method: str) -> list[Fields]:
        """The arguments of the calls of a method."""
        return [arguments for name, arguments in self.calls if name == method]

    def messages(self, channel: str = "C1") -> list[dict[str, Any]]:
        """What people see in a channel, threads included, the oldest first."""
        return list(self.channels[channel].messages.values()) if channel in self.channels else []

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        arguments, trouble = await _arguments(method, request)
        self.calls.append((method, arguments))
        fault = self._next_fault(method, str(arguments.get("channel", "")))
        if fault is None or fault.is_done:
            reply = trouble or self._do(method, request.headers.get("Authorization", ""), arguments)
        else:
            reply = {"ok": False, "error": fault.error, "response_metadata": {"messages": list(fault.details)}}
        if fault is not None and fault.is_silent:
            await self._ended.wait()
        if fault is not None and (fault.hangs_up or fault.is_silent):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        headers = {"Retry-After": fault.retry_after} if fault is not None and fault.retry_after is not None else {}
        if fault is not None and fault.body is not None:
            return web.Response(status=fault.status, text=fault.body, content_type=fault.content_type, headers=headers)
        return web.json_response(reply, status=fault.status if fault else 200, headers=headers)

    async def _take_reply(self, request: web.Request) -> web.StreamResponse:
        if self.reply_status != 200:
            return web.Response(status=self.reply_status, headers={"Location": f"{self.url}../reply/1"})
        reply = await request.json()
        if reply.get("response_type") != "ephemeral" or reply.get("replace_original") is not False:
            return web.Response(status=400)
        if _content(reply, 4_000) is not None:
            return web.Response(status=404)
        self.replies.append(reply)
        return web.Response(text="ok")

    def _next_fault(self, method: str, channel: str) -> Fault | None:
        for key in ((method, channel), (method, "")):
            if self._faults[key]:
                return self._faults[key].pop(0)
        return None

    def _do(self, method: str, authorization: str, arguments: Fields) -> Fields:
        app = self.apps.get(authorization.removeprefix("Bearer "))
        if not authorization:
            return _error("not_authed")
        if app is None:
            return _error("invalid_auth")
        if app.error is not None:
            return _error(app.error)
        if NEEDED.get(method, "chat:write") not in app.scopes:
            return {**_error("missing_scope"), "needed": NEEDED[method], "provided": ",".join(sorted(app.scopes))}
        match method:
            case "auth.test":
                return {"ok": True, "team_id": app.team, "bot_id": app.bot, "user_id": "UBOT"}
            case "conversations.open":
                return self._open(arguments)
            case "chat.postMessage":
                return self._post(app, arguments)
            case "chat.update":
                return self._update(app, arguments)
            case "chat.postEphemeral":
                refusal = _content(arguments, 40_000)
                if refusal is None:
                    self.ephemerals.append(arguments)
                return refusal or {"ok": True, "message_ts": "1712345678.000100"}
            case "conversations.history" | "conversations.replies":
                return self._read(method, arguments)
        return _error("unknown_method")

    def _open(self, arguments: Fields) -> Fields:
        user = arguments.get("users")
        if not isinstance(user, str) or user[:1] not in ("U", "W"):
            return _error("user_not_found")
        channel = self.channels.setdefault(f"D{user}", Channel(f"D{user}"))
        return {"ok": True, "channel": {"id": channel.id}}

    def _post(self, app: App, arguments: Fields) -> Fields:
        channel = self.channels.get(arguments["channel"])
        if channel is None:
            return _error("channel_not_found")
        if channel.is_archived:
            return _error("is_archived")
        if not channel.has_bot:
            return _error("not_in_channel")
        if (thread := arguments.get("thread_ts")) is not None and thread not in channel.messages:
            return _error("thread_not_found")
        if (refusal := _content(arguments, 40_000)) is not None:
            return refusal
        metadata = arguments.get("metadata")
        if metadata is not None and set(metadata) != {"event_type", "event_payload"}:
            return _error("invalid_metadata_format")
        number = next(self._numbers)
        ts = f"{int(time.time())}.{number:06d}"
        channel.messages[ts] = {
            "ts": ts,
            "bot_id": app.bot,
            **{key: arguments[key] for key in ("text", "blocks", "metadata", "thread_ts") if key in arguments},
        }
        return {"ok": True, "channel": channel.id, "ts": ts, "message": channel.messages[ts]}

    def _update(self, app: App, arguments: Fields) -> Fields:
        channel = self.channels.get(arguments["channel"])
        if channel is None:
            return _error("channel_not_found")
        message = channel.messages.get(arguments["ts"])
        if message is None:
            return _error("message_not_found")
        if message["bot_id"] != app.bot:
            return _error("cant_update_message")
        if channel.is_archived:
            return _error("is_inactive")
        if (refusal := _content(arguments, 4_000)) is not None:
            return refusal
        message |= {"text": arguments["text"], "blocks": arguments["blocks"], "edited": True}
        return {"ok": True, "channel": channel.id, "ts": message["ts"], "text": message["text"]}

    def _read(self, method: str, arguments: Fields) -> Fields:
        channel = self.channels.get(arguments["channel"])
        if channel is None:
            return _error("channel_not_found")
        is_thread = method == "conversations.replies"
        if is_thread and arguments.get("ts") not in channel.messages:
            return _error("thread_not_found")
        found = [
            message
            for message in channel.messages.values()
            if (
                arguments["ts"] in (message["ts"], message.get("thread_ts"))
                if is_thread
                else "thread_ts" not in message
            )
            and float(message["ts"]) >= float(arguments.get("oldest", 0))
        ]
        if not is_thread:
            found.reverse()
        begin, limit = int(arguments.get("cursor") or 0), int(arguments["limit"])
        if limit > 999:
            return _error("invalid_arguments")
        page = found[begin : begin + limit]
        if arguments.get("include_all_metadata") not in ("1", "true"):
            page = [{key: value for key, value in message.items() if key != "metadata"} for message in page]
        more = {"next_cursor": str(begin + limit)} if len(found) > begin + limit else {"next_cursor": ""}
        return {"ok": True, "messages": page, "has_more": bool(more["next_cursor"]), "response_metadata": more}


async def _arguments(method: str, request: web.Request) -> tuple[Fields, Fields | None]:
    """The arguments of a call, and why they are refused if they are."""
    if method in READS:
        return dict(request.query), None if request.method == "GET" else _error("invalid_post_type")
    if request.method != "POST" or request.headers.get("Content-Type", "").lower() not in (
        "application/json;charset=utf-8",
        "application/json; charset=utf-8",
    ):
        return {}, _error("invalid_post_type")
    arguments = await request.json()
    return (arguments, None) if isinstance(arguments, dict) else ({}, _error("invalid_form_data"))


def _content(arguments: Fields, most: int) -> Fields | None:
    """Why a message's text and blocks are refused."""
    text, blocks = arguments.get("text"), arguments.get("blocks")
    if not isinstance(text, str) or not text:
        return _error("no_text")
    if len(text) > most:
        return _error("msg_too_long")
    if arguments.get("parse") not in (None, "none", "full"):
        return _error("invalid_arguments")
    if found := complaints(blocks):
        return {**_error("invalid_blocks"), "response_metadata": {"messages": [f"[ERROR] {each}" for each in found]}}
    return _error("msg_blocks_too_long") if text_length(blocks) > MOST_TEXT else None


def _error(name: str) -> Fields:
    return {"ok": False, "error": name}


@asynccontextmanager
async def running_slack() -> AsyncIterator[FakeSlack]:
    """Slack, with two workspaces and the channels C1, C2 and C7."""
    slack = FakeSlack()
    await slack.start()
    try:
        yield slack
    finally:
        await slack.stop()
