"""Who may use the page of the demo: whoever knows its token, at its address, and from the page itself."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from importlib.resources import files

import aiohttp
import httpx
import pytest

from pendingctl.demo.leases import LeftLeases
from pendingctl.demo.run import running_worker
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.two_windows import TwoWindows
from pendingctl.payload import JsonObject

from .clients import PATIENCE

GETS = ("", "stream_client.js", "state", "address?pod=A")
POSTS = ("press", "kill")


@pytest.fixture
async def url() -> AsyncIterator[str]:
    """The page's address, while no pod runs."""
    slack = FakeSlack()
    async with aiohttp.ClientSession() as client:
        windows = TwoWindows(slack, {}, LeftLeases(lambda _: True), client, stream="deploys", channel="C2")
        async with slack:
            yield windows.url


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=PATIENCE) as opened:
        yield opened


async def test_a_wrong_token_finds_nothing(url: str, client: httpx.AsyncClient) -> None:
    origin, token = re.findall(r"(http://[^/]+)/windows/([^/]+)/", url)[0]
    for wrong in ("x", "ä", token[:-1], f"{token}x"):
        for path in GETS:
            assert (await client.get(f"{origin}/windows/{wrong}/{path}")).status_code == 404
        for path in POSTS:
            reply = await client.post(f"{origin}/windows/{wrong}/{path}", json={}, headers={"Origin": origin})
            assert reply.status_code == 404


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "127.0.0.1", "127.0.0.1:1", "localhost", ""]
)
async def test_another_host_is_refused(url: str, client: httpx.AsyncClient, host: str) -> None:
    for path in GETS:
        assert (await client.get(f"{url}{path}", headers={"Host": host})).status_code == 403
    for path in POSTS:
        reply = await client.post(f"{url}{path}", json={}, headers={"Host": host, "Origin": f"http://{host}"})
        assert reply.status_code == 403


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "https://127.0.0.1", "http://127.0.0.1:1"])
async def test_what_another_page_sends_is_refused(url: str, client: httpx.AsyncClient, origin: str | None) -> None:
    for path in POSTS:
        headers = {} if origin is None else {"Origin": origin}
        assert (await client.post(f"{url}{path}", json={}, headers=headers)).status_code == 403
    own = {"Origin": url.partition("/windows/")[0]}
    assert [(await client.post(f"{url}{path}", json={}, headers=own)).status_code for path in POSTS] == [404, 404]


async def test_the_page_runs_its_own_script_alone_and_makes_no_markup(url: str, client: httpx.AsyncClient) -> None:
    reply = await client.get(url)

    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
    assert (reply.headers["Cache-Control"], reply.headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
    assert re.findall(r"\son\w+=|\sstyle=|innerHTML|outerHTML|insertAdjacentHTML|https?://", reply.text) == []
    client_js = await client.get(f"{url}stream_client.js")
    assert client_js.text == files("pendingctl.sse").joinpath("stream_client.js").read_text(encoding="utf-8")


async def test_only_whoever_was_given_its_address_answers_the_agent(client: httpx.AsyncClient) -> None:
    answered = asyncio.Queue[JsonObject]()
    async with running_worker(answered) as url:
        origin = re.findall("http://[^/]+", url)[0]
        for path in ("/", "/answers", "/answers/", "/answers/x"):
            forged = await client.post(f"{origin}{path}", json={"value": "no"}, headers={"Idempotency-Key": "1"})
            assert forged.status_code == 404
        assert answered.empty()
        delivered = await client.post(url, json={"value": "yes"}, headers={"Idempotency-Key": "1"})
        assert (delivered.status_code, answered.get_nowait()) == (200, {"value": "yes"})
