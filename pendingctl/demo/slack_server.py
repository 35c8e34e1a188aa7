"""A strict Slack on loopback: it refuses what Slack's pages say is refused, has people who press, and fails as it is
wanted to.

It serves the Web API and the `response_url` of presses. One for people who try `serve --demo` and for tests.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from ..payload import JsonObject
from . import presses
from .faults import Fault, Faults, Rate, Rates
from .messages import Message, Reply
from .presses import Delivery, Pressed, Seen
from .requests import error, loopback_alone, read_arguments, read_object
from .response_urls import ResponseUrls
from .web_api import METHODS, needed_scope, perform
from .workspaces import Person, Workspaces, acme_and_others

RESPONSE_URL = "response_url"
MOST_BODY_BYTES = 1 << 20
# How long what people see is waited for: above what it takes on a machine that is busy.
_WITHIN_SECONDS = 20.0


class FakeSlack:
    """Slack at `url` while it is entered with `async with`, with the workspaces that are `known`.

    `calls` are the methods called with their arguments, also those that failed; `responses` is what was sent to a
    response_url. `clock` gives seconds that never go back. It listens on loopback alone; port 0 is any free one.
    """

    def __init__(
        self, known: Workspaces | None = None, *, port: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.known = acme_and_others() if known is None else known
        self.people, self.apps = self.known.people, self.known.apps
        self.installations, self.channels = self.known.installations, self.known.channels
        self.replies = self.known.replies
        self.calls: list[tuple[str, JsonObject]] = []
        self.responses: list[JsonObject] = []
        self.origin = self.url = ""
        # For routes beside Slack's own, added before it is entered.
        self.application = web.Application(client_max_size=MOST_BODY_BYTES, middlewares=[loopback_alone])
        self._port = port
        self._faults = Faults()
        self._rates = Rates(clock)
        self._response_urls = ResponseUrls(self.known, clock)
        self._runner: web.AppRunner | None = None
        self._client: aiohttp.ClientSession | None = None
        self._changed = asyncio.Condition()
        self._ended = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.application.router.add_route("*", "/api/{method}", self._serve)
        self.application.router.add_post("/actions/{team}/{number}/{secret}", self._take_response)
        self._runner = web.AppRunner(self.application, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port).start()
        self.origin = self._response_urls.base = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.url = f"{self.origin}/api/"
        # Each press comes on a connection of its own, for a balancer to send where it wants.
        connector = aiohttp.TCPConnector(force_close=True, limit=0)
        self._client = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._client is not None:
            await self._client.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def fail(self, method: str, *faults: Fault, channel: str = "") -> None:
        """Let the next calls of a method fail, one each; only those in a channel if one is named.

        The method `response_url` stands for responses to presses.
        """
        self._faults.add(method, channel, *faults)

    def heal(self) -> None:
        """Let no more calls fail."""
        self._faults.clear()

    def limit(self, method: str, rate: Rate) -> None:
        """Take no more calls of a method than this in one channel: 429 with Retry-After."""
        self._rates.of[method] = rate

    def called(self, method: str) -> list[JsonObject]:
        """The arguments of the calls of a method."""
        return [arguments for name, arguments in self.calls if name == method]

    def messages(self, channel: str = "C1") -> list[Message]:
        """What people see in a channel, threads included, the oldest first."""
        return list(self.channels[channel].messages.values()) if channel in self.channels else []

    def message(self, of: Message) -> Message | None:
        """Return what a message is now, None if it is gone."""
        return self.channels[of.channel].messages.get(of.ts)

    def delivery(
        self, user: str | Person, message: Message, choice: str, *, from_copy: Message | None = None
    ) -> Delivery:
        """Return the request that a press of a button brings, signed now and not sent.

        `user` is a person, their id or `TEAM:USER`, and `choice` a button's label or action_id. A button can be pressed
        that the message has now, or had in `from_copy`, the earlier message that a slow client still shows. Raises
        LookupError where there is no such person or button, and where the person is not in the channel.
        """
        person = user if isinstance(user, Person) else self.known.person(user)
        channel = self.channels[message.channel]
        shown = from_copy or self.message(message)
        if shown is None:
            raise LookupError(f"the message {message.ts} is gone")
        if person.key not in channel.members:
            raise LookupError(f"{person.key} is not in the channel {channel.id}")
        button = shown.button(choice)
        now = time.time()
        response_url = self._response_urls.issue(person.key, channel.id, shown.ts)
        given = presses.payload(
            self.known,
            person=person,
            channel=channel,
            message=shown,
            button=button,
            response_url=response_url,
            now=now,
        )
        app = self.apps[self.known.installation_of(shown.bot or "").app]
        body = presses.form(given)
        return Delivery(
            url=app.request_url or "",
            body=body,
            headers=presses.signed(body, app, now=now),
            user=person.key,
            channel=channel.id,
            ts=shown.ts,
            response_url=response_url,
            replies_before=len(self.replies),
        )

    async def press(
        self,
        user: str | Person,
        message: Message,
        choice: str,
        *,
        from_copy: Message | None = None,
        to: str | None = None,
    ) -> Pressed:
        """Press a button, and return what the person sees of it within 3 s. Arguments as for `delivery`.

        It is sent to the app's request URL, or `to` another.
        """
        return await self.deliver(self.delivery(user, message, choice, from_copy=from_copy), to=to)

    async def deliver(self, delivery: Delivery, *, to: str | None = None) -> Pressed:
        """Send a request to an app as Slack does: one time, for 3 s and no longer, without following redirects."""
        assert self._client is not None
        begun = time.monotonic()
        status, body, seen = None, b"", Seen.FAILED
        try:
            async with (
                asyncio.timeout(presses.ACKNOWLEDGE_SECONDS),
                self._client.post(
                    to or delivery.url, data=delivery.body, headers=delivery.headers, allow_redirects=False
                ) as reply,
            ):
                status, body = reply.status, await reply.read()
                seen = Seen.ACKNOWLEDGED if status == 200 else Seen.FAILED
        except TimeoutError:
            status, seen = None, Seen.TIMED_OUT
        except (aiohttp.ClientError, OSError):
            status = None
        return Pressed(delivery=delivery, seen=seen, status=status, body=body, seconds=time.monotonic() - begun)

    def replies_to(self, pressed: Pressed | Delivery) -> list[Reply]:
        """Return what whoever has pressed was shown since: by the press's response_url, and by chat.postEphemeral.

        The latter name no press: any in this channel since then counts.
        """
        sent = pressed.delivery if isinstance(pressed, Pressed) else pressed
        return [
            reply
            for reply in self.replies[sent.replies_before :]
            if reply.response_url == sent.response_url
            or (reply.response_url is None and (reply.user, reply.channel) == (sent.user, sent.channel))
        ]

    async def reply_to(self, pressed: Pressed | Delivery, *, within: float = _WITHIN_SECONDS) -> Reply:
        """Return the first reply to a press, waited for at most `within` seconds. Raises TimeoutError."""
        await self.until(lambda: bool(self.replies_to(pressed)), within=within)
        return self.replies_to(pressed)[0]

    async def edit_of(self, message: Message, *, within: float = _WITHIN_SECONDS) -> Message:
        """Return the message once it differs from what is given, waited for at most `within` seconds.

        Raises TimeoutError, and LookupError where it is gone.
        """
        await self.until(lambda: self.message(message) != message, within=within)
        edited = self.message(message)
        if edited is None:
            raise LookupError(f"the message {message.ts} is gone")
        return edited

    async def until(self, condition: Callable[[], bool], *, within: float = _WITHIN_SECONDS) -> None:
        """Wait until what Slack shows meets a condition, which is looked at after each call. Raises TimeoutError."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(condition)

    def issue_response_url(self, user: str, channel: str, ts: str) -> str:
        """Return a `response_url` without a press: for a person, `TEAM:USER`, and a message."""
        return self._response_urls.issue(user, channel, ts)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        method = request.match_info["method"]
        arguments, trouble = await read_arguments(method, request)
        self.calls.append((method, arguments))
        authorization = request.headers.get("Authorization", "")
        by = self.installations.get(authorization.removeprefix("Bearer "))
        channel = arguments.get("channel")
        channel = channel if isinstance(channel, str) else ""

        def work() -> JsonObject:
            if not authorization:
                return error("not_authed")
            return trouble or perform(self.known, by, method, arguments)

        fault = self._faults.take(method, channel)
        if fault is None and by is not None:
            fault = self._rates.limit(by.bot, method, channel)
        response = await self._replied(request, fault, work)
        if by is not None and method in METHODS:
            response.headers["X-OAuth-Scopes"] = ",".join(sorted(by.scopes))
            if (scope := needed_scope(method, channel)) is not None:
                response.headers["X-Accepted-OAuth-Scopes"] = scope
        return response

    async def _take_response(self, request: web.Request) -> web.StreamResponse:
        fault = self._faults.take(RESPONSE_URL, "")
        response = await read_object(request) or {}
        self.responses.append(response)
        status = 200

        def work() -> JsonObject:
            nonlocal status
            status, reply = self._response_urls.respond(request.path, response)
            return reply

        replied = await self._replied(request, fault, work)
        if fault is None:
            replied.set_status(status)
        return replied

    async def _replied(
        self, request: web.Request, fault: Fault | None, work: Callable[[], JsonObject]
    ) -> web.StreamResponse:
        """Do the work, unless a fault prevents it, and return the reply, unless there is none."""
        if fault is None or fault.is_done:
            reply = work()
        else:
            reply = {**error(fault.error or "fatal_error"), "response_metadata": {"messages": list(fault.details)}}
        async with self._changed:
            self._changed.notify_all()
        if fault is None:
            return web.json_response(reply)
        await asyncio.sleep(fault.seconds)
        if fault.is_silent:
            await self._ended.wait()
        if fault.hangs_up or fault.is_silent:
            assert request.transport is not None
            request.transport.abort()
        headers = {
            name: value
            for name, value in (("Retry-After", fault.retry_after), ("Location", fault.location))
            if value is not None
        }
        if fault.body is not None:
            return web.Response(status=fault.status, text=fault.body, content_type=fault.content_type, headers=headers)
        return web.json_response(reply, status=fault.status, headers=headers)
