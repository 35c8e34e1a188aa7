"""What a pod counts and measures of itself, for /metrics.

Labels come from fixed sets: a word of any other kind is counted as `other`, so that no client adds a time series.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..events.following import Counts
from ..events.model import RingState
from ..model import PutOutcome
from ..pod.replies import ReplyKind
from ..sse.app import Sent
from .readiness import OK, State

_OTHER = "other"
_UNMATCHED = "unmatched"
# What is signed by Slack and no press of a card, `NotOurs.kind`; and what is refused before anybody reads it.
_NO_PRESS = frozenset(
    {
        *("ssl_check", "block_actions", "block_suggestion", "message_action", "shortcut", "view_submission"),
        *("view_closed", "unreadable", "unsigned", "unknown_installation", "stranger", "limited"),
    }
)
PRESS_OUTCOMES = frozenset({*ReplyKind, *_NO_PRESS, _OTHER})
QUESTION_OUTCOMES = frozenset({*PutOutcome, _OTHER})
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# Slack gives up on a press that is not acknowledged within 3 s.
_PRESS_BUCKETS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0)
# A question is waited for for half a minute.
_REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
# The format that Prometheus reads where it names none.
_PLAIN_TEXT = "text/plain; version=0.0.4; charset=utf-8"


class ListenerName(StrEnum):
    """Where a request arrived."""

    PUBLIC = "public"
    INTERNAL = "internal"


class LimitName(StrEnum):
    """What is limited."""

    QUESTIONS = "questions"
    CLICKS = "clicks"


class LimitDecision(StrEnum):
    """What a limit has decided; undecided ones are allowed."""

    ALLOWED = "allowed"
    DENIED = "denied"
    UNDECIDED = "undecided"


class Metrics:
    """The counters and gauges of one pod, in a registry of their own."""

    def __init__(self) -> None:
        registry = self._registry = CollectorRegistry(auto_describe=True)

        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"pendingctl_{name}", meaning, labels, registry=registry)

        def gauge(name: str, meaning: str) -> Gauge:
            return Gauge(f"pendingctl_{name}", meaning, registry=registry)

        self._presses = counter("presses", "Requests to the address for Slack's interactions.", "outcome")
        self._press_seconds = Histogram(
            "pendingctl_press_seconds",
            "From a press's receipt to its acknowledgement.",
            registry=registry,
            buckets=_PRESS_BUCKETS,
        )
        self._late = counter("presses_acknowledged_late", "Presses acknowledged before they were decided.")
        self._replies_failed = counter("replies_failed", "Replies to presses that the person was not shown.")
        self._questions = counter("questions", "Questions asked over HTTP.", "outcome")
        self._limits = counter(
            "limit_decisions", "Questions and clicks that a limit has allowed or denied.", "limit", "decision"
        )
        self._requests = counter(
            "requests", "Requests that reached an application.", "listener", "method", "route", "status"
        )
        self._request_seconds = Histogram(
            "pendingctl_request_seconds",
            "From a request's head to the end of its response.",
            ("listener", "route"),
            registry=registry,
            buckets=_REQUEST_BUCKETS,
        )
        self._database_reachable = gauge(
            "database_reachable", "1 if the last check reached the database, and found it no standby."
        )
        self._ready = gauge("ready", "1 if /readyz says that this pod is ready.")
        self._draining = gauge("draining", "1 once this pod ends.")
        self._connections = gauge("pool_connections", "Connections to the database.")
        self._connections_in_use = gauge("pool_connections_in_use", "Connections that are in use, or being made.")
        self._connections_awaited = gauge("pool_requests_waiting", "Callers that wait for a connection.")
        self._work = gauge("work_under_way", "Posts, edits and deliveries under way.")
        self._paused = gauge("connections_paused", "Connections whose token the platform refuses; their cards wait.")
        self._sweeps = counter("sweeps", "Sweeps by this pod.")
        self._swept = counter("swept_rows", "Rows deleted by this pod's sweeps.")
        self._streams: _Streams | None = None
        # A series that appears with its first event has no increase that an alert could see.
        for outcome in PRESS_OUTCOMES:
            self._presses.labels(outcome)
        for outcome in QUESTION_OUTCOMES:
            self._questions.labels(outcome)
        for name in LimitName:
            for decision in LimitDecision:
                self._limits.labels(name, decision)

    def press(self, outcome: str) -> None:
        """Count a press, or what came in place of one: a word of PRESS_OUTCOMES."""
        self._presses.labels(_among(PRESS_OUTCOMES, outcome)).inc()

    def acknowledged(self, seconds: float, *, is_decided: bool) -> None:
        """Count a press that is acknowledged so many seconds after its receipt, once it is decided or before that."""
        self._press_seconds.observe(seconds)
        if not is_decided:
            self._late.inc()

    def reply_failed(self) -> None:
        """Count a reply that the person was not shown."""
        self._replies_failed.inc()

    def question(self, outcome: str) -> None:
        """Count a question that was asked over HTTP: a word of PutOutcome."""
        self._questions.labels(_among(QUESTION_OUTCOMES, outcome)).inc()

    def limit(self, name: LimitName, *, is_allowed: bool, is_known: bool) -> None:
        """Count a decision; one that is not known has been allowed since the database could not decide."""
        known = LimitDecision.ALLOWED if is_allowed else LimitDecision.DENIED
        self._limits.labels(name, known if is_known else LimitDecision.UNDECIDED).inc()

    def request(self, listener: ListenerName, *, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request; `route` is the template of the route that it matched, and a status of 0 no response."""
        route = route or _UNMATCHED
        self._requests.labels(listener.value, _among(_METHODS, method), route, str(status)).inc()
        self._request_seconds.labels(listener.value, route).observe(seconds)

    def swept(self, rows: int) -> None:
        """Count a sweep, and the rows that it deleted."""
        self._sweeps.inc()
        self._swept.inc(rows)

    def watch_state(self, state: Callable[[], State]) -> None:
        """Read what /readyz shows at each scrape."""
        self._database_reachable.set_function(lambda: state().database == OK)
        self._ready.set_function(lambda: state().is_ready)
        self._draining.set_function(lambda: state().is_draining)

    def watch_pool(self, stats: Callable[[], Mapping[str, int]]) -> None:
        """Read these statistics, `get_stats` of a pool of psycopg's, at each scrape."""
        self._connections.set_function(lambda: stats()["pool_size"])
        self._connections_in_use.set_function(lambda: (now := stats())["pool_size"] - now["pool_available"])
        self._connections_awaited.set_function(lambda: stats()["requests_waiting"])

    def watch_work(self, under_way: Callable[[], int], paused: Callable[[], int]) -> None:
        """Read how much work a bridge has under way, and how many connections are paused, at each scrape."""
        self._work.set_function(under_way)
        self._paused.set_function(paused)

    def watch_streams(self, readers: Callable[[], int], sent: Callable[[], Sent], counts: Callable[[], Counts]) -> None:
        """Read how many read streams, what they were sent, and what the pod's reader has done, at each scrape."""
        self._streams = _Streams(readers, sent, counts)
        self._registry.register(self._streams)

    def ring(self, state: RingState | None) -> None:
        """Note how the ring of streams stands; None where that cannot be known."""
        if self._streams is not None:
            self._streams.ring, self._streams.looked_at = state, time.time()

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """Return all of it as text, and the text's content type: OpenMetrics where `accept` names it."""
        if "application/openmetrics-text" in accept:
            text: bytes = openmetrics.generate_latest(self._registry)  # type: ignore[no-untyped-call]
            return text, openmetrics.CONTENT_TYPE_LATEST
        return generate_latest(self._registry), _PLAIN_TEXT


