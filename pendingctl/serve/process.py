"""The life of a pod that serves: it listens, checks its database, works, and drains when it is stopped."""

from __future__ import annotations

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from ..leased import LeasedAnswer
from ..model import ANSWERS
from ..platforms.slack import SlackPlatform
from ..pod.bridge import InteractionBridge
from ..postgres.connections import open_pool
from ..postgres.shares import Share
from ..sinks import AnswerSink, Marks
from ..sinks.http import HttpSink
from ..store import PendingStore
from ..store.inspection import Inspection
from ..sweeping import Sweep, keep_swept
from ..words import age
from .listeners import listen
from .metrics import ListenerName, Measured, Metrics
from .questions_app import QuestionsApp
from .readiness import Readiness
from .settings import Configuration, Shutdown, Worker
from .slack_app import SlackApp
from .waiting import Waiting

# A claim that meets an outage is tried for so long, and the reply follows by the press's response_url, which works for
# half an hour: longer than a failover takes, and short enough for somebody who waits.
REPLY_WITHIN = timedelta(seconds=15)
# The last of a stop's time is for what comes after the work: what is leased is given back and noted, then the pool and
# the listeners are closed. Half of the time after `shutdown.delay`, if that is shorter.
LAST_SECONDS = 4.0
CLOSE_SECONDS = 0.5

_log = logging.getLogger(__name__)


class _Kept:
    """Where answers go without a worker: they stay in their rows, and are read there."""

    outcomes = ANSWERS

    async def deliver(self, leased: LeasedAnswer, marks: Marks) -> bool:
        """Count an answer as delivered."""
        return await marks.mark_delivered(leased)


