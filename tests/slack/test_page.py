"""The demo's page: a channel as a person sees it, whose buttons they press; nobody else gets in."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import httpx
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pendingctl.demo.page import Page
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.workspaces import acme_and_others
from pendingctl.platforms.slack import Confirm, Press, SlackPlatform, parse_press

from .conftest import TOKENS
from .presses import SECRET
from .test_platform import ANSWERED, CARD


class Seen(HTMLParser):
    """What a browser makes of a page: its text, its forms and the elements that it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self._is_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if tag == "a":
            self.links.append(given["href"])
        if tag == "form":
            self.forms.append({"method": given["method"]})
        if tag == "input":
            self.forms[-1][given["name"]] = given["value"]
        self._is_style = tag == "style"

    def handle_data(self, data: str) -> None:
        if not self._is_style:
            self.words.append(data)

    @property
    def text(self) -> str:
        return "".join(self.words)


class Browser:
    """A person at the page."""

    def __init__(self, client: httpx.AsyncClient, page: Page, person: str = "T1:U1") -> None:
        self._client = client
        self.address = page.url(person=person)

    async def look(self) -> Seen:
        reply = await self._client.get(self.address)
        assert reply.status_code == 200
        return Seen(reply.text)

    async def press(self, number: int, **changes: str) -> httpx.Response:
        fields = (await self.look()).forms[number] | changes
        assert fields.pop("method") == "post"
        return await self._client.post(self.address.partition("?")[0], data=fields, headers={"Origin": self.origin})

    @property
    def origin(self) -> str:
        return self.address.partition("/room/")[0]


@pytest.fixture
def unopened() -> FakeSlack:
    return FakeSlack(acme_and_others(SECRET))


@pytest.fixture
async def page(unopened: FakeSlack) -> AsyncIterator[Page]:
    made = Page(unopened)
    async with unopened:
        yield made


@pytest.fixture
def slack(unopened: FakeSlack, page: Page) -> FakeSlack:
    assert page.path
    return unopened


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=20) as opened:
        yield opened


@pytest.fixture
async def presses(slack: FakeSlack) -> AsyncIterator[list[Press]]:
    """The presses that reach the app."""
    taken: list[Press] = []

    async def take(request: web.Request) -> web.StreamResponse:
        press = parse_press(await request.read(), reply_base=slack.origin)
        assert isinstance(press, Press)
        taken.append(press)
        return web.Response()

    application = web.Application()
    application.router.add_post("/slack", take)
    async with TestServer(application) as server:
        slack.apps["A1"] = replace(slack.apps["A1"], request_url=str(server.make_url("/slack")))
        yield taken


async def test_a_person_sees_the_card_and_presses(
    platform: SlackPlatform, page: Page, client: httpx.AsyncClient, presses: list[Press]
) -> None:
    await platform.post_card("slack", CARD)
    browser = Browser(client, page)

    assert "Deploy?" in (await browser.look()).text
    reply = await browser.press(1)

    assert (reply.status_code, reply.headers["Location"]) == (303, f"{page.path}?channel=C1&as=T1:U1")
    assert [(press.user_id, press.option) for press in presses] == [("U1", 1)]


async def test_the_edit_and_the_reply_are_shown_to_whom_they_are_for(
    platform: SlackPlatform, page: Page, client: httpx.AsyncClient, presses: list[Press]
) -> None:
    handle = await platform.post_card("slack", CARD)
    alice, bob = Browser(client, page), Browser(client, page, "T1:U2")
    await alice.press(0)
    assert ANSWERED.said is not None

    await platform.edit_card("slack", handle, ANSWERED)
    await platform.reply(presses[0], ANSWERED.said, organization_id="acme", connection_id="slack")
    seen, seen_by_bob = await alice.look(), await bob.look()

    assert seen.forms == []
    assert "Answered by @bob: *yes* <!here> (2026-01-01 12:00 UTC)" in seen.text
    assert ("Only you can see this" in seen.text, "Only you can see this" in seen_by_bob.text) == (True, False)


async def test_a_press_that_the_app_does_not_take_is_warned_of(
    platform: SlackPlatform, slack: FakeSlack, page: Page, client: httpx.AsyncClient
) -> None:
    await platform.post_card("slack", CARD)
    slack.apps["A1"] = replace(slack.apps["A1"], request_url="http://127.0.0.1:9/slack")
    browser = Browser(client, page)

    await browser.press(0)
    seen, seen_by_bob = await browser.look(), await Browser(client, page, "T1:U2").look()

    assert "the app has not taken the press" in seen.text
    assert "the app has not taken the press" not in seen_by_bob.text


