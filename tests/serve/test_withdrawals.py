"""POST /questions/{id}/withdraw"""

from __future__ import annotations

import asyncio
from collections import Counter

import psycopg

from pendingctl.model import Claim

from .applications import AssembledPod


async def test_a_question_is_withdrawn_once_and_stays_withdrawn(pod: AssembledPod, other_pod: AssembledPod) -> None:
    await pod.ask("q")

    first = await pod.internal.post("/questions/q/withdraw")
    again = await other_pod.internal.post("/questions/q/withdraw")

    assert (first.status_code, first.json()) == (200, {"question_id": "q", "outcome": "withdrawn"})
    assert (again.status_code, again.json()) == (200, {"question_id": "q", "outcome": "already_withdrawn"})
    assert (await pod.internal.get("/questions/q")).json()["outcome"] == "withdrawn"


async def test_what_was_answered_or_has_expired_is_not_withdrawn(
    pod: AssembledPod, connection: psycopg.Connection
) -> None:
    await pod.ask("answered")
    await pod.answer("answered")
    await pod.ask("expired", expires_in="1h")
    connection.execute("update pending_interactions set expires_at = now() - interval '1 s' where id = 'expired'")

    for id in ("answered", "expired"):
        refused = await pod.internal.post(f"/questions/{id}/withdraw")

        assert refused.status_code == 409
        assert refused.json()["detail"].endswith("before; nothing was withdrawn")
    assert (await pod.internal.get("/questions/answered")).json()["value"] == "yes"


async def test_of_a_click_and_a_withdrawal_at_the_same_time_one_wins(
    pod: AssembledPod, other_pod: AssembledPod
) -> None:
    won: Counter[str] = Counter()
    for number in range(10):
        await pod.ask(f"q{number}")
        claimed, withdrawn = await asyncio.gather(
            other_pod.answer(f"q{number}"), pod.internal.post(f"/questions/q{number}/withdraw")
        )

        assert isinstance(claimed, Claim) is (withdrawn.status_code == 409)
        won[(await pod.internal.get(f"/questions/q{number}")).json()["outcome"]] += 1
    assert won["answered"] + won["withdrawn"] == 10


async def test_a_body_is_not_looked_at(pod: AssembledPod) -> None:
    """Nothing in a request but its token says whose question it is."""
    await pod.ask("q")

    withdrawn = await pod.internal.post("/questions/q/withdraw", json={"organization_id": "globex", "id": "other"})

    assert withdrawn.json() == {"question_id": "q", "outcome": "withdrawn"}
