"""Who presses: another user, another workspace, a stranger, another tenant, an organization of Slack."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.workspaces import Person
from tests.slack import hostile_presses as hostile

from .applications import AssembledPod, assembled, written
from .deliveries import (
    NOT_YOURS,
    UNKNOWN,
    answers,
    card_of,
    counted,
    deliver,
    reply_text,
    with_value,
)
from .pods import OTHER_TOKEN, configuration


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
        card = await card_of(pod, slack, channel="C1", user_id="T9:U9" if is_allowed else "U1")
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
