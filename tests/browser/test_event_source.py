"""A browser's own EventSource reads a stream: cross-origin, at whichever pod, and once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import psycopg
import pytest
from playwright.async_api import BrowserContext, Page

from pendingctl.sse import app as app_module
from pendingctl.sse.tickets import COOKIE
from tests.events.writers import append, append_numbers, close
from tests.sse.event_source import PATIENCE, until

from .pods import Pods, ticket
from .site import Site
from .tabs import Tab, open_tab, texts

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]


async def test_a_page_gets_what_is_there_and_what_comes(tab: Tab, pods: Pods, connection: psycopg.Connection) -> None:
    append(connection, "one", "two\nlines")
    await tab.listen(pods.url())
    await tab.taken(2)
    cursor = append(connection, "drei: ✓", wakes=True)
    assert (await tab.taken(3))[2] == {"id": str(cursor), "type": "said", "data": "drei: ✓"}
    assert texts(tab.items) == ["one", "two\nlines", "drei: ✓"]


@pytest.mark.parametrize("end", [Pods.kill, Pods.drain])
async def test_a_page_goes_on_at_another_pod_once_and_in_order(
    tab: Tab, pods: Pods, connection: psycopg.Connection, end: Callable[[Pods], Awaitable[None]]
) -> None:
    append_numbers(connection, 1, 10)
    await tab.listen(pods.url())
    await tab.taken(10)
    await end(pods)
    append_numbers(connection, 11, 20)
    assert texts(await tab.taken(20)) == [str(number) for number in range(1, 21)]
    assert (pods.serving.app.sent.events, pods.other.app.sent.events) == (10, 10)


async def test_a_page_stays_away_from_a_stream_that_has_ended(
    tab: Tab, pods: Pods, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long it takes to find out that the stream has ended.
    monkeypatch.setattr(app_module, "LOOK_SECONDS", PATIENCE)
    append(connection, "one")
    close(connection)
    await tab.listen(pods.url())
    assert [item["type"] for item in await tab.taken(2)] == ["said", "pendingctl.end"]
    # It came back, and was answered by 204.
    await until(lambda: tab.states == ["open", "waiting", "closed"])
    assert len(tab.items) == 2


async def test_a_cookie_opens_a_stream_to_a_page_of_another_origin(
    tab: Tab, context: BrowserContext, pods: Pods, connection: psycopg.Connection
) -> None:
    append(connection, "one")
    await context.add_cookies([{"name": COOKIE, "value": ticket(), "url": pods.origin}])
    await tab.listen(f"{pods.origin}/chat", with_credentials=False)
    await until(lambda: tab.states == ["closed"])
    await tab.listen(f"{pods.origin}/chat", with_credentials=True)
    assert texts(await tab.taken(1)) == ["one"]


async def test_a_page_of_another_origin_is_given_nothing(
    page: Page, site: Site, pods: Pods, connection: psycopg.Connection
) -> None:
    append(connection, "one")
    stranger = await open_tab(page, site.other_origin)
    await stranger.listen(pods.url())
    await until(lambda: stranger.states != [])
    assert (stranger.states, stranger.items) == (["closed"], [])
