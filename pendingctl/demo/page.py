"""A page on the port of the demo's Slack that shows a channel to a person, and lets them press its buttons."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from .channel_html import View, render
from .guard import HEADERS, Guard
from .presses import WARNINGS
from .slack_server import FakeSlack
from .workspaces import Channel, Person

_MOST_WARNINGS = 1_000
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"


class Page:
    """The page of a Slack that is not entered yet. Whoever knows its token may press in the name of anybody.

    `channel` and `person`, a key `TEAM:USER`, are what it shows at first.
    """

    def __init__(self, slack: FakeSlack, *, channel: str = "C1", person: str = "T1:U1") -> None:
        self._slack = slack
        self._first = (channel, person)
        self._guard = Guard(slack)
        self._warnings: dict[tuple[str, str, str], str] = {}
        slack.application.router.add_get("/room/{token}", self._show)
        slack.application.router.add_post("/room/{token}", self._press)

    @property
    def path(self) -> str:
        return f"/room/{self._guard.token}"

    def url(self, *, channel: str | None = None, person: str | None = None) -> str:
        """Return the page's address, token included, once Slack is entered."""
        query = urlencode({"channel": channel or self._first[0], "as": person or self._first[1]})
        return f"{self._slack.origin}{self.path}?{query}"

    async def _show(self, request: web.Request) -> web.StreamResponse:
        self._guard.check(request)
        query = request.query
        channel, person = self._seen(query.get("channel", self._first[0]), query.get("as", self._first[1]))
        view = View(
            known=self._slack.known,
            channel=channel,
            person=person,
            path=self.path,
            asked=(query["ts"], query["ask"]) if "ts" in query and "ask" in query else None,
            warnings={
                ts: words for (id, key, ts), words in self._warnings.items() if (id, key) == (channel.id, person.key)
            },
        )
        headers = {**HEADERS, "Content-Security-Policy": _POLICY}
        return web.Response(text=render(view), content_type="text/html", headers=headers)

    async def _press(self, request: web.Request) -> web.StreamResponse:
        self._guard.check(request)
        fields = {name: str(value) for name, value in (await request.post()).items()}
        channel, person = self._seen(fields.get("channel", ""), fields.get("as", ""))
        ts = fields.get("ts", "")
        message = channel.messages.get(ts)
        if message is None:
            raise web.HTTPNotFound(text="the message is gone\n", headers=HEADERS)
        try:
            pressed = await self._slack.press(person, message, fields.get("action_id", ""))
        except LookupError:
            warning: str | None = "this button is gone"
        else:
            warning = WARNINGS.get(pressed.seen)
        key = (channel.id, person.key, ts)
        self._warnings.pop(key, None)
        if warning is not None and len(self._warnings) < _MOST_WARNINGS:
            self._warnings[key] = warning
        query = urlencode({"channel": channel.id, "as": person.key})
        raise web.HTTPSeeOther(f"{self.path}?{query}", headers=HEADERS)

    def _seen(self, channel: str, person: str) -> tuple[Channel, Person]:
        """Return a channel and a person who is in it."""
        found = self._slack.channels.get(channel)
        if found is None or person not in found.members:
            raise web.HTTPNotFound(text="there is no such channel, or the person is not in it\n", headers=HEADERS)
        return found, self._slack.people[person]
