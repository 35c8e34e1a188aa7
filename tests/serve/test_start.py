"""What a pod does when it starts: it looks at its database, and takes it as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import aiohttp
import httpx
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from pendingctl.demo import pods
from pendingctl.demo.slack_server import FakeSlack
from tests.faults.proxy import Hold, Proxy

from .applications import QUESTION
from .clients import PATIENCE
from .pods import TOKEN, configuration, served
from .readiness import readiness

pytestmark = pytest.mark.once


async def test_organizations_that_are_missing_are_created(
    dsn: str, slack: FakeSlack, connection: psycopg.Connection, tmp_path: Path
) -> None:
    connection.execute("delete from organization")

    async with served(configuration(slack_url=slack.url, worker_url=None), dsn, tmp_path):
        found = connection.execute("select id from organization order by id").fetchall()

    assert found == [("acme",), ("globex",)]


async def test_an_application_keeps_its_organizations_itself(
    dsn: str, slack: FakeSlack, connection: psycopg.Connection, tmp_path: Path
) -> None:
    connection.execute("alter table organization add column owner text not null default 'somebody'")
    connection.execute("alter table organization alter column owner drop default")

    async with served(configuration(slack_url=slack.url, worker_url=None), dsn, tmp_path) as pod:
        assert not [line for line in pod.lines if "organization" in str(line["message"])]


async def test_a_pod_that_reaches_a_standby_alone_is_not_ready_and_says_why(
    dsn: str, slack: FakeSlack, tmp_path: Path
) -> None:
    """It could claim nothing; a server that is read-only for all looks the same."""
    standby = make_conninfo(dsn, options="-cdefault_transaction_read_only=on")
    async with served(configuration(slack_url=slack.url, worker_url=None), standby, tmp_path, wait=False) as pod:
        looked = await readiness(pod, lambda ready: "read-only" in ready.database)

    assert looked.status == 503
    assert "connect to the primary" in looked.database


async def test_a_pod_that_hangs_for_a_moment_when_it_starts_is_waited_for(
    dsn: str, slack: FakeSlack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pods, "_LOOK_WITHIN", aiohttp.ClientTimeout(total=0.5))
    async with served(configuration(slack_url=slack.url, worker_url=None), dsn, tmp_path, wait=False) as pod:
        proxy = Proxy("127.0.0.1", pod.internal_port, hold=(never_released := Hold(b"200 OK")))
        try:
            await replace(pod, internal_port=await proxy.start()).ready()
        finally:
            await proxy.stop()

    assert never_released.has_come.is_set()


async def test_a_question_goes_stale_at_the_age_that_is_configured(dsn: str, slack: FakeSlack, tmp_path: Path) -> None:
    """Its card and whoever reads it say what the sweep goes by."""
    text = configuration(slack_url=slack.url, worker_url=None, sweep='[sweep]\nmax_age = "1s"\nevery = "1h"')
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with (
        served(text, dsn, tmp_path) as pod,
        httpx.AsyncClient(base_url=pod.url, headers=headers, timeout=PATIENCE) as client,
    ):
        assert (await client.post("/questions", json={**QUESTION, "id": "q"})).status_code == 201
        await slack.until(lambda: any("about to be removed" in card.text for card in slack.messages("C2")))
        read = (await client.get("/questions/q")).json()
        listed = (await client.get("/questions?for=U1&state=stale")).json()

    assert read["state"] == "stale"
    assert [each["question_id"] for each in listed["questions"]] == ["q"]
