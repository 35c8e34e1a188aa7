"""The database restarts, fails over, hangs, or is away when pods start: every press is acknowledged and replied to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial

import httpx
import psycopg
import pytest
import pytest_asyncio

from pendingctl.demo.presses import Seen
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.workspaces import acme_and_others
from pendingctl.embedded import throwaway_pair
from pendingctl.embedded.pair import Pair
from pendingctl.race.faults.proxy import addresses_of, running_proxy, through_the_proxy
from pendingctl.schema import migrations
from tests.hanging_server import paused
from tests.listener import reserved_port

from .answer_worker import taking_answers
from .clients import PATIENCE
from .conftest import Deployment, deployed
from .crowds import crowd_of
from .pods import SIGNING_SECRET, ServedPod, configuration, served
from .readiness import readiness

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with throwaway_pair() as running:
        migrations.apply(running.dsn)
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def on_a_pair(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    """A deployment on a server and its standby, by a connection string that names both."""
    async with (
        FakeSlack(acme_and_others(SIGNING_SECRET)) as slack,
        taking_answers() as worker,
        deployed(pair.dsn, slack, worker, tmp_path_factory.mktemp("serve")) as running,
    ):
        yield running


@asynccontextmanager
async def claims_under_way(dsn: str, prefix: str, held: asyncio.Event) -> AsyncIterator[None]:
    """Hold the questions that are open, by their prefix, and begin the block when a claim waits for one."""
    holding = await psycopg.AsyncConnection.connect(dsn)
    try:
        await holding.execute(
            "select from pending_interactions where id like %(prefix)s and claimed_at is null for update",
            {"prefix": f"{prefix}-%"},
        )
        held.set()
        async with asyncio.timeout(PATIENCE):
            while await (await holding.execute("select from pg_locks where not granted")).fetchone() is None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        yield
    finally:
        holding.pgconn.finish()


@pytest.mark.law(1, 6, 7)
@pytest.mark.parametrize("trouble", ["restart", "fail_over"])
async def test_under_clicks_nothing_is_lost_and_nothing_won_twice(
    on_a_pair: Deployment, pair: Pair, trouble: str
) -> None:
    crowd = await crowd_of(on_a_pair, trouble, 12)
    held, over = asyncio.Event(), asyncio.Event()

    async def strike() -> None:
        try:
            async with claims_under_way(pair.dsn, trouble, held):
                await asyncio.to_thread(getattr(pair, trouble))
        finally:
            held.set()
            over.set()

    # In the middle: some questions are answered by then, and claims of others are under way.
    await crowd.press(per_second=25, at_most=15)
    async with asyncio.TaskGroup() as group:
        group.create_task(strike())
        await held.wait()
        group.create_task(crowd.press(per_second=25, while_=lambda: not over.is_set()))

    # What was noted of a card right before may be forgotten: it is edited again when its lease has run out.
    for id in crowd.ids:
        await on_a_pair.end_leases(id)
    await crowd.check()
    for pod in (on_a_pair.a, on_a_pair.b):
        assert (await readiness(pod, lambda ready: ready.database == "ok")).status == 200


@pytest.mark.law(7, 16)
async def test_while_it_hangs_presses_are_acknowledged_and_the_truth_follows(on_a_pair: Deployment, pair: Pair) -> None:
    crowd = await crowd_of(on_a_pair, "hangs", 4)

    with ExitStack() as stack:
        stack.enter_context(paused(pair.dsn))
        await crowd.press(per_second=50)
        # Nobody was replied to yet, nor left without an acknowledgement.
        assert [on_a_pair.slack.replies_to(press.pressed) for press in crowd.presses] == [[]] * len(crowd.presses)
        late = _value(await _metrics(on_a_pair.a), "pendingctl_presses_acknowledged_late_total")

    assert float(late) > 0
    # Once it goes on, since a press is decided for 15 s, and a pod may look at its database only after half of them.
    await crowd.check()
    with ExitStack() as stack:
        stack.enter_context(paused(pair.dsn))
        away = await readiness(on_a_pair.a, lambda ready: ready.database != "ok")
        metrics = await _metrics(on_a_pair.a)

    assert away.status == 200
    assert "pendingctl_database_reachable 0.0" in metrics
    await readiness(on_a_pair.a, lambda ready: ready.database == "ok")


@pytest.mark.long
@pytest.mark.law(7)
async def test_a_pod_that_starts_while_it_hangs_takes_presses_and_is_ready_when_it_goes_on(
    on_a_pair: Deployment, pair: Pair
) -> None:
    card = await on_a_pair.shown(on_a_pair.a, "start")
    await on_a_pair.noted("start")

    with ExitStack() as stack:
        stack.enter_context(paused(pair.dsn))
        async with served(on_a_pair.text, pair.dsn, on_a_pair.folder, wait=False) as late:
            away = await readiness(late, lambda ready: ready.database != "not looked at yet")
            assert away.status == 503
            pressed = await on_a_pair.slack.press("U1", card, "yes", to=late.slack_url)
            stack.close()
            await late.ready()

            assert pressed.seen is Seen.ACKNOWLEDGED
            assert (await on_a_pair.slack.reply_to(pressed)).text == "You answered: yes"
            await on_a_pair.delivered_once("start", "yes")


@pytest.mark.law(6, 7)
async def test_a_pod_that_stops_while_it_hangs_replies_to_its_presses_and_ends_in_time(
    on_a_pair: Deployment, pair: Pair
) -> None:
    card = await on_a_pair.shown(on_a_pair.a, "stop")
    await on_a_pair.noted("stop")
    text = configuration(slack_url=on_a_pair.slack.url, worker_url=on_a_pair.worker.url, within="6s")
    async with on_a_pair.further(text) as stopping:
        with paused(pair.dsn):
            pressed = await on_a_pair.slack.press("U1", card, "yes", to=stopping.slack_url)
            # A claim waits for 15 s for its database otherwise.
            async with asyncio.timeout(14):
                assert await stopping.stop() == 0
            reply = await on_a_pair.slack.reply_to(pressed)

    assert pressed.seen is Seen.ACKNOWLEDGED
    assert reply.text == "This cannot be served here right now, please try again."
    # The claim may have arrived or not: pressing again, on another pod, tells.
    again = await on_a_pair.slack.press("U1", card, "yes", to=on_a_pair.a.slack_url, from_copy=card)
    told = (await on_a_pair.slack.reply_to(again)).text
    assert told == "You answered: yes" or told.startswith("Already answered by <@U1>: yes (")
    await on_a_pair.end_leases("stop")
    await on_a_pair.delivered_once("stop", "yes")


async def test_pods_that_start_before_their_database_are_ready_when_it_comes(dsn: str, on_a_pair: Deployment) -> None:
    with reserved_port() as port:
        async with await psycopg.AsyncConnection.connect(dsn) as connected:
            addresses = addresses_of(dsn, connected)
            through = through_the_proxy(dsn, connected, addresses[:1], [port])
        async with (
            served(on_a_pair.text, through, on_a_pair.folder, wait=False) as first,
            served(on_a_pair.text, through, on_a_pair.folder, wait=False) as second,
            running_proxy([]) as proxy,
        ):
            for pod in (first, second):
                # A pod that has had no turn for long says first that it has no connection.
                away = await readiness(pod, lambda ready: "refused" in ready.database)
                assert (away.status, away.schema) == (503, "not looked at yet")
            accept = partial(proxy.accept, addresses[0])
            server = await asyncio.start_server(accept, "127.0.0.1", port, reuse_port=True)
            try:
                await asyncio.gather(first.ready(), second.ready())
            finally:
                server.close()


async def _metrics(pod: ServedPod) -> str:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        return (await client.get(f"{pod.url}/metrics")).text


def _value(metrics: str, name: str) -> str:
    (line,) = [line for line in metrics.splitlines() if line.startswith(f"{name} ")]
    return line.split()[1]
