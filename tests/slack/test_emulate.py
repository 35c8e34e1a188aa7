"""A second opinion: what the adapter does with the demo's Slack it does with Vercel's emulate (npm), where npm is.

emulate is weaker: it takes any token and any blocks, has no presses, no response_url, no 429 and no faults, and reads a
channel's history by POST alone, where Slack's own client sends GET.
"""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from slack_sdk.web.async_client import AsyncWebClient

from pendingctl import Card, CardGone, NotPosted
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.platforms.slack import SlackPlatform
from pendingctl.platforms.slack.errors import SlackFailed
from tests.ports import free_port

from .conftest import TOKENS
from .test_platform import ANSWERED, CARD

# `latest` is another project, and 0.12 does not run on Node 20.
PACKAGE = "emulate@0.11.2"
INSTALL_SECONDS = 40
START_SECONDS = 60


@dataclass(frozen=True)
class Api:
    """A Slack to compare, and what is in it."""

    url: str
    channel: str
    person: str

    @property
    def card(self) -> Card:
        return replace(CARD, conversation_id=self.channel)

    async def messages(self) -> list[dict[str, Any]]:
        """The history, by POST, which both take."""
        client = AsyncWebClient(token="xoxb-acme", base_url=self.url)
        arguments = {"channel": self.channel, "include_all_metadata": "true", "limit": "100"}
        reply = await client.api_call("conversations.history", data=arguments)
        found: list[dict[str, Any]] = reply["messages"]
        return found


@pytest.fixture(scope="session")
def emulate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """emulate's address, for the whole session."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm is None or node is None:
        pytest.skip(f"npm is not here: nothing is compared with {PACKAGE}")
    folder = tmp_path_factory.mktemp("emulate")
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(folder), PACKAGE]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=INSTALL_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"npm does not install {PACKAGE} within {INSTALL_SECONDS} s: {error}")
    yield from running(node, folder, free_port())


def running(node: str, folder: Path, port: int) -> Iterator[str]:
    program = folder / "node_modules/emulate/dist/index.js"
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [node, str(program), "start", "--service", "slack", "--port", str(port)], stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and server.poll() is None:
            try:
                socket.create_connection(("localhost", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        else:
            pytest.fail(f"emulate does not start: {(folder / 'log').read_text()}")
        yield f"http://localhost:{port}/api/"
    finally:
        server.kill()
        server.wait()


@pytest.fixture(params=["the demo's Slack", "emulate"])
def api(request: pytest.FixtureRequest, slack: FakeSlack) -> Api:
    if request.param == "emulate":
        return Api(request.getfixturevalue("emulate"), "C000000001", "U000000001")
    return Api(slack.url, "C1", "U1")


@pytest.fixture
async def platform(api: Api) -> AsyncIterator[SlackPlatform]:
    async with SlackPlatform(TOKENS, base_url=api.url) as opened:
        yield opened


async def test_a_card_is_posted_with_its_metadata_and_edited(api: Api, platform: SlackPlatform) -> None:
    handle = await platform.post_card("slack", api.card)
    posted = (await api.messages())[0]
    await platform.edit_card("slack", handle, replace(ANSWERED, conversation_id=api.channel))
    edited = (await api.messages())[0]

    assert handle == {"channel": api.channel, "ts": posted["ts"]}
    assert [block["type"] for block in posted["blocks"]] == ["section", "actions"]
    assert posted["metadata"]["event_payload"] == {"key": f"q/{2**30}"}
    assert edited["ts"] == posted["ts"]
    assert [block["type"] for block in edited["blocks"]] == ["section", "rich_text"]
    assert edited["metadata"] == posted["metadata"]
    assert "edited" in edited


async def test_a_reply_stands_in_its_thread(api: Api, platform: SlackPlatform) -> None:
    first = await platform.post_card("slack", api.card)
    assert isinstance(first, dict)
    before = len(await api.messages())

    await platform.post_card("slack", replace(api.card, conversation_id=f"{api.channel}:{first['ts']}"))

    assert len(await api.messages()) == before


async def test_what_is_not_there_is_reported_the_same(api: Api, platform: SlackPlatform) -> None:
    with pytest.raises(NotPosted, match=r"chat\.postMessage was answered 200 channel_not_found"):
        await platform.post_card("slack", replace(api.card, conversation_id="C404"))
    with pytest.raises(CardGone, match=r"chat\.update was answered 200 message_not_found"):
        await platform.edit_card("slack", {"channel": api.channel, "ts": "1.2"}, ANSWERED)
    with pytest.raises(NotPosted, match=r"conversations\.open was answered 200 user_not_found"):
        await platform.post_card("slack", replace(api.card, conversation_id="U404"))


async def test_both_reply_alike_to_the_same_calls(api: Api) -> None:
    client = AsyncWebClient(token="xoxb-acme", base_url=api.url)

    who = await client.auth_test()
    posted = await client.chat_postMessage(channel=api.channel, text="hello")
    ephemeral = await client.chat_postEphemeral(channel=api.channel, user=api.person, text="only you")

    assert [name for name in ("url", "team", "user", "team_id", "user_id") if not who.get(name)] == []
    assert [name for name in ("channel", "ts", "message") if not posted.get(name)] == []
    assert {"type", "user", "text", "ts"} <= set(posted["message"])
    assert ephemeral["message_ts"]
    assert (await api.messages())[0]["text"] == "hello"


async def test_where_emulate_is_weaker(emulate: str) -> None:
    card = replace(CARD, conversation_id="C000000001")
    client = AsyncWebClient(token="xoxb-of-nobody", base_url=emulate)

    assert (await client.chat_postMessage(channel="C000000001", text="x", blocks=[{"type": "no such block"}]))["ok"]
    assert (await client.chat_postMessage(channel="C000000001", text="x", thread_ts="1.2"))["ok"]
    assert "bot_id" not in await client.auth_test()
    async with SlackPlatform(TOKENS, base_url=emulate) as platform:
        handle = await platform.post_card("slack", card)
        with pytest.raises(SlackFailed):
            await platform.find_card("slack", card)
    found = [
        {"channel": "C000000001", "ts": message["ts"]}
        for message in await Api(emulate, "C000000001", "").messages()
        if message.get("metadata", {}).get("event_payload") == {"key": card.key}
    ]
    assert handle in found