class Stop:
    """How a pod is stopped: at the first signal it drains, at the second it ends at once.

    SIGTERM leaves a balancer the time to notice (`shutdown.delay`), SIGINT, of somebody at a terminal, does not.
    """

    def __init__(self) -> None:
        self.is_asked = asyncio.Event()
        self.is_hasty = asyncio.Event()
        self.delays = True

    def install(self) -> None:
        """Take the process's signals."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.ask, True)
        loop.add_signal_handler(signal.SIGINT, self.ask, False)

    def ask(self, delays: bool) -> None:
        """Ask for a drain, with the delay or without it, and for the end if one has been asked for before."""
        if self.is_asked.is_set():
            self.is_hasty.set()
        self.delays = delays
        self.is_asked.set()


async def serve(configuration: Configuration, stop: Stop) -> bool:
    """Serve until the process is stopped; return whether it drained, and was not made to end at once.

    Raises InvalidInput for an address that cannot be listened on. A database that is away is waited for.
    """
    async with AsyncExitStack() as stack:
        pool = open_pool(configuration.dsn, max_size=configuration.connections)
        # Its own limit is 5 s.
        stack.push_async_callback(pool.close, CLOSE_SECONDS)
        await pool.open()
        platform = await stack.enter_async_context(_slack_of(configuration))
        sink = await stack.enter_async_context(_sink_of(configuration.worker))
        store = PendingStore(pool, application=configuration.application, pod=configuration.pod)
        # Reads leave connections to clicks.
        inspection = Inspection(Share(pool, max(1, configuration.connections // 3)))
        bridge = InteractionBridge(store, platform, sink, reply_within=REPLY_WITHIN)
        connections = [each for of in configuration.organizations.values() for each in of.connections]
        for connection in connections:
            bridge.register(connection.organization_id, connection.connection_id)

        readiness = Readiness(pool, configuration.dsn)
        waiting = Waiting(inspection)
        metrics = Metrics()
        metrics.watch_state(readiness.state)
        metrics.watch_pool(pool.get_stats)
        metrics.watch_work(lambda: bridge.under_way)
        slack_app = SlackApp(configuration.slack, connections, bridge, platform, metrics)
        questions_app = QuestionsApp(
            *(configuration, bridge, store, inspection), waiting=waiting, readiness=readiness, metrics=metrics
        )
        internal = await listen(Measured(questions_app.asgi, metrics, ListenerName.INTERNAL), configuration.internal)
        stack.push_async_callback(internal.close, within=CLOSE_SECONDS)
        public = await listen(Measured(slack_app.asgi, metrics, ListenerName.PUBLIC), configuration.public)
        stack.push_async_callback(public.close, within=CLOSE_SECONDS)
        _log.info(
            "listening on %s:%d for Slack, and on %s:%d for all else",
            *(configuration.public.host, public.port, configuration.internal.host, internal.port),
        )

        async def begin() -> None:
            for organization_id in configuration.organizations:
                await store.create_organization(organization_id)
            bridge.start()

        async def drain() -> None:
            readiness.drain()
            until = _Until.of(configuration.shutdown)
            if stop.delays:
                _log.info("stopping: unready, and clicks are claimed for %s more", age(configuration.shutdown.delay))
                await asyncio.sleep(configuration.shutdown.delay.total_seconds())
            waiting.end()
            await public.close(within=until.work - time.monotonic())
            await slack_app.drain(until.work)
            await _close(bridge, until)
            _log.info("stopped")

        async with _tasks(readiness.look(begin), waiting.look(), *_sweeper(configuration, store, metrics)):
            await stop.is_asked.wait()
            draining = asyncio.create_task(drain(), name="drain")
            at_once = asyncio.create_task(stop.is_hasty.wait(), name="second signal")
            await asyncio.wait([draining, at_once], return_when=asyncio.FIRST_COMPLETED)
            at_once.cancel()
            if draining.done():
                draining.result()
                return True
            draining.cancel()
            await asyncio.wait([draining], timeout=CLOSE_SECONDS)
            return False


@dataclass(frozen=True, slots=True)
class _Until:
    """Until when a pod that stops works, and until when it gives back and notes what is left, by time.monotonic."""

    work: float
    notes: float

    @classmethod
    def of(cls, shutdown: Shutdown) -> Self:
        """Return the times of a stop that begins now."""
        last = min(LAST_SECONDS, (shutdown.within - shutdown.delay).total_seconds() / 2)
        end = time.monotonic() + shutdown.within.total_seconds()
        return cls(work=end - last, notes=end - last / 2)


async def _close(bridge: InteractionBridge, until: _Until) -> None:
    try:
        # Each of its last steps is limited, and a database that says nothing takes the time of them all.
        async with asyncio.timeout(until.notes - time.monotonic()):
            await bridge.close(within=timedelta(seconds=until.work - time.monotonic()))
    except TimeoutError:
        _log.warning("the database says nothing: what is left goes to other pods when its leases have run out")


@asynccontextmanager
async def _tasks(*work: Coroutine[object, object, None]) -> AsyncIterator[None]:
    """Let the work go on for as long as the block; what fails for a reason of its own ends the block with it."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each) for each in work]
        yield
        for task in tasks:
            task.cancel()


def _slack_of(configuration: Configuration) -> SlackPlatform:
    tokens = {
        (connection.organization_id, connection.connection_id): connection.token
        for organization in configuration.organizations.values()
        for connection in organization.connections
    }
    return SlackPlatform(tokens, confirm=configuration.slack.confirm, base_url=configuration.slack.base_url)


@asynccontextmanager
async def _sink_of(worker: Worker | None) -> AsyncIterator[AnswerSink]:
    if worker is None:
        _log.info("no worker is configured: answers are read by GET /questions/{id}")
        yield _Kept()
        return
    async with HttpSink(worker.url, secret=worker.secret, outcomes=worker.outcomes) as sink:
        yield sink


def _sweeper(
    configuration: Configuration, store: PendingStore, metrics: Metrics
) -> list[Coroutine[object, object, None]]:
    given = configuration.sweep
    if given is None:
        return []
    sweep = Sweep(limit=given.limit, max_age=given.max_age, keep_trail=given.keep_trail)
    return [keep_swept(store, given.every, sweep, on_swept=lambda swept: metrics.swept(swept.deleted))]
