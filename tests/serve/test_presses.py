"""What Slack, or whoever pretends to be Slack, delivers to the public application, and what becomes of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from pendingctl.demo.faults import Fault
from pendingctl.demo.presses import ACKNOWLEDGE_SECONDS, form
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.platforms import Sentence
from pendingctl.platforms.slack import Press, SlackPlatform
from pendingctl.serve import slack_app
from pendingctl.serve.slack_app import SlackApp
from tests.faults.proxy import running_proxy
from tests.listener import Listener, Serve
from tests.slack import hostile_presses as hostile
from tests.sse.event_source import until

from .applications import AssembledPod, assembled, bearer, written
from .clients import PATIENCE
from .deliveries import (
    CANNOT_SERVE,
    UNKNOWN,
    answers,
    card_of,
    counted,
    deliver,
    deliver_at_once,
    reply_text,
    with_value,
)
from .pods import OTHER_TOKEN, configuration

GUESSES = 10_000


def noting(seen: list[bytes]) -> Serve:
    """A server that notes what each connection brings first, and hangs up."""

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(100))
        writer.close()

    return note


async def test_what_was_not_offered_is_no_answer(
    pod: AssembledPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    old = await card_of(pod, slack)
    number = (await pod.internal.get("/questions/q")).json()["ask_number"]
    await card_of(pod, slack, text="Deploy now?")
    now = (await pod.internal.get("/questions/q")).json()["ask_number"]
    press = slack.delivery("U1", old, "yes")

    said = {
        value: await reply_text(pod, slack, with_value(slack, replace(press, replies_before=len(slack.replies)), value))
        for value in (f'["q",{now},2]', f'["q",{now},24]', f'["q",{number},0]', f'["q",{now + 1},0]', '["unknown",1,0]')
    }

    assert list(said.values()) == [
        *["That is not one of the options: yes, no."] * 2,
        "This question has changed; answer the newer card.",
        *[UNKNOWN] * 2,
    ]
    assert answers(connection) == []


async def test_a_value_that_no_button_of_a_card_carries_is_no_press(
    pod: AssembledPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    press = slack.delivery("U1", await card_of(pod, slack), "yes")
    number = (await pod.internal.get("/questions/q")).json()["ask_number"]
    values = (
        *("", "yes", "null", "{}", "[]", '["q"]', f'["q",{number}]', f'["q",{number},0,0]', f'[["q"],{number},0]'),
        *(f'["q","{number}",0]', f'["q",{number},"0"]', f'["q",{number},"yes"]', f'["q",{number}.0,0]'),
        *('["q",null,0]', '["q",0,0]', '["q",-1,0]', f'["q",{number},-1]', f'["q",{number},25]', '["q",true,0]'),
        f'["q",{number},false]',
        *('["q",9223372036854775808,0]', '["q",' + "9" * 5_000 + ",0]", f'["",{number},0]'),
        f'["a\\u0000b",{number},0]',
        *(f'["\\ud800",{number},0]', f'["{"x" * 256}",{number},0]', "[" * 100_000, '["q",NaN,0]', '["q",Infinity,0]'),
    )  # fmt: skip

    for value in values:
        assert (await deliver(pod, with_value(slack, press, value))).status_code == 200, value
    await pod.slack_app.drain(time.monotonic() + 5)

    assert counted(pod, "block_actions") == len(values)
    assert slack.responses == []
    assert answers(connection) == []


async def test_other_kinds_are_acknowledged_and_counted(
    pod: AssembledPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    app, press = slack.apps["A1"], slack.delivery("U1", await card_of(pod, slack), "yes")
    kinds = ("view_submission", "view_closed", "shortcut", "message_action", "block_suggestion", "workflow_step")
    others = [hostile.ssl_check(press, app), *(hostile.of_kind(press, app, kind) for kind in kinds)]
    junk = [hostile.with_body(press, app, body) for body in hostile.JUNK_BODIES]

    replies = [await deliver(pod, each) for each in [*others, *junk]]

    assert [(each.status_code, each.content) for each in replies] == [(200, b"")] * len(replies)
    assert [counted(pod, kind) for kind in ("ssl_check", *kinds[:-1])] == [1.0] * 6
    assert counted(pod, "other") + counted(pod, "unreadable") == 1 + len(junk)
    assert answers(connection) == []
    assert slack.responses == []


async def test_a_reply_goes_to_slack_alone_wherever_a_press_wants_it(pod: AssembledPod, slack: FakeSlack) -> None:
    """Elsewhere a listener waits for it, at a port of its own and where Slack redirects to."""
    seen: list[bytes] = []
    elsewhere = Listener(noting(seen))
    port = await elsewhere.start()
    press = slack.delivery("U1", await card_of(pod, slack), "yes")
    origin = slack.url.removesuffix("/api/")
    authority = origin.removeprefix("http://")
    urls: tuple[object, ...] = (
        *(f"http://127.0.0.1:{port}/", f"http://localhost:{port}/", f"https://{authority}/actions/T1/1/x"),
        *(f"http://{authority}@127.0.0.1:{port}/", f"http://user:pass@{authority}/actions", f"{origin}:{port}/"),
        *(f"http://127.0.0.1:{port}\\@{authority}/", f"http://127.0.0.1:{port}#@{authority}/", f"{origin}.test/"),
        *(f"//127.0.0.1:{port}/", "file:///etc/passwd", "javascript:1", "", None, 17, ["x"], f"\n{origin}/actions"),
        *(f"{origin}\t/actions", f"{origin}/actions\r\nX: y", "http://[::1", f"{origin}/{'x' * 3_000}"),
    )
    try:
        for url in urls:
            sent = hostile.changed(press, slack.apps["A1"], response_url=url)
            assert (await deliver(pod, sent)).status_code == 200, url
        await slack.until(lambda: len(slack.called("chat.postEphemeral")) == len(urls))
        assert slack.responses == []

        slack.fail("response_url", Fault(status=307, location=f"http://127.0.0.1:{port}/"))
        assert (await deliver(pod, press)).status_code == 200
        await slack.until(lambda: len(slack.called("chat.postEphemeral")) == len(urls) + 1)
        assert seen == []
    finally:
        await elsewhere.stop()


async def test_a_press_that_is_undecided_when_its_pod_ends_is_replied_to(
    dsn: str, connection: psycopg.Connection, slack: FakeSlack, tmp_path: Path
) -> None:
    text = configuration(slack_url=slack.url, worker_url=None)
    async with running_proxy(dsn, connection) as proxy, assembled(written(tmp_path, text), proxy.dsn) as pod:
        press = slack.delivery("U1", await card_of(pod, slack), "yes")
        await proxy.stop()
        assert (await deliver(pod, press)).status_code == 200
        assert slack.replies_to(press) == []

        # Of its last seconds half are the reply's.
        async with asyncio.timeout(PATIENCE):
            await pod.slack_app.drain(time.monotonic() + 4)

        assert [reply.text for reply in slack.replies_to(press)] == [CANNOT_SERVE]
        # Its claim would wait for the database for the rest of 15 s.
        await pod.bridge.close(within=timedelta())


class Repliers(SlackPlatform):
    """Notes what would be replied."""

    def __init__(self) -> None:
        super().__init__({})
        self.said: Counter[str] = Counter()

    async def reply(self, press: Press, said: Sentence, **_: str | None) -> None:  # noqa: ARG002
        self.said[said.text()] += 1


@asynccontextmanager
async def held(dsn: str, id: str) -> AsyncIterator[None]:
    """Hold a question's row, so that a claim of it waits."""
    async with await psycopg.AsyncConnection.connect(dsn) as holder:
        await holder.execute("select from pending_interactions where id = %s for update", (id,))
        yield
        await holder.rollback()


