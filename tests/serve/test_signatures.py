"""What Slack has not signed, with the right secret and just now, opens nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import psycopg

from pendingctl.demo.presses import SIGNATURE, TIMESTAMP
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.workspaces import App
from tests.slack import hostile_presses as hostile
from tests.sse.event_source import until

from .applications import AssembledPod, assembled, written
from .deliveries import (
    UNKNOWN,
    answers,
    card_of,
    counted,
    deliver,
    reply_text,
)
from .pods import SIGNING_SECRET, configuration


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
        # Five minutes, and one in which it may be delivered.
        hostile.signed_ago(press, app, -360),
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
    await until(lambda: bool(pod.sink.answers or other_pod.sink.answers))
    assert len(pod.sink.answers) + len(other_pod.sink.answers) == 1


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
