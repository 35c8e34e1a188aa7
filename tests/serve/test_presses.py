"""What Slack, or whoever pretends to be Slack, delivers to the public application, and what becomes of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from starlette.types import ASGIApp, Message

from pendingctl.demo.faults import Fault
from pendingctl.demo.messages import Message as Card
from pendingctl.demo.presses import SIGNATURE, TIMESTAMP, Delivery, form
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.workspaces import App, Person
from pendingctl.platforms import Sentence
from pendingctl.platforms.slack import Press, SlackPlatform
from pendingctl.serve import slack_app
from pendingctl.serve.slack_app import SlackApp
from tests.faults.proxy import running_proxy
from tests.listener import Listener, Serve
from tests.slack import hostile_presses as hostile

from .applications import AssembledPod, assembled, bearer, written
from .pods import OTHER_TOKEN, SIGNING_SECRET, configuration

UNKNOWN = "This question is unknown or has expired."
CANNOT_SERVE = "This cannot be served here right now, please try again."
GUESSES = 10_000
NOT_YOURS = "This question is for somebody else."


async def deliver(pod: AssembledPod, delivery: Delivery) -> httpx.Response:
    return await pod.public.post("/slack", content=delivery.body, headers=dict(delivery.headers))


async def card_of(pod: AssembledPod, slack: FakeSlack, id: str = "q", *, channel: str = "C2", **changes: Any) -> Card:
    """A question's card, once Slack shows it and the pod knows it."""
    number = len(slack.messages(channel))
    asked = await pod.ask(id, conversation_id=channel, **changes)
    assert asked.status_code == 201, asked.text
    await slack.until(lambda: len(slack.messages(channel)) > number)
    return slack.messages(channel)[number]


