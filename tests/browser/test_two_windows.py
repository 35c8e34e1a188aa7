"""The page of `serve --demo`, as somebody uses it: two windows read, press at once, and outlive a pod."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Locator, Page, Route, expect

from pendingctl.demo import agent, presses, run
from pendingctl.payload import JsonObject, JsonValue
from tests.faults.proxy import Hold, Proxy
from tests.processes import processes
from tests.sse.event_source import until

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]

# What the agent writes from one question to the next lasts for five seconds.
WORD_SECONDS = 0.05
# Above the lease of what a pod holds that is killed.
PATIENCE_MS = 60_000
BOTH = "Press “yes” in window 1 and “no” in window 2 at once"


@dataclass(frozen=True)
class Demo:
    """Where its page is, and what its pods reach its worker through."""

    address: str
    worker: Proxy

    @property
    def origin(self) -> str:
        return self.address.partition("/windows/")[0]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def demo(chromium: str) -> AsyncIterator[Demo]:
    """A demo that runs, if there is a browser."""
    assert chromium
    said: list[str] = []
    worker = Proxy("127.0.0.1", 0)
    running_worker = run.running_worker

    @asynccontextmanager
    async def through_proxy(answered: asyncio.Queue[JsonObject]) -> AsyncIterator[str]:
        async with running_worker(answered) as url:
            worker.port = int(re.findall(":([0-9]+)/", url)[0])
            try:
                yield url.replace(f":{worker.port}/", f":{await worker.start()}/")
            finally:
                await worker.stop()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(agent, "WORD_SECONDS", WORD_SECONDS)
        # Its Slack waits for as long as a busy machine takes.
        patch.setattr(presses, "ACKNOWLEDGE_SECONDS", 10.0)
        patch.setattr(run, "running_worker", through_proxy)
        running = asyncio.create_task(run.run_demo(said.append, lambda _: None))
        try:
            await until(lambda: bool(said) or running.done(), within=120)
            yield Demo(said[0].split()[1], worker)
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


@pytest_asyncio.fixture(loop_scope="session")
async def opened(page: Page, demo: Demo) -> Page:
    expect.set_options(timeout=PATIENCE_MS)
    await page.goto(demo.address)
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


async def note_texts(shown: Locator) -> None:
    """Note all that an element says from now on, and be it for a moment."""
    await shown.evaluate(
        """element => {
            const options = { childList: true, characterData: true, subtree: true }
            element.texts = [element.textContent]
            new MutationObserver(() => element.texts.push(element.textContent)).observe(element, options)
        }"""
    )


async def has_said(shown: Locator, text: str) -> None:
    """Wait until an element has said a text since its texts are noted."""
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while text not in await shown.evaluate("element => element.texts.join()"):  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.05)


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
    news = opened.locator("#news")
    await expect(news).to_contain_text(f"Window {won + 1} has won with “{answer}”.")
    await expect(news).to_contain_text(f"Window {2 - won} was told: “Already answered by @alice: {answer} (")
    for card in asked:
        await expect(card.locator(".ending")).to_have_text(f"Answered by alice: {answer}")


async def test_a_window_whose_pod_is_killed_goes_on_at_the_other_one_and_misses_nothing(opened: Page) -> None:
    await have_it_write(opened)
    reading = [window(opened, number).locator(".reading") for number in (1, 2)]
    await expect(reading[0]).to_contain_text("reads from pod A")
    pod = opened.get_by_role("listitem").filter(has_text="Pod A")
    where = str(await pod.locator(".address").text_content())
    for each in (pod, reading[0]):
        await note_texts(each)

    await opened.get_by_role("button", name="Kill pod A").click()

    await has_said(pod, "is dead")
    await has_said(reading[0], "lost pod A, coming back")
    for each in reading:
        await expect(each).to_contain_text("reads from pod B")
    await expect(window(opened, 1).locator(".moved")).to_contain_text("from pod A to pod B")
    await expect(pod).to_contain_text("serves")
    await expect(pod).to_contain_text(where)
    # It asks, and so has written all.
    await expect(opened.get_by_role("button", name=BOTH)).to_be_enabled()
    counts = [await window(opened, number).locator(".count").text_content() for number in (1, 2)]
    assert counts[0] == counts[1]
    # Who has the keyboard alone presses on from there.
    await expect(opened.get_by_role("button", name="Kill pod A")).to_be_focused()
    assert re.fullmatch("events 1–[0-9]+, none missing, none twice", str(counts[0]))
    assert await words(opened, 1) == await words(opened, 2)


async def test_who_presses_later_is_told_who_has_answered(opened: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    late, early = await cards(opened)
    # The buttons go with the next question, which a busy browser would see before it has pressed.
    monkeypatch.setattr(agent, "WORD_SECONDS", 1.0)
    await early.get_by_role("button", name="no").press("Enter")
    await expect(late.locator(".ending")).to_have_text("Answered by alice: no")

    await late.get_by_role("button", name="yes").click()

    await expect(late.locator(".told")).to_contain_text("Already answered by @alice: no (")
    await expect(early.locator(".told")).to_have_text("You answered: no")
    await expect(late).to_be_focused()


async def test_a_card_that_has_lost_its_buttons_asks_for_no_press(opened: Page, demo: Demo) -> None:
    card: dict[str, JsonValue] = {"question_id": "first", "buttons": ["yes"]}
    card_of_window = window(opened, 1).locator(".card")

    async def tell_state(route: Route) -> None:
        await route.fulfill(json={"pods": [], "left": None, "card": card, "person": {"id": "U1", "name": "alice"}})

    async def answer(route: Route) -> None:
        if "last_event_id" not in route.request.url:
            await fulfill(route, demo, 20, event(1, "question.posted", '{"question_id": "first", "text": "?"}'))
            return
        await expect(card_of_window.get_by_role("button")).to_be_visible()
        ended = '{"question_id": "first", "outcome": "expired", "answer": null, "answered_by": null}'
        await fulfill(route, demo, 60_000, event(2, "question.ended", ended))

    await opened.route("**/state", tell_state)
    await opened.route("**/streams/**", answer)
    await opened.reload()

    told = card_of_window.locator(".told")
    await expect(told).to_contain_text("press one")
    card["question_id"] = "second"
    await expect(told).to_be_empty()
    await expect(card_of_window.get_by_role("button")).to_have_count(0)


async def test_a_window_without_a_connection_says_so(opened: Page) -> None:
    async def wait(route: Route) -> None:
        """As a browser does that has six connections to the pod."""
        waiting.append(route)

    waiting: list[Route] = []
    await opened.clock.install(time=0)
    await opened.clock.pause_at(1_000)
    await opened.route("**/streams/**", wait)
    await opened.reload()
    reading = window(opened, 1).locator(".reading")
    await until(lambda: len(waiting) == 2)
    await expect(reading).to_contain_text("connecting")
    await opened.clock.run_for(3_000)
    await expect(reading).to_contain_text("has no connection to pod A yet; a browser opens six, for all its tabs")


async def test_a_window_that_cannot_reach_its_pod_says_so(opened: Page) -> None:
    """As from another machine, to which the page's port alone is forwarded."""
    await opened.route("**/streams/**", lambda route: route.abort())
    await opened.reload()
    await expect(window(opened, 2).locator(".reading")).to_contain_text("cannot reach pod B, and tries again")


