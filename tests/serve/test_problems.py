"""What goes wrong is a problem document (RFC 9457), and says nothing of what is inside."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import psycopg
import pytest

from pendingctl.demo.slack_server import FakeSlack
from pendingctl.serve import callers
from tests.faults.proxy import running_proxy

from .applications import QUESTION, AssembledPod, assembled, usual
from .clients import PATIENCE

ALLOWED = {
    "/questions": "GET, HEAD, POST",
    "/questions/q": "GET, HEAD",
    "/questions/q/withdraw": "POST",
    "/healthz": "GET, HEAD",
    "/readyz": "GET, HEAD",
    "/metrics": "GET, HEAD",
    "/openapi.json": "GET, HEAD",
}


def is_a_problem(response: httpx.Response) -> bool:
    """Whether it is one in one line, that nobody on the way keeps."""
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    problem = response.json()
    assert set(problem) == {"type", "title", "status", "detail"}
    assert "\n" not in problem["detail"]
    return bool(problem["status"] == response.status_code)


async def test_a_method_that_a_route_has_not_is_refused_with_those_that_it_has(pod: AssembledPod) -> None:
    for path, allowed in ALLOWED.items():
        for method in {"DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "BREW", "POST"} - set(allowed.split(", ")):
            refused = await pod.internal.request(method, path)

            assert (refused.status_code, is_a_problem(refused)) == (405, True)
            assert ", ".join(sorted(refused.headers["Allow"].split(", "))) == allowed


async def test_a_route_that_is_not_there_is_not_found_and_not_redirected(pod: AssembledPod) -> None:
    paths = ("/", "/question", "/healthz/", "/readyz/", "/openapi.json/", "/questionsx", "/slack", "/metrics/x", "//")
    for path in paths:
        missing = await pod.internal.get(path, headers={"Host": "elsewhere.test"})

        assert (path, missing.status_code, is_a_problem(missing)) == (path, 404, True)
    for path in ("/", "/slack/", "/slackx", "/questions", "/metrics", "/healthz"):
        missing = await pod.public.post(path)

        assert (path, missing.status_code, is_a_problem(missing)) == (path, 404, True)
    assert (await pod.public.get("/slack")).status_code == 405


async def test_whatever_is_refused_is_a_problem(pod: AssembledPod) -> None:
    await pod.ask("taken", user_id="U2")
    await pod.ask("q", key="k")
    refused = [
        await pod.ask(),
        await pod.ask("q", token="x"),
        await pod.ask("q", connection_id="c2"),
        await pod.ask("taken"),
        await pod.internal.post(
            "/questions", content=b"x" * ((1 << 20) + 1), headers={"Content-Type": "application/json"}
        ),
        await pod.internal.post("/questions", content=b"{}"),
        await pod.ask("q", key="k", text="Other?"),
    ]

    assert [each.status_code for each in refused] == [400, 401, 404, 409, 413, 415, 422]
    assert all(map(is_a_problem, refused))


async def test_what_is_found_is_kept_by_nobody_on_the_way_either(pod: AssembledPod) -> None:
    await pod.ask("q")

    for path in ("/questions/q", "/questions?for=U1", "/readyz", "/healthz", "/metrics", "/openapi.json"):
        headers = (await pod.internal.get(path)).headers
        assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


async def test_a_fault_of_the_pods_own_is_a_problem_that_says_nothing_of_it(
    pod: AssembledPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret")

    monkeypatch.setattr(pod.waiting, "until_ended", fail)
    await pod.ask("q")
    transport = httpx.ASGITransport(pod.questions_app.asgi, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://pod", headers=pod.internal.headers) as client:
        failed = await client.get("/questions/q?wait=1")

    assert (failed.status_code, is_a_problem(failed)) == (500, True)
    assert "secret" not in failed.text


async def test_without_its_database_a_pod_asks_to_try_again_and_says_nothing_of_it(
    dsn: str, connection: psycopg.Connection, slack: FakeSlack, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        running_proxy(dsn, connection) as proxy,
        assembled(usual(tmp_path, slack.url), proxy.dsn, borrow_seconds=0.5) as pod,
    ):
        await pod.ask("q")
        await proxy.stop()

        refused = await asyncio.gather(
            pod.ask("q2"),
            pod.internal.get("/questions/q"),
            pod.internal.get("/questions?for=U1"),
            pod.internal.post("/questions/q/withdraw"),
        )

        assert [each.status_code for each in refused] == [503] * 4
        assert all(map(is_a_problem, refused))
        assert {each.headers["Retry-After"] for each in refused} == {"2"}
        assert len({each.content for each in refused}) == 1
        assert not re.search("127.0.0.1|5432|psycopg|connection", refused[0].text)
    assert not [record for record in caplog.records if record.exc_info]


async def test_without_its_database_a_pod_keeps_none_of_many_requests_waiting_for_long(
    dsn: str, connection: psycopg.Connection, slack: FakeSlack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that hangs up and asks again leaves its requests behind: those that wait must not grow for ever."""
    monkeypatch.setattr(callers, "TURN_SECONDS", 1.0)
    async with (
        running_proxy(dsn, connection) as proxy,
        assembled(usual(tmp_path, slack.url), proxy.dsn, borrow_seconds=4.0) as pod,
    ):
        await pod.ask("q")
        await proxy.stop()

        # If each waited for the one before it, it would be 40 s.
        async with asyncio.timeout(PATIENCE):
            refused = await asyncio.gather(
                *(pod.internal.get("/questions/q") for _ in range(20)), *(pod.ask(f"q{n}") for n in range(20))
            )

    assert {each.status_code for each in refused} == {503}
    assert all(each.headers["Retry-After"] for each in refused)


async def test_a_schema_that_is_not_there_is_no_fault_of_a_clients(
    empty_dsn: str, slack: FakeSlack, tmp_path: Path
) -> None:
    async with assembled(usual(tmp_path, slack.url), empty_dsn) as pod:
        refused = [
            await pod.internal.get("/questions/q"),
            await pod.internal.post("/questions", json={**QUESTION, "id": "q"}),
        ]

    assert [each.status_code for each in refused] == [503, 503]


async def test_an_organization_that_has_no_row_yet_is_no_fault_of_a_clients(
    pod: AssembledPod, connection: psycopg.Connection
) -> None:
    connection.execute("delete from organization where id = 'acme'")

    assert (await pod.ask("q")).status_code == 503