async def deliver_at_once(app: ASGIApp, delivery: Delivery) -> int:
    """Deliver without a client of HTTP, which takes as long as the rest, and return the status."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/slack",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in delivery.headers.items()],
    }
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": delivery.body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]


def answers(connection: psycopg.Connection) -> list[tuple[str, str, str]]:
    """The questions that were answered, with the answer and whose it is."""
    return connection.execute(
        "select id, answer, answered_by from pending_interactions where claimed_at is not null order by id"
    ).fetchall()


def counted(pod: AssembledPod, outcome: str) -> float:
    text, _ = pod.metrics.exposition()
    for line in text.decode().splitlines():
        if line.startswith(f'pendingctl_presses_total{{outcome="{outcome}"}} '):
            return float(line.rpartition(" ")[2])
    raise LookupError(outcome)


async def test_what_slack_has_not_signed_just_now_is_refused_and_costs_nothing(
    pod: AssembledPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    card = await card_of(pod, slack)
    app, press = slack.apps["A1"], slack.delivery("U1", card, "yes")
    other_version = {**press.headers, SIGNATURE: press.headers[SIGNATURE].replace("v0=", "v1=")}
    refused = [
        hostile.unsigned(press),
        hostile.forged(press),
        hostile.signed_ago(press, app, 301),
        hostile.signed_ago(press, app, -301),
        hostile.signed_ago(press, app, 10**9),
        replace(press, body=press.body + b"&a=1"),
        replace(press, body=press.body.replace(b"U1", b"U2")),
        replace(press, body=b""),
        replace(press, headers=other_version),
        replace(press, headers={**press.headers, SIGNATURE: press.headers[SIGNATURE].upper()}),
        replace(press, headers={**press.headers, SIGNATURE: press.headers[SIGNATURE][:-1]}),
        replace(press, headers={**press.headers, SIGNATURE: ""}),
        *(hostile.with_timestamp(press, junk) for junk in hostile.JUNK_TIMESTAMPS),
    ]

    statuses = [(await deliver(pod, each)).status_code for each in refused]

    assert statuses == [401] * len(refused)
    assert counted(pod, "unsigned") == len(refused)
    assert answers(connection) == []
    assert slack.responses == []


async def test_two_signatures_or_timestamps_are_none(
    pod: AssembledPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    press = slack.delivery("U1", await card_of(pod, slack), "yes")
    for name in (SIGNATURE, TIMESTAMP):
        for second in (press.headers[name], "x"):
            headers = [*press.headers.items(), (name, second)]
            assert (await pod.public.post("/slack", content=press.body, headers=headers)).status_code == 401
    assert answers(connection) == []


async def test_headers_that_are_no_ascii_are_no_signature(pod: AssembledPod, slack: FakeSlack) -> None:
    press = slack.delivery("U1", await card_of(pod, slack), "yes")
    for name in (SIGNATURE, TIMESTAMP):
        headers = [(other.encode(), value.encode()) for other, value in press.headers.items() if other != name]
        for value in (b"\xff\xfe", b"v0=\xd9\xa3", "٣".encode(), b"\x00"):
            sent = [*headers, (name.encode(), value)]
            assert (await pod.public.post("/slack", content=press.body, headers=sent)).status_code == 401


async def test_a_body_over_1_mib_is_refused_before_its_signature_is_looked_at(
    pod: AssembledPod, slack: FakeSlack
) -> None:
    large = hostile.with_body(
        slack.delivery("U1", await card_of(pod, slack), "yes"), slack.apps["A1"], b"x" * ((1 << 20) + 1)
    )

    assert (await deliver(pod, large)).status_code == 413
    assert counted(pod, "unsigned") == 0


async def test_a_replay_gets_the_same_reply_and_wins_nothing_more(
    pod: AssembledPod, other_pod: AssembledPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    press = slack.delivery("U1", await card_of(pod, slack), "yes")

    statuses = [(await deliver(each, press)).status_code for each in (pod, other_pod, pod)]
    await slack.until(lambda: len(slack.replies_to(press)) == 3)

    assert statuses == [200] * 3
    assert {reply.text for reply in slack.replies_to(press)} == {"You answered: yes"}
    assert answers(connection) == [("q", "yes", "U1")]
    await slack.until(lambda: not slack.messages("C2")[0].buttons)
    assert len(pod.sink.answers) + len(other_pod.sink.answers) == 1


def noting(seen: list[bytes]) -> Serve:
    """A server that notes what each connection brings first, and hangs up."""

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(100))
        writer.close()

    return note


async def reply_text(pod: AssembledPod, slack: FakeSlack, delivery: Delivery) -> str:
    assert (await deliver(pod, delivery)).status_code == 200
    return (await slack.reply_to(delivery)).text


async def test_another_user_learns_that_the_question_is_not_theirs(
    pod: AssembledPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    card = await card_of(pod, slack, channel="C1")

    said = {
        user: await reply_text(pod, slack, slack.delivery(user, card, "yes"))
        # A colleague, a guest, and somebody of another workspace that has the app.
        for user in ("U2", "U4", "U7")
    }

    assert set(said.values()) == {NOT_YOURS}
    assert answers(connection) == []


async def test_somebody_of_another_workspace_with_the_same_id_is_somebody_else(
    pod: AssembledPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    card = await card_of(pod, slack, channel="C1")
    twin = Person("U1", "alice's twin", "T2")
    slack.people[twin.key] = twin
    slack.channels["C1"].members.add(twin.key)

    assert await reply_text(pod, slack, slack.delivery(twin, card, "yes")) == NOT_YOURS
    assert answers(connection) == []


async def test_somebody_of_another_workspace_answers_where_they_are_the_one_asked(
    pod: AssembledPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    card = await card_of(pod, slack, channel="C1", user_id="T2:U7")

    assert await reply_text(pod, slack, slack.delivery("T2:U7", card, "yes")) == "You answered: yes"
    assert answers(connection) == [("q", "yes", "T2:U7")]


@pytest.mark.parametrize("is_allowed", [False, True])
async def test_a_stranger_learns_nothing_unless_their_workspace_is_allowed(
    dsn: str, slack: FakeSlack, connection: psycopg.Connection, tmp_path: Path, is_allowed: bool
) -> None:
    text = configuration(slack_url=slack.url, worker_url=None)
    if is_allowed:
        text = text.replace('token = "xoxb-acme"', 'token = "xoxb-acme"\nallowed_teams = ["T9"]')
    stranger = Person("U9", "sam", "T9")
    slack.people[stranger.key] = stranger
    slack.channels["C1"].members.add(stranger.key)

    async with assembled(written(tmp_path, text), dsn) as pod:
        card = await card_of(pod, slack, channel="C1", user_id="T9:U9")
        said = await reply_text(pod, slack, slack.delivery(stranger, card, "yes"))

        assert said == ("You answered: yes" if is_allowed else UNKNOWN)
        assert counted(pod, "answered" if is_allowed else "stranger") == 1
    assert answers(connection) == ([("q", "yes", "T9:U9")] if is_allowed else [])


async def test_a_press_in_an_unknown_installation_is_unknown_by_response_url_alone(
    pod: AssembledPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    press = slack.delivery("U1", await card_of(pod, slack), "yes")
    places: list[dict[str, Any]] = [
        {"team": {"id": "T9", "domain": "elsewhere"}},
        {"team": {"id": "T9"}, "enterprise": {"id": "E9"}},
        {"team": None, "enterprise": {"id": "E9"}, "is_enterprise_install": True},
    ]
    for number, place in enumerate(places, start=1):
        foreign = hostile.changed(press, slack.apps["A1"], **place)

        assert (await deliver(pod, foreign)).status_code == 200
        await slack.until(lambda number=number: len(slack.replies_to(press)) == number)  # type: ignore[misc]
    assert {reply.text for reply in slack.replies_to(press)} == {UNKNOWN}
    assert counted(pod, "unknown_installation") == len(places)
    assert slack.called("chat.postEphemeral") == []
    assert answers(connection) == []


async def test_without_a_response_url_an_unknown_installation_gets_no_reply(
    pod: AssembledPod, slack: FakeSlack
) -> None:
    press = slack.delivery("U1", await card_of(pod, slack), "yes")

    foreign = hostile.changed(press, slack.apps["A1"], team={"id": "T9"}, response_url="https://elsewhere.test/x")
    assert (await deliver(pod, foreign)).status_code == 200
    await pod.slack_app.drain(time.monotonic() + 5)

    assert slack.called("chat.postEphemeral") == []
    assert slack.responses == []


async def test_the_secret_of_another_app_opens_nothing_of_this_one(
    dsn: str, slack: FakeSlack, connection: psycopg.Connection, tmp_path: Path
) -> None:
    """Both are configured: the owner of A2 signs a press that claims to be one of A1's."""
    slack.apps["A2"] = other = App(id="A2", signing_secret="another-signing-secret-of-32-chars")
    text = configuration(
        slack_url=slack.url, worker_url=None, more=f'[slack.apps.A2]\nsigning_secrets = ["{other.signing_secret}"]\n'
    )
    async with assembled(written(tmp_path, text), dsn) as pod:
        press = slack.delivery("U1", await card_of(pod, slack), "yes")

        assert (await deliver(pod, hostile.changed(press, other))).status_code == 401
        assert (await deliver(pod, hostile.changed(press, other, api_app_id="A3"))).status_code == 401
        # Its own app is in no workspace of ours.
        assert await reply_text(pod, slack, hostile.changed(press, other, api_app_id="A2")) == UNKNOWN
        assert answers(connection) == []
        assert (await deliver(pod, press)).status_code == 200
    assert answers(connection) == [("q", "yes", "U1")]


