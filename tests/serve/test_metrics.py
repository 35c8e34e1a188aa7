"""What a pod says of itself is read by Prometheus, and no client adds a time series to it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from urllib.parse import urlencode

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as read_plain
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from pendingctl.model import PutOutcome
from pendingctl.platforms.slack import NotOurs, parse_press
from pendingctl.pod.replies import ReplyKind
from pendingctl.postgres.connections import Pool
from pendingctl.serve.metrics import PRESS_OUTCOMES, ListenerName, Measured, Metrics
from pendingctl.serve.readiness import OK, State
from tests.serve.clients import RawClient, exchange, listening_for

Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def series(metrics: Metrics) -> Series:
    """Each time series by its name and labels, but for the times when they were made."""
    text = metrics.exposition()[0].decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in read_plain(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return series(metrics)[name, frozenset(labels.items())]


def names(families: Iterable[Metric]) -> set[str]:
    return {sample.name for family in families for sample in family.samples}


def test_what_happened_is_counted_under_its_own_word() -> None:
    metrics = Metrics()
    for word in PRESS_OUTCOMES:
        metrics.press(word)
    for word in PutOutcome:
        metrics.question(word)
    metrics.reply_failed()
    metrics.swept(20)
    metrics.swept(3)
    for word in PRESS_OUTCOMES:
        assert value(metrics, "pendingctl_presses_total", outcome=word) == 1
    for word in PutOutcome:
        assert value(metrics, "pendingctl_questions_total", outcome=word) == 1
    assert value(metrics, "pendingctl_replies_failed_total") == 1
    assert value(metrics, "pendingctl_sweeps_total") == 2
    assert value(metrics, "pendingctl_swept_rows_total") == 23


def test_each_kind_of_request_that_slack_sends_has_its_word() -> None:
    for kind in PRESS_OUTCOMES - {
        *ReplyKind,
        "ssl_check",
        "unreadable",
        "unsigned",
        "unknown_installation",
        "stranger",
        "limited",
    }:
        body = urlencode({"payload": json.dumps({"type": kind})}).encode()
        assert parse_press(body) == NotOurs(kind)


def test_a_press_is_measured_around_the_three_seconds_that_slack_gives() -> None:
    metrics = Metrics()
    for seconds in (0.005, 2.9, 3.1, 60):
        metrics.acknowledged(seconds, is_decided=seconds < 3)
    counted = {
        bound: value(metrics, "pendingctl_press_seconds_bucket", le=bound)
        for bound in ("0.01", "2.5", "3.0", "5.0", "+Inf")
    }
    assert counted == {"0.01": 1, "2.5": 1, "3.0": 2, "5.0": 3, "+Inf": 4}
    assert value(metrics, "pendingctl_presses_acknowledged_late_total") == 2


def test_gauges_follow_what_they_watch() -> None:
    metrics = Metrics()
    under_way = 0
    state = State(is_ready=False, is_draining=False, database="not looked at yet", schema=OK)
    metrics.watch_work(lambda: under_way, lambda: under_way + 1)
    metrics.watch_state(lambda: state)
    for is_ready, is_draining, database in ((True, False, OK), (False, True, OK), (True, False, "away")):
        state = State(is_ready=is_ready, is_draining=is_draining, database=database, schema=OK)
        under_way += 1
        assert value(metrics, "pendingctl_database_reachable") == (database == OK)
        assert value(metrics, "pendingctl_ready") == is_ready
        assert value(metrics, "pendingctl_draining") == is_draining
        assert value(metrics, "pendingctl_work_under_way") == under_way
        assert value(metrics, "pendingctl_connections_paused") == under_way + 1


async def test_the_pool_is_read_at_each_scrape(pool: Pool) -> None:
    metrics = Metrics()
    metrics.watch_pool(pool.get_stats)
    await pool.wait()
    async with pool.connection():
        assert value(metrics, "pendingctl_pool_connections_in_use") == 1
        assert value(metrics, "pendingctl_pool_connections") >= 1
    assert value(metrics, "pendingctl_pool_connections_in_use") == 0
    assert value(metrics, "pendingctl_pool_requests_waiting") == 0


@pytest.mark.parametrize("accept", ["", "*/*", "text/plain;version=junk", "text/plain; escaping=\x00", "é" * 9_999])
def test_text_that_prometheus_reads(accept: str) -> None:
    text, content_type = Metrics().exposition(accept)
    assert content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert "pendingctl_presses_total" in names(read_plain(text.decode()))


@pytest.mark.parametrize("parameters", ["", ";version=1.0.0;q=0.5,text/plain", ";version=junk"])
def test_openmetrics_where_it_is_accepted(parameters: str) -> None:
    metrics = Metrics()
    metrics.request(ListenerName.PUBLIC, method="GET", route="/", status=200, seconds=1)
    text, content_type = metrics.exposition("application/openmetrics-text" + parameters)
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert "pendingctl_requests_total" in names(text_string_to_metric_families(text.decode()))  # type: ignore[no-untyped-call]


def test_two_pods_in_one_process_count_for_themselves() -> None:
    one, other = Metrics(), Metrics()
    one.reply_failed()
    assert value(one, "pendingctl_replies_failed_total") == 1
    assert value(other, "pendingctl_replies_failed_total") == 0


async def _fail(_: Request) -> PlainTextResponse:
    raise ValueError("planted")


async def _found(_: Request) -> PlainTextResponse:
    return PlainTextResponse("found")


ROUTES = [
    Route("/questions/{id}", _found),
    Route("/fails", _fail),
    Mount("/under", routes=[Route("/{id}", _found)]),
]


def request_bytes(method: str, path: str) -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode("latin-1")


async def test_requests_are_counted_by_the_template_of_their_route() -> None:
    metrics = Metrics()
    async with listening_for(Measured(Starlette(routes=ROUTES), metrics, ListenerName.INTERNAL)) as listening:
        for method, path, route, status in (
            ("GET", "/questions/1", "/questions/{id}", "200"),
            ("DELETE", "/questions/2", "/questions/{id}", "405"),
            ("GET", "/fails", "/fails", "500"),
            ("GET", "/under/3", "/{id}", "200"),
            ("GET", "/nothing/4", "unmatched", "404"),
            ("BREW", "/questions/5", "/questions/{id}", "405"),
        ):
            await exchange(listening.port, request_bytes(method, path))
            labels = {"method": "other" if method == "BREW" else method, "route": route, "status": status}
            assert value(metrics, "pendingctl_requests_total", listener="internal", **labels) == 1
    assert value(metrics, "pendingctl_request_seconds_count", listener="internal", route="/questions/{id}") == 3


async def test_no_client_adds_a_time_series() -> None:
    metrics = Metrics()
    async with listening_for(Measured(Starlette(routes=ROUTES), metrics, ListenerName.PUBLIC)) as listening:

        async def attack(number: int) -> None:
            async with RawClient(listening.port) as client:
                for method in ("GET", f"M{number}"):
                    for path in (
                        f"/questions/{number}",
                        f"/nothing/{number}?a={number}",
                        f"/%00{number}",
                        f"*{number}",
                    ):
                        client.send(request_bytes(method, path).replace(b"close", b"keep-alive"))
                        await client.response()

        await attack(0)
        before = series(metrics).keys()
        for number in range(1, 30):
            await attack(number)
            metrics.press(f"junk {number}")
            metrics.question(f"junk {number}")
    assert series(metrics).keys() == before
    assert value(metrics, "pendingctl_presses_total", outcome="other") == 29