async def test_a_button_that_is_gone_is_not_pressed(
    platform: SlackPlatform, page: Page, client: httpx.AsyncClient, presses: list[Press]
) -> None:
    await platform.post_card("slack", CARD)
    browser = Browser(client, page)

    await browser.press(0, action_id="pendingctl:7")

    assert "this button is gone" in (await browser.look()).text
    assert (await browser.press(0, ts="1.2")).status_code == 404
    assert presses == []


async def test_a_dialog_asks_once_more(
    slack: FakeSlack, page: Page, client: httpx.AsyncClient, presses: list[Press]
) -> None:
    async with SlackPlatform(TOKENS, base_url=slack.url, confirm=Confirm(title="Really?")) as platform:
        await platform.post_card("slack", CARD)
    browser = Browser(client, page)
    form = (await browser.look()).forms[0]
    assert form.pop("method") == "get"

    opened = await client.get(browser.address.partition("?")[0], params=form)
    asked = Seen(opened.text)

    assert "Really?" in asked.text
    # It stays open.
    assert 'http-equiv="refresh"' not in opened.text
    fields = asked.forms[0]
    assert fields.pop("method") == "post"
    await client.post(browser.address.partition("?")[0], data=fields, headers={"Origin": browser.origin})
    assert [press.option for press in presses] == [0]


HOSTILE = '<script>alert(1)</script>" onload="x" &lt;b&gt; <img src=//evil.example> \' </style>'


async def test_what_people_write_is_no_markup(
    platform: SlackPlatform, page: Page, client: httpx.AsyncClient, slack: FakeSlack
) -> None:
    said = replace(ANSWERED.said, value=HOSTILE) if ANSWERED.said is not None else None
    await platform.post_card("slack", replace(CARD, text=HOSTILE, options=(HOSTILE, "no")))
    await platform.post_card("slack", replace(CARD, question_id="r", options=(), said=said))
    slack.people["T1:U2"] = replace(slack.people["T1:U2"], name=HOSTILE)
    slack.channels["C1"].name = HOSTILE

    seen = await Browser(client, page).look()

    assert not {"script", "img", "b&gt;", "link", "iframe"} & set(seen.tags)
    assert HOSTILE in seen.text
    assert f"Answered by @{HOSTILE}: {HOSTILE}" in seen.text
    assert all(link.startswith(page.path) for link in seen.links)


async def test_the_page_loads_nothing_from_elsewhere_and_runs_nothing(page: Page, client: httpx.AsyncClient) -> None:
    reply = await client.get(page.url())

    assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'unsafe-inline'; ")
    assert reply.headers["Cache-Control"] == "no-store"
    assert re.findall(r"(?:src|url\()|https?://", reply.text) == []


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_wrong_token_finds_nothing(page: Page, client: httpx.AsyncClient, method: str) -> None:
    address = page.url()

    for token in ("", "x", "ä", page.path.removeprefix("/room/")[:-1], page.path.removeprefix("/room/") + "x"):
        wrong = re.sub(r"/room/[^?]*", f"/room/{token}", address)
        assert (await client.request(method, wrong)).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "evil.example:80", ""])
async def test_a_foreign_host_is_refused(page: Page, client: httpx.AsyncClient, host: str) -> None:
    assert (await client.get(page.url(), headers={"Host": host})).status_code == 403


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://127.0.0.1", "http://127.0.0.1:1"])
async def test_a_press_from_another_page_is_refused(
    platform: SlackPlatform, page: Page, client: httpx.AsyncClient, presses: list[Press], origin: str | None
) -> None:
    await platform.post_card("slack", CARD)
    fields: dict[str, Any] = (await Browser(client, page).look()).forms[0]
    headers = {} if origin is None else {"Origin": origin}

    reply = await client.post(page.url().partition("?")[0], data=fields, headers=headers)

    assert reply.status_code == 403
    assert presses == []


@pytest.mark.parametrize(("channel", "person"), [("C9", "T1:U1"), ("C404", "T1:U1"), ("C1", "T9:U9"), ("C2", "T1:U4")])
async def test_nobody_looks_into_a_channel_that_they_are_not_in(
    page: Page, client: httpx.AsyncClient, channel: str, person: str
) -> None:
    assert (await client.get(page.url(channel=channel, person=person))).status_code == 404


async def test_direct_messages_are_shown_to_one_person(
    platform: SlackPlatform, page: Page, client: httpx.AsyncClient
) -> None:
    await platform.post_card("slack", replace(CARD, conversation_id="U1"))

    assert "Direct messages" in (await Browser(client, page).look()).text
    assert "Direct messages" not in (await Browser(client, page, "T1:U2").look()).text