async def test_two_secrets_are_valid_while_one_is_replaced(dsn: str, slack: FakeSlack, tmp_path: Path) -> None:
    text = configuration(slack_url=slack.url, worker_url=None)
    text = text.replace(
        '[{ env = "SLACK_SIGNING_SECRET" }]', '["a-new-signing-secret", { env = "SLACK_SIGNING_SECRET" }]'
    )
    async with assembled(written(tmp_path, text), dsn) as pod:
        press = slack.delivery("U1", await card_of(pod, slack), "yes")
        for secret in (SIGNING_SECRET, "a-new-signing-secret"):
            said = await reply_text(pod, slack, hostile.changed(press, App(id="A1", signing_secret=secret)))
            assert said == "You answered: yes"


async def test_an_install_for_a_whole_organization_of_slack_has_no_workspace(
    dsn: str, slack: FakeSlack, connection: psycopg.Connection, tmp_path: Path
) -> None:
    more = '[organizations.acme.connections.initech]\napp = "A1"\nenterprise = "E1"\ntoken = "xoxb-initech"\n'
    text = configuration(slack_url=slack.url, worker_url=None, more=more)
    async with assembled(written(tmp_path, text), dsn) as pod:
        card = await card_of(pod, slack, channel="C3", connection_id="initech", user_id="W9")
        press = slack.delivery("E1:W9", card, "no")

        assert b"%22team%22%3Anull" in press.body
        assert await reply_text(pod, slack, press) == "You answered: no"
    assert answers(connection) == [("q", "no", "W9")]


