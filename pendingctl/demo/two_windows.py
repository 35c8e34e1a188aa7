"""The page of `serve --demo`: two windows of one person read a conversation at two pods, press and kill pods.

Words come from the pods' public listeners, straight to the browser; buttons are those of the card in the demo's Slack.
"""

from __future__ import annotations

import asyncio
import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files
from math import ceil
from urllib.parse import unquote

import aiohttp
from aiohttp import web

from ..payload import JsonObject, JsonValue
from ..platforms.wording import ENGLISH, Sentence
from .channel_html import plain_text
from .guard import HEADERS, Guard
from .kept_pods import KeptPod
from .leases import LeftLeases
from .messages import Message, text_of
from .presses import WARNINGS
from .requests import read_object
from .slack_server import FakeSlack

_LOOK_SECONDS = 0.1
_REPLY_SECONDS = 8.0
# A pod that hangs is given up for the other one long before the page would ask anew, and be sent to it again.
_TICKET_WITHIN = aiohttp.ClientTimeout(total=2.0)
_PAGE = files("pendingctl.demo").joinpath("two_windows.html").read_text(encoding="utf-8")
_CLIENT = files("pendingctl.sse").joinpath("stream_client.js").read_text(encoding="utf-8")


def _hash(element: str) -> str:
    """Return what allows the one element of this name and nothing else of its kind (CSP level 3, section 2.3.1)."""
    (content,) = re.findall(rf"<{element}[^>]*>(.*?)</{element}>", _PAGE, re.DOTALL)
    return f"'sha256-{b64encode(sha256(content.encode()).digest()).decode()}'"


