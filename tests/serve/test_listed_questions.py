"""GET /questions?for=USER: each question once, over all pages, and those of one organization and application alone."""

from __future__ import annotations

import asyncio
from collections import Counter

import psycopg
import pytest

from pendingctl import PendingStore, Scope
from pendingctl.postgres.connections import Pool
from pendingctl.store import inspection
from tests.questions import PAYLOAD

from .applications import AssembledPod, bearer
from .pods import OTHER_TOKEN


async def pages(pod: AssembledPod, user_id: str, *, most: int = 10) -> list[list[str]]:
    """The ids of each page of a list, up to the last one."""
    found: list[list[str]] = []
    after: dict[str, str] = {}
    while len(found) < most:
        page = (await pod.internal.get("/questions", params={"for": user_id, **after})).json()
        found.append([each["question_id"] for each in page["questions"]])
        if page["after"] is None:
            return found
        after = {"after": page["after"]}
    raise AssertionError(f"over {most} pages")


async def test_each_question_is_in_one_page_whatever_its_id_and_its_time(
    pod: AssembledPod, pool: Pool, connection: psycopg.Connection
) -> None:
    ids = [f"q/{number} &?%ä" for number in range(250)]
    store = PendingStore(pool, application="deploys")
    # No more at once than the pool has connections.
    for start in range(0, 250, 10):
        await asyncio.gather(*(store.put(id, Scope("acme", "slack", "U1"), PAYLOAD) for id in ids[start : start + 10]))
    # Many have the same time.
    connection.execute("update pending_interactions set created_at = date_trunc('second', created_at)")

    found = await pages(pod, "U1")

    assert [len(page) for page in found] == [100, 100, 50]
    assert Counter(id for page in found for id in page) == Counter(ids)


async def test_a_list_has_nothing_of_others(pod: AssembledPod, connection: psycopg.Connection) -> None:
    for id in ("mine", "of-another-application"):
        await pod.ask(id)
    await pod.ask("of-another-user", user_id="U2")
    await pod.ask("of-globex", token=OTHER_TOKEN)
    connection.execute("update pending_interactions set application = 'b' where id = 'of-another-application'")

    assert await pages(pod, "U1") == [["mine"]]
    listed = await pod.internal.get("/questions?for=U1", headers=bearer(OTHER_TOKEN))
    assert [each["question_id"] for each in listed.json()["questions"]] == ["of-globex"]


async def test_what_a_path_does_not_find_is_not_listed_either(
    pod: AssembledPod, connection: psycopg.Connection
) -> None:
    """A connection that is not configured any more."""
    await pod.ask("q")
    connection.execute("update pending_interactions set connection_id = 'c2'")

    assert (await pod.internal.get("/questions/q")).status_code == 404
    assert await pages(pod, "U1") == [[]]


async def test_a_list_holds_the_questions_of_one_state(pod: AssembledPod) -> None:
    for id in ("open", "answered", "withdrawn"):
        await pod.ask(id)
    await pod.internal.post("/questions/withdrawn/withdraw")

    async def ids(state: str) -> list[str]:
        listed = await pod.internal.get(f"/questions?for=U1&state={state}")
        return [each["question_id"] for each in listed.json()["questions"]]

    assert await ids("withdrawn") == ["withdrawn"]
    assert await ids("pending") == ["open", "answered"]
    assert await ids("expired") == []


async def test_a_cursor_of_another_list_leads_to_nothing_of_others(pod: AssembledPod) -> None:
    await pod.ask("a-mine")
    await pod.ask("of-globex", token=OTHER_TOKEN)

    listed = await pod.internal.get("/questions", params={"for": "U1", "after": "2000-01-01T00:00:00+00/of-globex"})

    assert [each["question_id"] for each in listed.json()["questions"]] == ["a-mine"]


BAD: tuple[dict[str, str], ...] = (
    {},
    {"for": ""},
    {"for": "a\0b"},
    {"for": "x" * 256},
    {"for": "U1", "state": "open"},
    {"for": "U1", "state": ""},
    {"for": "U1", "limit": "5"},
    {"for": "U1", "organization": "globex"},
    {"for": "U1", "organization_id": "globex"},
    {"for": "U1", "application": "b"},
    {"for": "U1", "after": ""},
    {"for": "U1", "after": "yesterday/q"},
    {"for": "U1", "after": "2026-11-27T00:00:00+00"},
    {"for": "U1", "after": "2026-11-27T00:00:00+00/"},
    {"for": "U1", "after": "2026-99-99T99:99:99+00/q"},
    {"for": "U1", "after": "2026-02-30T00:00:00+00/q"},
    {"for": "U1", "after": "2026-11-27T00:00:00+99/q"},
    {"for": "U1", "after": "999999-11-27T00:00:00+00/q"},
    {"for": "U1", "after": "9999-12-31T00:00:00+00 BC/q"},
    {"for": "U1", "after": "2026-11-27T00:00:00+00/%00"},
    {"for": "U1", "after": "2026-11-27T00:00:00+00/%FF"},
    {"for": "U1", "after": "2026-11-27T00:00:00+00/" + "x" * 256},
    {"for": "U1", "after": "' or 1=1 --/q"},
    {"for": "U1", "after": "x" * 10_000},
)


async def test_what_is_no_list_is_refused_in_few_words(pod: AssembledPod) -> None:
    for query in BAD:
        refused = await pod.internal.get("/questions", params=query)

        assert refused.status_code == 400, query
        assert len(refused.json()["detail"]) < 500
    assert (await pod.internal.get("/questions?for=U1&for=U2")).status_code == 400


async def test_a_list_that_no_index_serves_is_refused_with_what_to_do(
    pod: AssembledPod, monkeypatch: pytest.MonkeyPatch
) -> None:
    await pod.ask("q")
    monkeypatch.setattr(inspection, "MOST_READ", -1)

    refused = await pod.internal.get("/questions?for=U1")

    assert refused.status_code == 400
    assert refused.json()["detail"] == (
        "your organization has too many questions to find those of one user; list state=undelivered or state=stuck, or "
        "read them by their ids"
    )