async def test_a_press_that_takes_long_is_acknowledged_in_time_and_replied_to_when_it_is_decided(
    pod: AssembledPod, slack: FakeSlack, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With half a second for the way, of what Slack waits for.
    assert slack_app.ACKNOWLEDGE_SECONDS + 0.5 <= ACKNOWLEDGE_SECONDS
    monkeypatch.setattr(slack_app, "ACKNOWLEDGE_SECONDS", 0.2)
    press = slack.delivery("U1", await card_of(pod, slack), "yes")
    async with held(dsn, "q"):
        assert (await deliver(pod, press)).status_code == 200
        assert slack.replies_to(press) == []
        text, _ = pod.metrics.exposition()
        assert "pendingctl_presses_acknowledged_late_total 1.0" in text.decode()

    assert (await slack.reply_to(press)).text == "You answered: yes"


async def test_presses_beyond_what_one_organization_may_wait_for_are_asked_to_press_again_and_others_are_not(
    pod: AssembledPod, slack: FakeSlack, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_app, "MOST_CLAIMS", 2)
    card = await card_of(pod, slack)
    others = await card_of(pod, slack, "of-globex", channel="C9", token=OTHER_TOKEN, user_id="U7")
    async with held(dsn, "q"):
        presses = [slack.delivery("U1", card, "yes") for _ in range(3)]
        waiting = [asyncio.create_task(deliver(pod, each)) for each in presses]
        assert (await slack.reply_to(presses[2])).text == CANNOT_SERVE
        assert await reply_text(pod, slack, slack.delivery("T2:U7", others, "no")) == "You answered: no"

    assert {each.status_code for each in await asyncio.gather(*waiting)} == {200}
    assert (await slack.reply_to(presses[0])).text == "You answered: yes"


class SlowRepliers(Repliers):
    """Slack does not take what is replied to organization acme."""

    async def reply(self, press: Press, said: Sentence, **to: str | None) -> None:
        if to["organization_id"] == "acme":
            await asyncio.sleep(60)
        await super().reply(press, said, **to)


async def test_replies_that_slack_does_not_take_keep_out_no_other_organizations(
    pod: AssembledPod, slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slack_app, "MOST_REPLIES", 10)
    connections = [each for of in pod.given.organizations.values() for each in of.connections]
    platform = SlowRepliers()
    app = SlackApp(pod.given.slack, connections, pod.bridge, platform, pod.limits, pod.metrics)
    press = slack.delivery("U1", await card_of(pod, slack), "yes")
    of_globex = hostile.changed(press, slack.apps["A1"], team={"id": "T2"})

    for _ in range(12):
        assert await deliver_at_once(app.asgi, press) == 200
    assert await deliver_at_once(app.asgi, of_globex) == 200
    await until(lambda: platform.said == {UNKNOWN: 1})
    await app.drain(time.monotonic())

    assert platform.said == {UNKNOWN: 1}
    text, _ = pod.metrics.exposition()
    assert "pendingctl_replies_failed_total 2.0" in text.decode()


@pytest.mark.once
@pytest.mark.early
async def test_ten_thousand_guesses_of_ids_get_the_same_reply(
    pod: AssembledPod, slack: FakeSlack, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every hundredth is the id of another organization's question."""
    # Each is decided before the next ones come: too many at once would be asked to press again.
    monkeypatch.setattr(slack_app, "ACKNOWLEDGE_SECONDS", PATIENCE)
    await card_of(pod, slack, "of-globex", channel="C9", token=OTHER_TOKEN, user_id="U7")
    number = (await pod.internal.get("/questions/of-globex", headers=bearer(OTHER_TOKEN))).json()["ask_number"]
    press = slack.delivery("U1", await card_of(pod, slack), "yes")
    connections = [each for of in pod.given.organizations.values() for each in of.connections]
    platform = Repliers()
    app = SlackApp(pod.given.slack, connections, pod.bridge, platform, pod.limits, pod.metrics)

    payload = hostile.payload_of(press)
    (action,) = payload["actions"]
    statuses: Counter[int] = Counter()

    async def guess(attempt: int) -> None:
        id = f"guess-{attempt}" if attempt % 100 else "of-globex"
        value = f'["{id}",{number},{attempt % 2}]'
        body = form({**payload, "actions": [{**action, "value": value}]})
        guessed = hostile.with_body(press, slack.apps["A1"], body)
        statuses[await deliver_at_once(app.asgi, guessed)] += 1

    for start in range(0, GUESSES, 100):
        await asyncio.gather(*(guess(start + more) for more in range(100)))
    await app.drain(time.monotonic() + PATIENCE)

    assert statuses == {200: GUESSES}
    assert platform.said == {UNKNOWN: GUESSES}
    assert answers(connection) == []
