"""The client that pendingctl has for browsers: what it reads of a stream, and over how many connections."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import psycopg
import pytest
from playwright.async_api import BrowserContext, Page
from starlette.types import Receive, Scope, Send

from pendingctl.sse.tickets import COOKIE
from tests.events.writers import CHAT, append, append_numbers, close, turn, wake
from tests.outages import away
from tests.sse.event_source import PATIENCE, until

from .pods import Pods, ticket
from .site import Site, begin, respond
from .tabs import Tab, open_tab, texts

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]


async def test_it_gets_what_is_there_and_what_comes(tab: Tab, pods: Pods, connection: psycopg.Connection) -> None:
    append(connection, "one", "two\nlines")
    await tab.read(pods.url)
    await tab.taken(2)
    cursor = append(connection, "drei: ✓", wakes=True)
    assert (await tab.taken(3))[2] == {"kind": "event", "id": str(cursor), "type": "said", "data": "drei: ✓"}
    assert texts(tab.items) == ["one", "two\nlines", "drei: ✓"]
    assert tab.states == ["connecting", "open"]


@pytest.mark.parametrize("end", [Pods.kill, Pods.drain])
async def test_it_goes_on_at_another_pod_once_and_in_order(
    tab: Tab, pods: Pods, connection: psycopg.Connection, end: Callable[[Pods], Awaitable[None]]
) -> None:
    append_numbers(connection, 1, 10)
    await tab.read(pods.url)
    await tab.taken(10)
    await end(pods)
    append_numbers(connection, 11, 20)
    assert texts(await tab.taken(20)) == [str(number) for number in range(1, 21)]
    assert (pods.serving.app.sent.events, pods.other.app.sent.events) == (10, 10)
    assert tab.asked == 1


async def test_a_ticket_that_ends_while_the_database_is_away_is_replaced_and_nothing_is_lost(
    tab: Tab, pods: Pods, connection: psycopg.Connection, dsn: str
) -> None:
    urls = iter([pods.url(ticket=ticket(seconds=5)), pods.url()])
    append_numbers(connection, 1, 10)
    await tab.read(lambda: next(urls))
    await tab.taken(10)
    with away(dsn):
        append_numbers(connection, 11, 20)
        await until(lambda: tab.asked == 2 and tab.states[-1] == "open")
        assert texts(tab.items) == [str(number) for number in range(1, 11)]
    assert texts(await tab.taken(20)) == [str(number) for number in range(1, 21)]
    assert (tab.asked, pods.serving.app.sent.events) == (2, 20)


async def test_it_begins_behind_an_event_whatever_its_address_says(
    tab: Tab, pods: Pods, connection: psycopg.Connection
) -> None:
    first = append(connection, "one")
    second = append(connection, "two")
    append(connection, "three")
    await tab.read(lambda: pods.url(last_event_id=str(first)), after=str(second))
    assert texts(await tab.taken(1)) == ["three"]


async def test_without_a_position_of_its_own_that_of_its_address_holds(
    tab: Tab, pods: Pods, connection: psycopg.Connection
) -> None:
    first = append(connection, "one")
    append(connection, "two")
    await tab.read(lambda: pods.url(last_event_id=str(first)), after=None)
    assert texts(await tab.taken(1)) == ["two"]


async def test_what_is_gone_and_another_history_are_told(tab: Tab, pods: Pods, connection: psycopg.Connection) -> None:
    append_numbers(connection, 1, 3)
    connection.execute("update pending_stream_ring set slot = 1")
    append(connection, "four")
    turn(connection, 0)
    await tab.read(pods.url, after="9-1")
    reset, gap, event = await tab.taken(3)
    assert (reset["kind"], gap["kind"], gap["from"], gap["to"], event["data"]) == ("reset", "gap", 1, 3, "four")


async def test_it_returns_at_the_end_of_a_stream(tab: Tab, pods: Pods, connection: psycopg.Connection) -> None:
    append(connection, "one")
    await tab.read(pods.url)
    await tab.taken(1)
    close(connection)
    wake(connection, CHAT)
    assert await tab.ended() == "returned"
    assert [item["kind"] for item in tab.items] == ["event", "end"]
    # Whoever comes to it again is told the same, by a 204.
    end = tab.items.pop()
    tab.ending = None
    await tab.read_again(after=str(end["id"]))
    assert (await tab.ended(), tab.items[1:]) == ("returned", [end])


async def test_whoever_may_not_read_is_told(tab: Tab) -> None:
    await tab.read(lambda: None)
    assert (await tab.ended(), tab.asked) == ("StreamDenied", 1)


async def test_whose_new_tickets_are_refused_three_times_is_told(tab: Tab, pods: Pods) -> None:
    await tab.page.clock.install(time=0)
    await tab.page.clock.pause_at(1_000)
    await tab.read(lambda: pods.url(ticket="forged"))
    for _ in range(2):
        await tab.wait_over()
    assert (await tab.ended(), tab.asked) == ("StreamDenied", 3)


async def test_an_address_that_does_not_open_is_replaced(
    tab: Tab, site: Site, pods: Pods, connection: psycopg.Connection
) -> None:
    async def answer(scope: Scope, _: Receive, send: Send) -> None:
        status, type = scope["query_string"].decode().split(",")
        await respond(send, int(status), type, b"data: no\n\n")

    site.answers["/answer"] = answer
    append(connection, "one")
    # An error that a program sends in JSON is no address, and says nothing of who may read.
    error = {"detail": "the program is away"}
    failing = ["/answer?200,text/html", "/answer?500,text/event-stream", error, error, "/answer?404,text/plain"]
    urls = iter([OSError("the program is away"), *failing, pods.url()])

    def address() -> object:
        if isinstance(url := next(urls), OSError):
            raise url
        return url

    warnings: list[str] = []
    tab.page.on("console", lambda message: warnings.append(message.text) if message.type == "warning" else None)
    await tab.page.clock.install(time=0)
    await tab.page.clock.pause_at(1_000)
    await tab.read(address)
    for _ in range(6):
        await tab.wait_over()
    assert texts(await tab.taken(1)) == ["one"]
    # What the browser itself does not say.
    for warning, said in zip(warnings, ["the program is away", *["returns none"] * 2], strict=True):
        assert said in warning
    assert tab.states == [*["connecting", "waiting"] * 6, "connecting", "open"]


async def test_a_response_without_a_body_is_none(tab: Tab, pods: Pods, connection: psycopg.Connection) -> None:
    append(connection, "one")
    await tab.evaluate(
        """() => {
            const network = fetch
            window.fetch = async () => {
                window.fetch = network
                return new Response(null, { headers: { "content-type": "text/event-stream" } })
            }
        }"""
    )
    await tab.read(pods.url)
    assert texts(await tab.taken(1)) == ["one"]
    assert tab.asked == 2


async def test_it_waits_longer_and_longer_for_a_pod_that_is_away(
    tab: Tab, pods: Pods, connection: psycopg.Connection
) -> None:
    append(connection, "one")
    pods.go_away()
    await tab.page.clock.install(time=0)
    await tab.page.clock.pause_at(1_000)
    await tab.read(pods.url)
    attempts: list[str] = []
    for number, least_ms in enumerate([250, 500, 1_000, 2_000, 4_000, 8_000, 15_000, 15_000], start=1):
        attempts.extend(["connecting", "waiting"])
        await until(lambda: tab.states == attempts)
        await tab.page.clock.run_for(least_ms - 1)
        assert tab.states == attempts
        if number == 8:
            pods.come_back()
        await tab.page.clock.run_for(least_ms + 1)
    assert texts(await tab.taken(1)) == ["one"]
    # From then on it begins anew.
    pods.go_away()
    await pods.proxy.hang_up()
    await until(lambda: tab.states[-1] == "waiting")
    await tab.page.clock.run_for(20)
    await until(lambda: tab.states[-3:] == ["waiting", "connecting", "waiting"])
    pods.come_back()
    await tab.page.clock.run_for(500)
    await until(lambda: tab.states[-1] == "open")


async def test_it_comes_back_as_soon_as_the_browser_is_online(
    tab: Tab, context: BrowserContext, pods: Pods, connection: psycopg.Connection
) -> None:
    append(connection, "one")
    pods.go_away()
    await tab.page.clock.install(time=0)
    await tab.page.clock.pause_at(1_000)
    await tab.read(pods.url)
    for _ in range(4):
        await tab.wait_over()
    await until(lambda: tab.states[-1:] == ["waiting"])
    await context.set_offline(True)
    # At once it gets no further than before, and then as soon as after the first attempt.
    await context.set_offline(False)
    await until(lambda: tab.states == ["connecting", "waiting"] * 6)
    pods.come_back()
    await tab.page.clock.run_for(500)
    assert texts(await tab.taken(1)) == ["one"]


async def test_a_connection_that_falls_silent_is_left(tab: Tab, pods: Pods, connection: psycopg.Connection) -> None:
    append(connection, "one")
    await tab.page.clock.install()
    await tab.read(pods.url)
    await tab.taken(1)
    pods.proxy.fall_silent()
    append(connection, "two", wakes=True)
    await tab.page.clock.run_for(46_000)
    assert texts(await tab.taken(2)) == ["one", "two"]
    assert tab.asked == 1


async def test_comments_keep_a_quiet_connection(tab: Tab, site: Site) -> None:
    async def answer(_: Scope, receive: Receive, send: Send) -> None:
        sending.append(send)
        await begin(send, 200, "text/event-stream")
        await send({"type": "http.response.body", "body": b":\n\n", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    sending: list[Send] = []
    site.answers["/quiet"] = answer
    await tab.page.clock.install(time=0)
    await tab.page.clock.pause_at(1_000)
    await tab.count_reads()
    await tab.read(lambda: "/quiet")
    for number in range(2, 6):
        # Each has come when the next one is waited for.
        await tab.reads(number)
        await tab.page.clock.run_for(30_000)
        await sending[0]({"type": "http.response.body", "body": b":\n\n", "more_body": True})
    assert tab.states == ["connecting", "open"]


async def test_nothing_is_read_ahead_of_a_slow_loop(tab: Tab, site: Site) -> None:
    event = b"data: " + b"x" * 256 * 1024 + b"\n\n"

    async def answer(_: Scope, __: Receive, send: Send) -> None:
        await respond(send, 200, "text/event-stream", *[event] * 20)

    site.answers["/many"] = answer
    await tab.count_reads()
    at_first, later = await tab.evaluate(
        """async () => {
            const { readStream } = await import("/static/stream_client.js")
            window.slow = readStream(async () => "/many")
            await slow.next()
            const atFirst = reads
            await new Promise(resolve => setTimeout(resolve, 200))
            return [atFirst, reads]
        }"""
    )
    assert at_first == later
    assert await tab.evaluate("async () => { for (let i = 1; i < 20; i++) await slow.next(); return reads }") > later
    await tab.evaluate("slow.return()")


@pytest.mark.parametrize("moment", ["connecting", "waiting", "open"])
async def test_a_signal_ends_it_at_once(tab: Tab, pods: Pods, connection: psycopg.Connection, moment: str) -> None:
    append(connection, "one")
    await tab.page.clock.install(time=0)
    await tab.page.clock.pause_at(1_000)
    if moment == "waiting":
        pods.go_away()
    await tab.read(pods.url, is_answered=moment != "connecting")
    await until(lambda: tab.states[-1:] == [moment])
    await tab.evaluate("reading.abort(new RangeError())")
    assert await tab.ended() == "RangeError"
    await until(lambda: pods.serving.app.clients == 0)


@pytest.mark.parametrize("state", ["connecting", "open", "waiting"])
async def test_a_signal_ends_it_from_within_its_call(
    tab: Tab, pods: Pods, connection: psycopg.Connection, state: str
) -> None:
    append(connection, "one")
    if state == "waiting":
        pods.go_away()
    ending = await tab.evaluate(
        """async ([url, last]) => {
            const { readStream } = await import("/static/stream_client.js")
            const aborting = new AbortController()
            const address = last === "connecting" ? () => new Promise(() => {}) : async () => url
            const onState = state => state === last && aborting.abort(new RangeError())
            const first = readStream(address, { signal: aborting.signal, onState }).next()
            const hangs = new Promise(resolve => setTimeout(resolve, 20000, "hangs"))
            return Promise.race([first.then(() => "given", error => error.name), hangs])
        }""",
        [pods.url(), state],
    )
    assert ending == "RangeError"
    await until(lambda: pods.serving.app.clients == 0)


async def test_nobody_fetches_an_address_any_more_once_it_has_ended(tab: Tab, site: Site) -> None:
    async def hang(_: Scope, receive: Receive, __: Send) -> None:
        asked.set()
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()

    asked, gone = asyncio.Event(), asyncio.Event()
    site.answers["/address"] = hang
    await tab.evaluate(
        """async () => {
            const { readStream } = await import("/static/stream_client.js")
            window.aborting = new AbortController()
            const { signal } = aborting
            readStream(signal => fetch("/address", { signal }), { signal }).next().catch(() => {})
        }"""
    )
    await asyncio.wait_for(asked.wait(), PATIENCE)
    await tab.evaluate("aborting.abort()")
    await asyncio.wait_for(gone.wait(), PATIENCE)


async def test_behind_its_signal_nothing_more_is_given(tab: Tab, pods: Pods, connection: psycopg.Connection) -> None:
    append(connection, "one", "two")
    given = await tab.evaluate(
        """async url => {
            const { readStream } = await import("/static/stream_client.js")
            const aborting = new AbortController()
            const given = []
            try {
                for await (const item of readStream(async () => url, { signal: aborting.signal })) {
                    given.push(item.data)
                    aborting.abort()
                }
            } catch (error) {
                given.push(error.name)
            }
            return given
        }""",
        pods.url(),
    )
    assert given == ["one", "AbortError"]


async def test_whoever_leaves_the_loop_closes_the_connection(
    tab: Tab, pods: Pods, connection: psycopg.Connection
) -> None:
    append(connection, "one", "two")
    taken = await tab.evaluate(
        """async url => {
            const { readStream } = await import("/static/stream_client.js")
            for await (const item of readStream(async () => url)) return item.data
        }""",
        pods.url(),
    )
    assert taken == "one"
    await until(lambda: pods.serving.app.clients == 0)


async def test_a_cookie_opens_a_stream_to_a_page_of_another_origin(
    tab: Tab, context: BrowserContext, pods: Pods, connection: psycopg.Connection
) -> None:
    append(connection, "one")
    await context.add_cookies([{"name": COOKIE, "value": ticket(), "url": pods.origin}])
    await tab.read(lambda: f"{pods.origin}/chat", credentials="include")
    assert texts(await tab.taken(1)) == ["one"]


async def test_a_page_of_another_origin_is_given_nothing(
    page: Page, site: Site, pods: Pods, connection: psycopg.Connection
) -> None:
    append(connection, "one")
    stranger = await open_tab(page, site.other_origin)
    await stranger.read(pods.url)
    await until(lambda: "waiting" in stranger.states)
    assert (stranger.states[:2], stranger.items) == (["connecting", "waiting"], [])
