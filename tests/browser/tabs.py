"""A page of the site, and what its reader tells of itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from playwright.async_api import Page

from tests.sse.event_source import until

Item = dict[str, str | int]
# Above what any script takes, so that a hang fails its test.
SCRIPT_SECONDS = 120.0
TYPES = ("message", "said", "pendingctl.gap", "pendingctl.reset", "pendingctl.end")


@dataclass
class Tab:
    """One page. `ending` is how the client ended: `returned`, or the name of an error."""

    page: Page
    items: list[Item] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    ending: str | None = None
    asked: int = 0

    async def evaluate(self, script: str, given: object = None) -> Any:
        """What a script of the page returns."""
        async with asyncio.timeout(SCRIPT_SECONDS):
            return await self.page.evaluate(script, given)

    async def listen(self, url: str, types: Sequence[str] = TYPES, *, with_credentials: bool = False) -> None:
        """Read with EventSource."""
        await self.evaluate(
            "async given => (await import('/readers.js')).listen(...given)", [url, types, with_credentials]
        )

    async def read(self, address: Callable[[], object], *, is_answered: bool = True, **options: str | None) -> None:
        """Read with the client; it asks for the `address`, which is counted, and answered unless it is not to be."""

        def asked() -> object:
            self.asked += 1
            return address()

        await self.page.expose_function("answer", asked)
        await self.evaluate("is => { window.address = is ? answer : () => new Promise(() => {}) }", is_answered)
        await self.read_again(**options)

    async def read_again(self, **options: str | None) -> None:
        """Read once more, by the same address."""
        await self.evaluate("async options => { (await import('/readers.js')).read(options) }", options)

    async def wait_over(self) -> None:
        """Have the client's present wait be over, once it has begun; the page's clock must be installed."""
        await until(lambda: self.states[-1:] == ["waiting"])
        before = len(self.states)
        await self.page.clock.run_for(30_000)
        # Perhaps it waits again by then.
        await until(lambda: len(self.states) > before)

    async def count_reads(self) -> None:
        """Count what the page asks of the bodies of its responses from now on."""
        await self.evaluate(
            """() => {
                const { read } = ReadableStreamDefaultReader.prototype
                window.reads = 0
                ReadableStreamDefaultReader.prototype.read = function () { reads++; return read.call(this) }
            }"""
        )

    async def reads(self, number: int) -> None:
        """Wait until so many were asked."""
        await self.page.wait_for_function("number => reads >= number", arg=number, polling=5)

    async def taken(self, number: int) -> list[Item]:
        """The items, once so many have come."""
        await until(lambda: len(self.items) >= number)
        return self.items

    async def ended(self) -> str:
        """How the client ended, once it has."""
        await until(lambda: self.ending is not None)
        assert self.ending is not None
        return self.ending

    def tell(self, what: str, told: Item | str) -> None:
        match what, told:
            case "item", dict():
                self.items.append(told)
            case "state", str():
                self.states.append(told)
            case "ending", str():
                self.ending = told


async def open_tab(page: Page, origin: str) -> Tab:
    """Open a page of an origin."""
    tab = Tab(page)
    await page.expose_function("tell", tab.tell)
    await page.goto(f"{origin}/")
    return tab


def texts(items: Sequence[Item]) -> list[str]:
    """The data of the events among the items."""
    return [str(item["data"]) for item in items if "data" in item]
