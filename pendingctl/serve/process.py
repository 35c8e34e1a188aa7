"""The life of a pod that serves: it listens, checks its database, works, and drains when it is stopped."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Self, TypeAlias

from starlette.types import ASGIApp

from ..events.following import DRAIN_SECONDS
from ..events.ring import Ring
from ..events.streams import Streams
from ..leased import LeasedAnswer
from ..limits import RateLimiter
from ..model import ANSWERS
from ..platforms.slack import SlackPlatform
from ..pod.bridge import InteractionBridge
from ..postgres.connections import Pool, open_pool
from ..postgres.shares import Share
from ..sinks import AnswerSink, Marks
from ..sinks.http import HttpSink
from ..store import PendingStore
from ..store.filters import Filters
from ..store.inspection import Inspection
from ..sweeping import Sweep, SweptDatabase, keep_swept
from ..words import age
from .limits import ServedLimits, connections_of_limits
from .listeners import LIMITS, Listening, listen
from .metrics import ListenerName, Measured, Metrics
from .questions_app import QuestionsApp, connections_of_reads
from .readiness import Readiness
from .settings import Configuration, Shutdown, Worker
from .settings import Sweep as SweepSettings
from .slack_app import SlackApp
from .streams_app import StreamsApp, connections_of_streams
from .waiting import Waiting

# A claim that meets an outage is tried for so long, and the reply follows by the press's response_url, which works for
# half an hour: longer than a failover takes, and short enough for somebody who waits.
REPLY_WITHIN = timedelta(seconds=15)
# A request of Slack's is read and acknowledged within that; a client that is slower is cut off when the pod stops.
REQUEST_SECONDS = 5.0
# The last of a stop's time is for what comes after the work: what is leased is given back and noted, then the pool and
# the listeners are closed. Half of the time after `shutdown.delay`, if that is shorter.
LAST_SECONDS = 4.0
CLOSE_SECONDS = 0.5
# What a pod opens beside the connections of its clients and those to the database: 100 to Slack and 100 to the worker
# at most, and its own.
_OTHER_FILES = 256

# Starts work that goes on beside the requests.
Start: TypeAlias = Callable[[Coroutine[object, object, None]], None]

_log = logging.getLogger(__name__)


class _Kept:
    """Where answers go without a worker: they stay in their rows, and are read there."""

    outcomes = ANSWERS

    async def deliver(self, leased: LeasedAnswer, marks: Marks) -> bool:
        """Count an answer as delivered."""
        return await marks.mark_delivered(leased)


class Stop:
    """How a pod is stopped: at the first signal it drains, at the second it ends at once."""

    def __init__(self) -> None:
        self.is_asked = asyncio.Event()
        self.is_hasty = asyncio.Event()
        self.signal = signal.SIGTERM

    def install(self) -> None:
        """Take the process's signals."""
        loop = asyncio.get_running_loop()
        # `nohup` has the end of a terminal ignored.
        is_ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        for number in (signal.SIGTERM, signal.SIGINT, *([] if is_ignored else [signal.SIGHUP])):
            loop.add_signal_handler(number, self.ask, number)

    def ask(self, number: signal.Signals) -> None:
        """Ask for a drain, and for the end if one has been asked for before."""
        if self.is_asked.is_set():
            self.is_hasty.set()
        self.signal = number
        self.is_asked.set()