class _Streams(Collector):
    """What is counted where it happens, once for each event and reader."""

    def __init__(self, readers: Callable[[], int], sent: Callable[[], Sent], counts: Callable[[], Counts]) -> None:
        self._readers = readers
        self._sent = sent
        self._counts = counts
        self.ring: RingState | None = None
        self.looked_at = 0.0

    def collect(self) -> Iterator[Metric]:
        """Return what is counted by now."""
        sent, counts = self._sent(), self._counts()
        yield GaugeMetricFamily("pendingctl_stream_readers", "Clients that read a stream.", value=self._readers())
        for name, meaning, value in (
            ("events_sent", "Events that were begun to be sent to clients.", sent.events),
            ("gaps", "Gaps that clients were sent in place of events that are gone.", sent.gaps),
            ("resets", "Clients whose position was of another history.", sent.resets),
            ("refused", "Clients sent away for some seconds: too many, or nobody knew their rights.", sent.refused),
            ("events_read", "Events read from the database.", counts.events),
            ("pages_read", "Reads for clients that were behind.", counts.pages),
            ("polls", "Looks at what has moved.", counts.polls),
            ("wake_ups_heard", "Notifications of other pods, and of this one.", counts.heard),
        ):
            yield CounterMetricFamily(f"pendingctl_stream_{name}", meaning, value=value)
        if (ring := self.ring) is None:
            return
        yield GaugeMetricFamily(
            "pendingctl_stream_event_bytes", "Bytes of all events with their indexes.", value=ring.event_bytes
        )
        if ring.turned_seconds_ago is not None:
            turned = self.looked_at - ring.turned_seconds_ago
            yield GaugeMetricFamily(
                "pendingctl_stream_ring_turned_timestamp_seconds", "When the ring of events turned last.", value=turned
            )
            yield GaugeMetricFamily(
                "pendingctl_stream_ring_due_timestamp_seconds",
                "When it is to turn next; late where a backup reads its tables, or nobody sweeps.",
                value=turned + ring.turn_every_seconds,
            )


class Measured:
    """An application of which each request is counted and measured, by the template of its route."""

    def __init__(self, app: ASGIApp, metrics: Metrics, listener: ListenerName) -> None:
        self._app = app
        self._metrics = metrics
        self._listener = listener

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = time.monotonic()
        status = 0

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            # Set by Starlette's router in the scope that it was given.
            route = scope.get("route")
            self._metrics.request(
                self._listener,
                method=scope["method"],
                route=route.path if isinstance(route, Route) else None,
                status=status,
                seconds=time.monotonic() - start,
            )


def _among(words: frozenset[str], word: str) -> str:
    return word if word in words else _OTHER
