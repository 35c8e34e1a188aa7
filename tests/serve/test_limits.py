"""Limits of a pod: questions of each organization, and presses of each person."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.workspaces import Person
from pendingctl.limits import Limit, RateLimiter
from pendingctl.postgres.connections import Pool
from pendingctl.postgres.time_limits import Purpose
from pendingctl.serve.configuration import load
from pendingctl.serve.limits import ServedLimits
from pendingctl.serve.metrics import Metrics
from pendingctl.serve.settings import Limits

from .applications import AssembledPod, assembled, usual, written
from .clients import PATIENCE
from .configurations import ENVIRON, configured
from .deliveries import answers, card_of, counted, reply_text
from .pods import OTHER_TOKEN, configuration

LIMITED = """
[limits]
questions = { rate = 60, per = "1h", burst = 2 }
clicks = { rate = 1, per = "1h" }
"""
TOO_OFTEN = "You press buttons too often; please try again later."


@pytest.fixture(autouse=True)
def decisions_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not decided in half a second is allowed, and a busy machine takes longer."""
    monkeypatch.setattr(Purpose.LIMIT, "seconds", PATIENCE)


@pytest.fixture
async def limited(dsn: str, slack: FakeSlack, tmp_path: Path) -> AsyncIterator[AssembledPod]:
    async with assembled(usual(tmp_path, slack.url, more=LIMITED), dsn) as running:
        yield running


def decisions(pod: AssembledPod) -> dict[tuple[str, str], float]:
    """The counted decisions, by limit and decision, but for those that never came."""
    text = pod.metrics.exposition()[0].decode()
    lines = [line for line in text.splitlines() if line.startswith("pendingctl_limit_decisions_total{")]
    counts = {(line.split('"')[3], line.split('"')[1]): float(line.rpartition(" ")[2]) for line in lines}
    return {key: number for key, number in counts.items() if number}


async def test_an_organization_that_asks_too_much_is_refused_and_no_other(
    limited: AssembledPod, connection: psycopg.Connection
) -> None:
    begun = time.monotonic()
    first, second, third = [await limited.ask(f"q{number}") for number in range(3)]
    taken = time.monotonic() - begun

    assert [each.status_code for each in (first, second, third)] == [201, 201, 429]
    assert first.headers["ratelimit-policy"] == '"questions";q=2;w=120'
    assert first.headers["ratelimit"] in ('"questions";r=1;t=60', '"questions";r=1;t=59')
    assert "retry-after" not in first.headers
    assert third.headers["content-type"] == "application/problem+json"
    assert third.json()["detail"].startswith("your organization has asked more questions than its limit allows")
    assert third.headers["ratelimit"].startswith('"questions";r=0;')
    # One of a minute comes back from the first on.
    assert 60 - taken <= int(third.headers["retry-after"]) <= 60
    assert connection.execute("select id from pending_interactions order by id").fetchall() == [("q0",), ("q1",)]
    others = await limited.ask("of-globex", token=OTHER_TOKEN, conversation_id="C9", user_id="U7")
    assert others.status_code == 201
    assert decisions(limited) == {("questions", "allowed"): 3, ("questions", "denied"): 1}


async def test_a_request_that_is_refused_anyway_costs_nothing(limited: AssembledPod) -> None:
    for _ in range(3):
        assert (await limited.ask("q", text=None)).status_code == 400
        assert (await limited.ask("q", token="unknown")).status_code == 401

    assert decisions(limited) == {}


async def test_without_a_limit_no_response_speaks_of_one(pod: AssembledPod, connection: psycopg.Connection) -> None:
    asked = await pod.ask("q")

    assert not [name for name in asked.headers if name.startswith("ratelimit")]
    assert connection.execute("select from pending_rate_limit").fetchall() == []


async def test_whoever_presses_too_often_is_asked_to_try_again_later_and_nobody_else(
    limited: AssembledPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    card = await card_of(limited, slack, channel="C1")
    await reply_text(limited, slack, slack.delivery("U2", card, "yes"))

    assert await reply_text(limited, slack, slack.delivery("U2", card, "yes")) == TOO_OFTEN
    assert answers(connection) == []
    assert await reply_text(limited, slack, slack.delivery("U1", card, "yes")) == "You answered: yes"

    assert counted(limited, "limited") == 1
    assert decisions(limited)["clicks", "denied"] == 1


async def test_two_people_of_one_id_in_two_workspaces_of_an_organization_have_a_limit_each(
    dsn: str, slack: FakeSlack, connection: psycopg.Connection, tmp_path: Path
) -> None:
    text = configuration(slack_url=slack.url, worker_url=None, more=LIMITED)
    both = text.replace("[organizations.globex.connections.slack]", "[organizations.acme.connections.second]")
    twin = Person("U1", "alice's twin", "T2")
    slack.people[twin.key] = twin
    slack.channels["C9"].members.add(twin.key)

    async with assembled(written(tmp_path, both), dsn) as pod:
        one = await card_of(pod, slack, "one")
        other = await card_of(pod, slack, "other", channel="C9", connection_id="second")
        presses = [slack.delivery("T1:U1", one, "yes"), slack.delivery(twin, other, "yes")]
        said = [await reply_text(pod, slack, press) for press in presses]

    assert said == ["You answered: yes"] * 2
    assert answers(connection) == [("one", "yes", "U1"), ("other", "yes", "U1")]


async def test_a_press_that_nobody_has_signed_takes_nothing(limited: AssembledPod, slack: FakeSlack) -> None:
    press = slack.delivery("U1", await card_of(limited, slack), "yes")
    unsigned = {name: value for name, value in press.headers.items() if name != "X-Slack-Signature"}

    assert (await limited.public.post("/slack", content=press.body, headers=unsigned)).status_code == 401
    assert ("clicks", "allowed") not in decisions(limited)


async def test_limits_that_the_database_cannot_decide_are_allowed(
    limited: AssembledPod, slack: FakeSlack, connection: psycopg.Connection
) -> None:
    connection.execute("drop table pending_rate_limit")

    asked = await limited.ask("q")
    card = await card_of(limited, slack, "r", channel="C1")

    assert (asked.status_code, asked.headers.get("ratelimit")) == (201, None)
    assert await reply_text(limited, slack, slack.delivery("U1", card, "yes")) == "You answered: yes"
    assert decisions(limited) == {("questions", "undecided"): 2, ("clicks", "undecided"): 1}


async def test_applications_have_limits_of_their_own(pool: Pool, connection: psycopg.Connection) -> None:
    once = Limits(clicks=Limit(1, timedelta(hours=1), burst=1))
    limiter = RateLimiter(pool, if_unreachable="raise")
    names = ["", "a", "ä" * 255, "ä" * 254]
    for name in names:
        click = await ServedLimits(once, name, limiter, Metrics()).click("acme", "T2:U1")
        assert click is not None
        assert click.allowed

    assert connection.execute("select count(*) from pending_rate_limit").fetchone() == (len(names),)


def test_a_burst_is_as_much_as_the_rate_where_it_is_left_out(tmp_path: Path) -> None:
    given = load(configured(tmp_path, more=LIMITED), ENVIRON).limits

    assert given == Limits(questions=Limit(60, timedelta(hours=1), 2), clicks=Limit(1, timedelta(hours=1), 1))
