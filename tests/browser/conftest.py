"""One Chromium for all tests, with a fresh profile for each.

It lives on the loop of the session, and so its tests and their fixtures do:
`pytestmark = pytest.mark.asyncio(loop_scope="session")`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Error, Page, async_playwright

from pendingctl import open_pool
from pendingctl.postgres.connections import Pool
from pendingctl.sse import app as app_module
from tests.faults.proxy import Proxy
from tests.serve.clients import listening_for
from tests.sse.conftest import running

from .pods import Pods, by_ticket
from .site import Site
from .tabs import Tab, open_tab

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# It looks for nothing on the network but what a test has it open.
ARGUMENTS = (
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--no-first-run",
)
# Above what any test waits for, so that a hang fails it.
PATIENCE_MS = 30_000
# A busy machine takes long to start it.
START_MS = 180_000


@pytest.fixture(scope="session")
def chromium() -> str:
    """Where Chromium is."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        pytest.skip("no Chromium on this machine; install Debian's package chromium, or Chrome")
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """Chromium without a window."""
    # Its sandbox cannot be had as root.
    arguments = [*ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium, args=arguments, timeout=START_MS)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="session")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A profile without cookies; errors that its pages do not handle fail the test."""
    errors: list[Error] = []
    context = await browser.new_context()
    context.set_default_timeout(PATIENCE_MS)
    context.on("weberror", lambda error: errors.append(error.error))
    yield context
    await context.close()
    assert errors == []


@pytest_asyncio.fixture(loop_scope="session")
async def page(context: BrowserContext) -> Page:
    """An empty page."""
    return await context.new_page()


@pytest_asyncio.fixture(loop_scope="session")
async def site() -> AsyncIterator[Site]:
    """A web site on a port of its own."""
    made = Site()
    async with listening_for(made) as listening:
        made.port = listening.port
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def tab(page: Page, site: Site) -> Tab:
    """A page of the site."""
    return await open_tab(page, site.origin)


@pytest_asyncio.fixture(loop_scope="session")
async def pods(pool: Pool, site: Site) -> AsyncIterator[Pods]:
    """Two pods behind one address, which the site's pages may read."""
    async with (
        running(pool, authorize=by_ticket, origins=[site.origin]) as serving,
        running(pool, authorize=by_ticket, origins=[site.origin]) as other,
    ):
        proxy = Proxy("127.0.0.1", serving.listening.port)
        try:
            yield Pods(serving, other, proxy, await proxy.start())
        finally:
            await proxy.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def pool(dsn: str) -> AsyncIterator[Pool]:
    async with open_pool(dsn, max_size=20) as opened:
        yield opened


@pytest.fixture(autouse=True)
def soon_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is sent away comes back at once."""
    monkeypatch.setattr(app_module, "RETRY_MS", (20, 20))
    monkeypatch.setattr(app_module, "DRAINED_RETRY_MS", (10, 30))