async def test_a_page_whose_demo_has_ended_claims_nothing_of_its_pods(opened: Page) -> None:
    doing = opened.locator(".doing")
    await expect(doing).to_have_count(2)
    await opened.route("**/state", lambda route: route.abort())
    await expect(opened.locator("#news")).to_have_text("The demo does not reply; has it ended?")
    await expect(doing).to_have_text(["", ""])
    await expect(opened.get_by_role("button", name="Kill pod A")).to_be_disabled()


def event(seq: int, type: str, data: str) -> str:
    return f"id: {seq}-a\nevent: {type}\ndata: {data}\n\n"


async def test_a_window_whose_pod_hangs_is_sent_to_the_other_one(demo: Demo) -> None:
    state = httpx.URL(demo.address).join("state")
    async with httpx.AsyncClient(timeout=20) as client:
        async with asyncio.timeout(60):
            while (await client.get(state)).json()["pods"][0]["state"] != "serving":  # noqa: ASYNC110 (the page looks so, too)
                await asyncio.sleep(0.1)
        mine = [each for each in processes() if each.parent == os.getpid()]
        (pod,) = [each.pid for each in mine if each.command.rstrip().endswith("/A.toml")]
        os.kill(pod, signal.SIGSTOP)
        try:
            reply = await client.get(f"{demo.address}address?pod=A")
        finally:
            os.kill(pod, signal.SIGCONT)
    assert reply.json()["pod"] == "B"


async def fulfill(route: Route, demo: Demo, retry_ms: int, *events: str) -> None:
    """Answer with a stream of these events in place of a pod."""
    headers = {"Content-Type": "text/event-stream", "Access-Control-Allow-Origin": demo.origin}
    await route.fulfill(headers=headers, body=f"retry: {retry_ms}\n\n{''.join(events)}")


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
    opened: Page, demo: Demo, items: Sequence[int | tuple[str, int, str]], said: str
) -> None:
    def written(item: int | tuple[str, int, str]) -> str:
        if isinstance(item, int):
            return event(item, "token", "word ")
        kind, seq, data = item
        return event(seq, f"pendingctl.{kind}", data)

    async def answer(route: Route) -> None:
        await fulfill(route, demo, 60_000, *map(written, items))

    await opened.route("**/streams/**", answer)
    await opened.reload()

    count = window(opened, 1).locator(".count")
    await expect(count).to_have_text(said)
    await expect(count).to_have_class("count number broken" if "missing:" in said else "count number")


async def test_it_says_until_when_a_pod_that_was_killed_has_the_answer(opened: Page, demo: Demo) -> None:
    await expect(opened.get_by_role("button", name=BOTH)).to_be_enabled()
    demo.worker.hold = hold = Hold(b"200 OK")
    await opened.get_by_role("button", name=BOTH).click()
    await asyncio.wait_for(hold.has_come.wait(), PATIENCE_MS / 1000)

    for pod in "AB":
        await opened.get_by_role("button", name=f"Kill pod {pod}").click()

    left = opened.locator("#left")
    await expect(left).to_have_text(
        re.compile(
            r"^Pod [AB] died with the answer in its hands\. It is taken over when the lease ends, in [12]?[0-9] s\.$"
        )
    )
    assert "," not in str(await left.get_by_role("status").text_content())
    hold.released.set()
