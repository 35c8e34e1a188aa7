"""The page of `serve --demo`, as somebody uses it: two windows read, press at once, and outlive a pod."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, Route, expect

from pendingctl.demo import agent
from pendingctl.demo.run import run_demo
from tests.sse.event_source import until

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]

# What the agent writes from one question to the next lasts for five seconds.
WORD_SECONDS = 0.05
PATIENCE_MS = 15_000
BOTH = "Press “yes” in window 1 and “no” in window 2 at once"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def address(chromium: str) -> AsyncIterator[str]:
    """The page of a demo that runs, if there is a browser."""
    assert chromium
    said: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent, "WORD_SECONDS", WORD_SECONDS)
        demo = asyncio.create_task(run_demo(said.append, lambda _: None))
        try:
            await until(lambda: bool(said) or demo.done(), within=60)
            yield said[0].split()[1]
        finally:
            demo.cancel()
            with suppress(asyncio.CancelledError):
                await demo


@pytest_asyncio.fixture(loop_scope="session")
async def opened(page: Page, address: str) -> Page:
    expect.set_options(timeout=PATIENCE_MS)
    await page.goto(address)
    return page


def window(page: Page, number: int) -> Locator:
    return page.get_by_role("region", name=f"Window {number}", exact=True)


async def cards(page: Page) -> tuple[Locator, Locator]:
    """The question that is open, as each window shows it."""
    await expect(page.get_by_role("button", name=BOTH)).to_be_enabled()
    question = str(await window(page, 1).locator(".question").last.text_content())
    first, second = (window(page, number).locator(".card").filter(has_text=question) for number in (1, 2))
    return first, second


async def have_it_write(page: Page) -> None:
    """Return while the agent has just begun to write by an answer, which it is given if it asks.

    Shortly before it asks, the pod that posts the card could be the one that is killed; another one does it much later.
    """
    both = page.get_by_role("button", name=BOTH)
    writing = window(page, 1).locator(".words.current").filter(has_text=re.compile("^(Good|Then)"))
    await expect(both.or_(writing).first).to_be_visible()
    if not await writing.is_visible():
        await both.click()
        await expect(writing).to_be_visible()


async def words(page: Page, number: int) -> str:
    """All that the agent has written, as a window shows it."""
    return "".join(await window(page, number).locator(".words").all_text_contents())


async def test_of_two_presses_at_once_one_wins_and_the_other_is_told(opened: Page) -> None:
    asked = await cards(opened)

    await opened.get_by_role("button", name=BOTH).click()

    for card in asked:
        await expect(card.locator(".told")).to_have_text(re.compile("^You answered: |^Already answered by @alice: "))
    texts = [str(await card.locator(".told").text_content()) for card in asked]
    (won,) = [place for place, text in enumerate(texts) if text.startswith("You answered: ")]
    answer = ("yes", "no")[won]
    assert texts[won] == f"You answered: {answer}"
    assert texts[1 - won].startswith(f"Already answered by @alice: {answer} (")
    news = opened.get_by_role("status")
    await expect(news).to_contain_text(f"Window {won + 1} has won with “{answer}”.")
    await expect(news).to_contain_text(f"Window {2 - won} was told: Already answered")
    for card in asked:
        await expect(card.locator(".ending")).to_have_text(f"Answered by alice: {answer}")


async def test_a_window_whose_pod_is_killed_goes_on_at_the_other_one_and_misses_nothing(opened: Page) -> None:
    await have_it_write(opened)
    reading = [window(opened, number).locator(".reading") for number in (1, 2)]
    await expect(reading[0]).to_contain_text("reads from pod A")
    pod = opened.get_by_role("listitem").filter(has_text="Pod A")
    where = str(await pod.locator(".address").text_content())

    await opened.get_by_role("button", name="Kill pod A").click()

    await expect(pod).to_contain_text("is dead")
    await expect(reading[0]).to_contain_text("lost pod A, coming back")
    for each in reading:
        await expect(each).to_contain_text("reads from pod B")
    await expect(window(opened, 1).locator(".moved")).to_contain_text("from pod A to pod B")
    await expect(pod).to_contain_text("serves")
    await expect(pod).to_contain_text(where)
    # It asks, and so has written all.
    await expect(opened.get_by_role("button", name=BOTH)).to_be_enabled()
    counts = [await window(opened, number).locator(".count").text_content() for number in (1, 2)]
    assert counts[0] == counts[1]
    assert re.fullmatch("events 1–[0-9]+, none missing, none twice", str(counts[0]))
    assert await words(opened, 1) == await words(opened, 2)


async def test_who_presses_later_is_told_who_has_answered(opened: Page) -> None:
    late, early = await cards(opened)
    await early.get_by_role("button", name="no").press("Enter")
    await expect(late.locator(".ending")).to_have_text("Answered by alice: no")

    await late.get_by_role("button", name="yes").click()

    await expect(late.locator(".told")).to_contain_text("Already answered by @alice: no (")
    await expect(early.locator(".told")).to_have_text("You answered: no")
    await expect(late).to_be_focused()


@pytest.mark.parametrize(
    ("items", "said"),
    [
        (
            [1, 2, 4, 4, 7, ("gap", 9, '{"from": 8, "to": 9}')],
            "events 1–9, missing: 3, 5–6, twice: 4, too old, as the stream has said: 8–9",
        ),
        ([1, 2, ("reset", 0, "{}"), 1], "event 1, none missing, none twice, begun anew, as the stream has said"),
    ],
)
async def test_what_is_not_as_it_should_be_is_shown(
    opened: Page, address: str, items: Sequence[int | tuple[str, int, str]], said: str
) -> None:
    def written(item: int | tuple[str, int, str]) -> str:
        kind, seq, data = ("token", item, "word ") if isinstance(item, int) else (f"pendingctl.{item[0]}", *item[1:])
        return f"id: {seq}-a\nevent: {kind}\ndata: {data}\n\n"

    async def answer(route: Route) -> None:
        origin = address.partition("/windows/")[0]
        headers = {"Content-Type": "text/event-stream", "Access-Control-Allow-Origin": origin}
        await route.fulfill(headers=headers, body="retry: 60000\n\n" + "".join(map(written, items)))

    await opened.route("**/streams/**", answer)
    await opened.reload()

    count = window(opened, 1).locator(".count")
    await expect(count).to_have_text(said)
    await expect(count).to_have_class("count number broken" if "missing:" in said else "count number")
