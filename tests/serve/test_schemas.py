"""Pods whose database has an older schema, none, a newer one, or one that it does not tell."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import psycopg
import pytest

from pendingctl.demo.presses import Seen
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.schema import migrations
from pendingctl.schema.migrations import migrations_directory

from .answer_worker import AnswerWorker
from .conftest import deployed
from .pods import configuration, served
from .readiness import readiness

pytestmark = pytest.mark.once


@pytest.fixture
def text(slack: FakeSlack, worker: AnswerWorker) -> str:
    return configuration(slack_url=slack.url, worker_url=worker.url)


@pytest.mark.parametrize("missing", ["one", "all"])
async def test_a_pod_waits_for_the_migrations_that_it_needs_and_says_so(
    empty_dsn: str, text: str, tmp_path: Path, missing: str
) -> None:
    if missing == "one":
        migrations.apply(empty_dsn)
        migrations.rollback(empty_dsn, 1)
    async with served(text, empty_dsn, tmp_path, wait=False) as pod:
        # A busy machine may not have read the migrations of its first look in time.
        waiting = await readiness(pod, lambda ready: "pending" in ready.schema)
        assert (waiting.status, waiting.database) == (503, "ok")
        pending = "1 migration is pending" if missing == "one" else "migrations are pending"
        assert f"{pending}; run pendingctl migrate" in waiting.schema

        await asyncio.to_thread(migrations.apply, empty_dsn)
        await pod.ready()


async def test_a_newer_schema_is_no_obstacle(dsn: str, slack: FakeSlack, worker: AnswerWorker, tmp_path: Path) -> None:
    newer = tmp_path / "migrations"
    shutil.copytree(migrations_directory(), newer)
    (newer / "0999_later.sql").write_text("alter table pending_interactions add column later text;\n")
    (newer / "0999_later.rollback.sql").write_text("-- loses: later\nalter table pending_interactions drop later;\n")
    assert migrations.apply(dsn, newer) == ["0999_later"]
    async with deployed(dsn, slack, worker, tmp_path) as deployment:
        card = await deployment.shown(deployment.a, "deploy-1")

        pressed = await slack.press("U1", card, "yes")

        assert pressed.seen is Seen.ACKNOWLEDGED
        assert (await slack.reply_to(pressed)).text == "You answered: yes"
        await deployment.delivered_once("deploy-1", "yes")


async def test_a_database_that_does_not_tell_its_schema_is_waited_for_and_keeps_no_pod_from_ending(
    dsn: str, text: str, tmp_path: Path
) -> None:
    async with await psycopg.AsyncConnection.connect(dsn) as migrating:
        # As a migration that takes long does.
        await migrating.execute("lock table pendingctl_migration in access exclusive mode")
        async with served(text, dsn, tmp_path, wait=False) as pod, served(text, dsn, tmp_path, wait=False) as ending:
            waiting = await readiness(pod, lambda ready: ready.schema != "not looked at yet")
            assert waiting.status == 503
            assert "did not say" in waiting.schema
            assert await ending.stop() == 0

            await migrating.rollback()
            await pod.ready()
