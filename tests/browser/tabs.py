"""A page of the site, and what its reader tells of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from playwright.async_api import Page

from tests.sse.event_source import until

Item = dict[str, str | int]
TYPES = ("message", "said", "pendingctl.gap", "pendingctl.reset", "pendingctl.end")


@dataclass
class Tab:
    """One page. `ending` is how the client ended: `returned`, or the name of an error."""

    page: Page
    items: list[Item] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    ending: str | None = None
    asked: int = 0

    async def listen(self, url: str, types: Sequence[str] = TYPES, *, with_credentials: bool = False) -> None:
        """Read with EventSource."""
        await self.page.evaluate(
            "async given => (await import('/readers.js')).listen(...given)", [url, types, with_credentials]
        )

    async def read(self, address: Callable[[], str | None], **options: str) -> None:
        """Read with the client; it asks for the `address`, which is counted."""

        def asked() -> str | None:
            self.asked += 1
            return address()

        await self.page.expose_function("address", asked)
        await self.page.evaluate("async options => { (await import('/readers.js')).read(options) }", options)

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