class _Pod:
    """What serves: the bridge, and the two applications before it."""

    def __init__(self, configuration: Configuration, pool: Pool, platform: SlackPlatform, sink: AnswerSink) -> None:
        self._configuration = configuration
        self._store = PendingStore(pool, application=configuration.application, pod=configuration.pod)
        ring = Ring(pool, pod=configuration.pod)
        self._swept = SweptDatabase(self._store, ring, RateLimiter(pool, if_unreachable="raise"))
        self._inspection = inspection = Inspection(Share(pool, connections_of_reads(configuration.connections)))
        given = configuration.streams
        self._streams = Streams(
            Share(pool, connections_of_streams(configuration.connections)),
            listen_dsn=None if given is None else given.listen_dsn,
            pod=configuration.pod,
        )
        self._bridge = InteractionBridge(
            *(self._store, platform, sink),
            max_age=configuration.max_age,
            reply_within=REPLY_WITHIN,
            streams=self._streams,
        )
        connections = [each for of in configuration.organizations.values() for each in of.connections]
        for connection in connections:
            self._bridge.register(connection.organization_id, connection.connection_id)
        self._readiness = Readiness(pool, configuration.dsn)
        self._waiting = Waiting(inspection)
        self._metrics = Metrics()
        self._metrics.watch_state(self._readiness.state)
        self._metrics.watch_pool(pool.get_stats)
        self._metrics.watch_work(
            lambda: self._bridge.under_way,
            lambda: sum(platform.is_paused(each.organization_id, each.connection_id) for each in connections),
        )
        limiter = RateLimiter(Share(pool, connections_of_limits(configuration.connections)), if_unreachable="allow")
        limits = ServedLimits(configuration.limits, configuration.application, limiter, self._metrics)
        self._slack_app = SlackApp(configuration.slack, connections, self._bridge, platform, limits, self._metrics)
        self._streams_app: StreamsApp | None = None
        if given is not None:
            self._streams_app = StreamsApp(configuration, given, self._streams, self._metrics)
        questions_app = QuestionsApp(
            *(configuration, self._bridge, self._store, inspection),
            waiting=self._waiting,
            limits=limits,
            readiness=self._readiness,
            metrics=self._metrics,
            more_routes=() if self._streams_app is None else self._streams_app.routes,
        )
        self.public: ASGIApp = Measured(self._slack_app.asgi, self._metrics, ListenerName.PUBLIC)
        if self._streams_app is not None:
            # Not measured: a stream is read for as long as a page is open.
            self.public = self._streams_app.before(self.public)
        self.internal = Measured(questions_app.asgi, self._metrics, ListenerName.INTERNAL)

    def start(self, background: Start) -> None:
        """Look at the database, and begin to work when it is fit for that."""

        async def begin() -> None:
            for organization_id in self._configuration.organizations:
                # An application's own table may want more of a new row, and grant pods no right to add one.
                if await self._inspection.unknown(Filters(organization_id=organization_id)):
                    await self._store.create_organization(organization_id)
            self._bridge.start()
            if (sweep := self._configuration.sweep) is not None:
                background(self._sweep(sweep))
            if self._streams_app is not None:
                background(self._streams_app.look())

        background(self._readiness.look(begin))
        background(self._waiting.look())

    async def _sweep(self, given: SweepSettings) -> None:
        sweep = Sweep(limit=given.limit, max_age=given.max_age, keep_trail=given.keep_trail)
        await keep_swept(self._swept, given.every, sweep, on_swept=lambda swept: self._metrics.swept(swept.deleted))

    async def drain(self, public: Listening, *, delay: timedelta) -> None:
        """Be unready, claim clicks for the delay, and then end what is under way, all of it in the time configured."""
        until = _Until.of(self._configuration.shutdown)
        self._readiness.drain()
        if delay:
            _log.info("stopping: unready, and clicks are claimed for %s more", age(delay))
            await asyncio.sleep(delay.total_seconds())
        self._waiting.end()
        # Whoever takes nothing is cut off with the listener.
        await self._streams.drain(min(DRAIN_SECONDS, (until.work - time.monotonic()) / 2))
        await public.close(within=min(REQUEST_SECONDS, until.work - time.monotonic()))
        await self._slack_app.drain(until.work)
        await _close(self._bridge, self._streams, until)
        _log.info("stopped")


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
        pod = _Pod(configuration, pool, platform, sink)
        streams = configuration.streams
        connections = LIMITS.connections + (0 if streams is None else streams.clients)
        raise_limit_of_files(connections + LIMITS.connections + configuration.connections)
        internal = await listen(pod.internal, configuration.internal)
        stack.push_async_callback(internal.close, within=CLOSE_SECONDS)
        public = await listen(pod.public, configuration.public, limits=replace(LIMITS, connections=connections))
        stack.push_async_callback(public.close, within=CLOSE_SECONDS)
        _log.info(
            "listening on %s:%d for Slack, and on %s:%d for all else",
            *(configuration.public.host, public.port, configuration.internal.host, internal.port),
        )
        async with _background() as background:
            pod.start(background)
            _collect_less()
            await stop.is_asked.wait()
            # Somebody at a terminal waits for it.
            delay = configuration.shutdown.delay if stop.signal is signal.SIGTERM else timedelta()
            draining = asyncio.create_task(pod.drain(public, delay=delay), name="drain")
            at_once = asyncio.create_task(stop.is_hasty.wait(), name="second signal")
            await asyncio.wait([draining, at_once], return_when=asyncio.FIRST_COMPLETED)
            at_once.cancel()
            if draining.done():
                draining.result()
                return True
            draining.cancel()
            await asyncio.wait([draining], timeout=CLOSE_SECONDS)
            return False


def _collect_less() -> None:
    """Keep the garbage collector from looking again and again at all that lives as long as the pod.

    2,000 readers that come at once make so many objects that it took a third of the time and stood still for 0.1 s.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


def raise_limit_of_files(connections: int) -> None:
    """Have the kernel allow so many connections, and the other files of a pod; warn where it allows fewer."""
    wanted = connections + _OTHER_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (ValueError, OSError):
        # macOS takes less than it names.
        most = soft
    if most < wanted:
        _log.warning(
            "only %d files may be open, too few for %d connections: raise the limit of open files to %d (ulimit -n)",
            *(most, connections, wanted),
        )


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


async def _close(bridge: InteractionBridge, streams: Streams, until: _Until) -> None:
    try:
        # Each of its last steps is limited, and a database that says nothing takes the time of them all.
        async with asyncio.timeout(until.notes - time.monotonic()):
            await bridge.close(within=timedelta(seconds=until.work - time.monotonic()))
            await streams.settled()
    except TimeoutError:
        _log.warning("the database says nothing: what is left goes to other pods when its leases have run out")


@asynccontextmanager
async def _background() -> AsyncIterator[Start]:
    """What starts work that goes on for as long as the block; if any of it fails the block ends with it."""
    tasks: list[asyncio.Task[None]] = []
    async with asyncio.TaskGroup() as group:
        yield lambda work: tasks.append(group.create_task(work))
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
