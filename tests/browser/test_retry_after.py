"""The client comes back when whoever is in front of the pods says, and no sooner than without that."""

from __future__ import annotations

import time
from collections.abc import Callable
from email.utils import formatdate

import pytest
from starlette.types import Receive, Scope, Send

from tests.sse.event_source import until

from .site import Site, begin
from .tabs import Tab

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]


def date_in(seconds: int) -> str:
    """An HTTP date by the clock of the server; that of the page is decades behind."""
    return formatdate(time.time() + seconds, usegmt=True)


# What is answered, for how long the client waits at least, and after how long it is back.
ANSWERS: dict[str, tuple[int, Callable[[], str], int, int]] = {
    "seconds": (503, lambda: "90", 90_000, 90_500),
    "too many requests": (429, lambda: "90", 90_000, 90_500),
    "a date": (503, lambda: date_in(200), 180_000, 200_500),
    "a date that is over": (503, lambda: date_in(-200), 250, 500),
    "a day": (503, lambda: "86400", 300_000, 300_500),
    "neither": (503, lambda: "later", 250, 500),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_it_comes_back_when_it_is_told(tab: Tab, site: Site, name: str) -> None:
    status, says, least_ms, most_ms = ANSWERS[name]

    async def refuse(_: Scope, __: Receive, send: Send) -> None:
        await begin(send, status, "text/html", [(b"retry-after", says().encode())])
        await send({"type": "http.response.body", "body": b""})

    async def serve(_: Scope, receive: Receive, send: Send) -> None:
        await begin(send, 200, "text/event-stream")
        await send({"type": "http.response.body", "body": b":\n\n", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    site.answers |= {"/refused": refuse, "/stream": serve}
    urls = iter(["/refused", "/stream"])
    await tab.page.clock.install(time=0)
    await tab.page.clock.pause_at(1_000)
    await tab.read(lambda: next(urls))
    await until(lambda: tab.states[-1:] == ["waiting"])
    await tab.page.clock.run_for(least_ms - 1)
    assert tab.states == ["connecting", "waiting"]
    await tab.page.clock.run_for(most_ms - least_ms + 1)
    await until(lambda: tab.states[-1:] == ["open"])