async def test_a_workspace_without_the_app_is_not_reached_by_the_organization_of_another(
    dsn: str, slack: FakeSlack, connection: psycopg.Connection, tmp_path: Path
) -> None:
    """A connection of one workspace names that workspace's organization so that people of it are known."""
    text = configuration(slack_url=slack.url, worker_url=None)
    text = text.replace('team = "T1"', 'team = "T1"\nenterprise = "E1"')
    async with assembled(written(tmp_path, text), dsn) as pod:
        press = slack.delivery("U1", await card_of(pod, slack), "yes")
        foreign = hostile.changed(press, slack.apps["A1"], team={"id": "T4"}, enterprise={"id": "E1"})
        own = hostile.changed(press, slack.apps["A1"], enterprise={"id": "E1"})

        assert await reply_text(pod, slack, foreign) == UNKNOWN
        assert answers(connection) == []
        assert await reply_text(pod, slack, replace(own, replies_before=len(slack.replies))) == "You answered: yes"
    assert answers(connection) == [("q", "yes", "U1")]


def with_value(slack: FakeSlack, press: Delivery, value: str, **changes: Any) -> Delivery:
    """The press of a button that carries another value."""
    (action,) = hostile.payload_of(press)["actions"]
    return hostile.changed(press, slack.apps["A1"], actions=[{**action, "value": value}], **changes)


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


async def test_one_tenants_question_on_anothers_connection_is_not_asked_and_its_press_is_unknown(
    pod: AssembledPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    """Both have a connection `slack`: globex asks in acme's channel, and presses in its own what is acme's."""
    await card_of(pod, slack, "of-acme")
    number = (await pod.internal.get("/questions/of-acme")).json()["ask_number"]

    in_acmes_channel = await pod.ask("of-globex", token=OTHER_TOKEN, conversation_id="C2")
    assert in_acmes_channel.status_code == 201
    await slack.until(lambda: len(slack.called("chat.postMessage")) == 2)
    assert len(slack.messages("C2")) == 1

    card = await card_of(pod, slack, "of-globex-2", channel="C9", token=OTHER_TOKEN, user_id="U7")
    press = slack.delivery("T2:U7", card, "yes")
    assert await reply_text(pod, slack, with_value(slack, press, f'["of-acme",{number},0]')) == UNKNOWN
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

        ends = time.monotonic() + 2
        await pod.slack_app.drain(ends)

        assert time.monotonic() < ends + 1
        assert [reply.text for reply in slack.replies_to(press)] == [CANNOT_SERVE]


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
    monkeypatch.setattr(slack_app, "ACKNOWLEDGE_SECONDS", 0.2)
    press = slack.delivery("U1", await card_of(pod, slack), "yes")
    async with held(dsn, "q"):
        begun = time.monotonic()
        assert (await deliver(pod, press)).status_code == 200
        assert time.monotonic() - begun < 1
        assert slack.replies_to(press) == []

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
        await asyncio.wait(waiting, timeout=2, return_when=asyncio.FIRST_COMPLETED)
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
    app = SlackApp(pod.given.slack, connections, pod.bridge, platform, pod.metrics)
    press = slack.delivery("U1", await card_of(pod, slack), "yes")
    of_globex = hostile.changed(press, slack.apps["A1"], team={"id": "T2"})

    for _ in range(12):
        assert await deliver_at_once(app.asgi, press) == 200
    assert await deliver_at_once(app.asgi, of_globex) == 200
    await app.drain(time.monotonic() + 1)

    assert platform.said == {UNKNOWN: 1}
    text, _ = pod.metrics.exposition()
    assert "pendingctl_replies_failed_total 2.0" in text.decode()


@pytest.mark.once
async def test_ten_thousand_guesses_of_ids_get_the_same_reply(
    pod: AssembledPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    """Every hundredth is the id of another organization's question."""
    await card_of(pod, slack, "of-globex", channel="C9", token=OTHER_TOKEN, user_id="U7")
    number = (await pod.internal.get("/questions/of-globex", headers=bearer(OTHER_TOKEN))).json()["ask_number"]
    press = slack.delivery("U1", await card_of(pod, slack), "yes")
    connections = [each for of in pod.given.organizations.values() for each in of.connections]
    platform = Repliers()
    app = SlackApp(pod.given.slack, connections, pod.bridge, platform, pod.metrics)

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
    await app.drain(time.monotonic() + 10)

    assert statuses == {200: GUESSES}
    assert platform.said == {UNKNOWN: GUESSES}
    assert answers(connection) == []