class TwoWindows:
    """The page, on the port of a Slack that is not entered yet; `pods` may be filled after that, with A and B.

    Whoever knows its token may press as `person`, in `channel`, and kill the pods. `leases` are those that pods have
    left which were killed, `stream` is what the windows read, and `client` sends the token of its organization.
    """

    def __init__(
        self,
        slack: FakeSlack,
        pods: Mapping[str, KeptPod],
        leases: LeftLeases,
        client: aiohttp.ClientSession,
        *,
        stream: str,
        channel: str,
        person: str = "T1:U1",
    ) -> None:
        self._slack = slack
        self._pods = pods
        self._leases = leases
        self._client = client
        self._stream = stream
        self._channel = channel
        self._person = slack.people[person]
        self._guard = Guard(slack)
        # As they were posted: a window may press a button that the card has no more.
        self._cards: dict[str, Message] = {}
        self._path = f"/windows/{self._guard.token}/"
        routes = slack.application.router
        routes.add_get("/windows/{token}/", self._show)
        routes.add_get("/windows/{token}/stream_client.js", self._show_client)
        routes.add_get("/windows/{token}/state", self._state)
        routes.add_get("/windows/{token}/address", self._address)
        routes.add_post("/windows/{token}/press", self._press)
        routes.add_post("/windows/{token}/kill", self._kill)

    @property
    def url(self) -> str:
        """The page's address, token included, once Slack is entered."""
        return f"{self._slack.origin}{self._path}"

    async def _show(self, request: web.Request) -> web.StreamResponse:
        self._guard.check(request)
        pods = " ".join(_public(pod) for pod in self._pods.values())
        policy = (
            f"default-src 'none'; style-src {_hash('style')}; script-src {_hash('script')} {self.url}stream_client.js; "
            f"connect-src 'self' {pods}; img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'; "
            # What others wrote cannot become markup, not even by a mistake in the script.
            "require-trusted-types-for 'script'; trusted-types 'none'"
        )
        headers = {**HEADERS, "Content-Security-Policy": policy}
        return web.Response(text=_PAGE, content_type="text/html", headers=headers)

    async def _show_client(self, request: web.Request) -> web.StreamResponse:
        self._guard.check(request)
        return web.Response(text=_CLIENT, content_type="text/javascript", headers=HEADERS)

    async def _state(self, request: web.Request) -> web.StreamResponse:
        """Return what the pods are doing, what killed ones have left, and which card is the last one."""
        self._guard.check(request)
        for message in self._slack.messages(self._channel):
            if (id := _question_of(message)) and message.buttons:
                self._cards.setdefault(id, message)
        card: JsonValue = None
        if self._cards:
            id, message = list(self._cards.items())[-1]
            card = {"question_id": id, "buttons": [button.label for button in message.buttons]}
        pods: list[JsonValue] = [
            {"name": name, "address": _public(pod).removeprefix("http://"), "state": pod.state}
            for name, pod in self._pods.items()
        ]
        left: JsonValue = None
        if (lease := self._leases.first) is not None:
            left = {"what": lease.what, "pod": lease.pod, "seconds": ceil(lease.seconds_left)}
        person: JsonObject = {"id": self._person.id, "name": self._person.name}
        return web.json_response({"pods": pods, "left": left, "card": card, "person": person}, headers=HEADERS)

    async def _address(self, request: web.Request) -> web.StreamResponse:
        """Return where to read: at the pod that is asked for, or while that is away at another one."""
        self._guard.check(request)
        wanted = request.query.get("pod", "")
        while True:
            serving = sorted((pod for pod in self._pods.values() if pod.is_serving), key=lambda pod: pod.name != wanted)
            for pod in serving:
                try:
                    async with self._client.post(
                        f"{pod.pod.url}/streams/{self._stream}/tickets", timeout=_TICKET_WITHIN
                    ) as reply:
                        reply.raise_for_status()
                        path = text_of(await reply.json(), "url")
                except (aiohttp.ClientError, TimeoutError):
                    continue
                return web.json_response({"pod": pod.name, "url": f"{_public(pod)}{path}"}, headers=HEADERS)
            await asyncio.sleep(_LOOK_SECONDS)

    async def _press(self, request: web.Request) -> web.StreamResponse:
        """Press a button of a card, and return what Slack shows whoever has pressed."""
        self._guard.check(request)
        fields = await read_object(request) or {}
        card = self._cards.get(text_of(fields, "question_id"))
        choice = text_of(fields, "choice")
        try:
            if card is None:
                raise LookupError
            pressed = await self._slack.press(self._person, card, choice, from_copy=card)
        except LookupError:
            raise web.HTTPNotFound(text="this button is gone\n", headers=HEADERS) from None
        if (warning := WARNINGS.get(pressed.seen)) is not None:
            return _told(warning)
        try:
            reply = await self._slack.reply_to(pressed, within=_REPLY_SECONDS)
        except TimeoutError:
            return _told("Slack has shown nothing; press again.")
        said = plain_text(self._slack.known, reply)
        is_taken = said == Sentence(words=ENGLISH.reply_answered, value=choice).text()
        return _told(said, is_taken=is_taken, is_told=True)

    async def _kill(self, request: web.Request) -> web.StreamResponse:
        """Kill a pod, as a machine that dies does."""
        self._guard.check(request)
        fields = await read_object(request) or {}
        pod = self._pods.get(text_of(fields, "pod"))
        if pod is None:
            raise web.HTTPNotFound(text="there is no such pod\n", headers=HEADERS)
        pod.pod.kill()
        return web.Response(status=204, headers=HEADERS)


def _told(said: str, *, is_told: bool = False, is_taken: bool = False) -> web.Response:
    """Say what became of a press: whether the app has replied, and whether it was taken as the answer."""
    return web.json_response({"said": said, "is_told": is_told, "is_taken": is_taken}, headers=HEADERS)


def _public(pod: KeptPod) -> str:
    return f"http://127.0.0.1:{pod.pod.public_port}"


def _question_of(message: Message) -> str:
    """Return the id of the question whose card a message is, empty for another message."""
    payload = (message.metadata or {}).get("event_payload")
    key = text_of(payload, "key") if isinstance(payload, Mapping) else ""
    return unquote(key.rpartition("/")[0])
