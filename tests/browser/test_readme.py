"""What README.md shows of streams in a browser works in one."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest
from starlette.types import Receive, Scope, Send

from tests.events.writers import append, append_numbers, close, turn
from tests.sse.event_source import until

from .pods import Pods
from .site import Site, respond
from .tabs import Tab

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SECTION = README.split("### Streams in a browser\n")[1].split("\n### ")[0]
EVENT_SOURCE, CLIENT = re.findall(r"```js\n(.*?)```", SECTION, re.DOTALL)
CALLED = ("show", "reload", "clear", "finished", "showState")


async def tell_what_is_called(tab: Tab) -> None:
    await tab.evaluate(
        "names => names.forEach(name => { window[name] = (...given) => tell('state', [name, ...given].join(' ')) })",
        CALLED,
    )


def write_a_stream(connection: psycopg.Connection) -> None:
    """Write one of which the first events are gone, and which has ended."""
    append_numbers(connection, 1, 3)
    connection.execute("update pending_stream_ring set slot = 1")
    append(connection, "four")
    connection.execute("update pending_stream_event set type = 'token'")
    turn(connection, 0)
    close(connection)


async def test_its_event_source_is_called_back(tab: Tab, pods: Pods, connection: psycopg.Connection) -> None:
    write_a_stream(connection)
    await tell_what_is_called(tab)
    url = json.dumps(pods.url(last_event_id="9-1"))
    await tab.page.add_script_tag(content=f"const url = {url}\n{EVENT_SOURCE}")
    await until(lambda: tab.states == ["clear", "reload", "show four"])
    await tab.page.wait_for_function("source.readyState === EventSource.CLOSED")


async def test_its_loop_shows_a_stream_to_its_end(
    tab: Tab, site: Site, pods: Pods, connection: psycopg.Connection
) -> None:
    async def answer(_: Scope, __: Receive, send: Send) -> None:
        url = pods.url(last_event_id="9-1")
        await respond(send, 200, "application/json", json.dumps(url).encode())

    site.answers["/talks/42/address"] = answer
    write_a_stream(connection)
    await tell_what_is_called(tab)
    await tab.page.add_script_tag(content=CLIENT, type="module")
    expected = ["showState connecting", "showState open", "clear", "reload 1 3", "show token four", "finished"]
    await until(lambda: tab.states == expected)
