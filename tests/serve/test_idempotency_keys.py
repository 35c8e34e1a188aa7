"""Idempotency-Key: the same request asks once, whichever pod it reaches, and another one under its key is refused."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import psycopg
import pytest

from .applications import QUESTION, AssembledPod, assembled, bearer, written
from .pods import OTHER_TOKEN, TOKEN, configuration

HEADERS = {"Content-Type": "application/json"}


async def test_an_id_is_made_of_the_key_and_is_the_same_on_two_pods(pod: AssembledPod, other_pod: AssembledPod) -> None:
    first = await pod.ask(key="request-1")
    again = await other_pod.ask(key="request-1")

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["question_id"] == again.json()["question_id"]
    assert first.json()["ask_number"] == again.json()["ask_number"]
    assert (await pod.ask(key="request-2")).json()["question_id"] != first.json()["question_id"]


async def test_another_organization_or_application_makes_another_id_of_the_same_key(
    pod: AssembledPod, dsn: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    text = configuration(slack_url="http://127.0.0.1:9/api/", worker_url=None)
    billing = written(tmp_path_factory.mktemp("billing"), text.replace('"deploys"', '"billing"'))

    async with assembled(billing, dsn) as of_billing:
        asked = [
            await pod.ask(key="request-1"),
            await pod.ask(key="request-1", token=OTHER_TOKEN, conversation_id="C9", user_id="U7"),
            await of_billing.ask(key="request-1"),
        ]

    assert [each.status_code for each in asked] == [201] * 3
    assert len({each.json()["question_id"] for each in asked}) == 3


async def test_a_key_is_the_same_with_quotes_and_without(pod: AssembledPod) -> None:
    bare = await pod.ask(key="a-b\\c")
    quoted = await pod.ask(key='"a-b\\\\c"')

    assert (bare.status_code, quoted.status_code) == (201, 200)
    assert bare.json() | {"outcome": "refreshed"} == quoted.json()


async def test_what_is_no_key_is_refused(pod: AssembledPod) -> None:
    for key in ("", '""', "two words", '"open', 'a"b', '"a";b=1', '"\\x"', "ä", "\x7f", "x" * 256, f'"{"x" * 256}"'):
        headers = [(b"authorization", f"Bearer {TOKEN}".encode()), (b"idempotency-key", key.encode("latin-1"))]
        refused = await pod.internal.post("/questions", json=QUESTION, headers=headers)

        assert refused.status_code == 400, key


async def test_the_longest_key_is_taken(pod: AssembledPod) -> None:
    assert (await pod.ask(key="x" * 255)).status_code == 201
    assert (await pod.ask(key=f'"{"x" * 255}"')).status_code == 200


async def test_two_keys_are_refused(pod: AssembledPod) -> None:
    headers = [("Authorization", f"Bearer {TOKEN}"), ("Idempotency-Key", "a"), ("Idempotency-Key", "a")]

    assert (await pod.internal.post("/questions", json=QUESTION, headers=headers)).status_code == 400


async def test_a_body_that_is_written_in_another_way_is_the_same(pod: AssembledPod) -> None:
    fields = {**QUESTION, "text": "Größe?"}
    written = [
        json.dumps(fields),
        json.dumps(dict(reversed(fields.items())), indent=4, ensure_ascii=False),
        json.dumps({**fields, "default": None}),
    ]

    asked = [
        await pod.internal.post("/questions", content=each, headers={**HEADERS, "Idempotency-Key": "k"})
        for each in written
    ]

    assert [each.status_code for each in asked] == [201, 200, 200]


@pytest.mark.parametrize("state", ["open", "answered", "withdrawn", "expired", "superseded"])
async def test_the_key_with_another_body_is_refused_in_every_state(
    pod: AssembledPod, connection: psycopg.Connection, state: str
) -> None:
    body: dict[str, Any] = {"expires_in": "1h"}
    await pod.ask("deploy-1", key="k", **body)
    match state:
        case "answered":
            await pod.answer("deploy-1")
        case "withdrawn":
            await pod.internal.post("/questions/deploy-1/withdraw")
        case "expired":
            connection.execute("update pending_interactions set expires_at = now() - interval '1 s'")
        case "superseded":
            await pod.ask("deploy-1", key="k2", text="Deploy now?")

    others: list[dict[str, Any]] = [
        body | {"text": "Delete?"},
        body | {"options": ["no", "yes"]},
        body | {"conversation_id": "C7"},
        {"expires_in": "2h"},
        {},
        body | {"default": "no"},
    ]
    refused = [await pod.ask("deploy-1", key="k", **each) for each in others]
    same = await pod.ask("deploy-1", key="k", **body)

    statuses = {each.status_code for each in refused}
    # A displaced key is refused for any body, since what it asked is not known any more.
    assert (statuses, same.status_code) == (({409}, 409) if state == "superseded" else ({422}, 200))


async def test_the_key_with_another_user_is_refused_as_with_any_other_body(pod: AssembledPod) -> None:
    await pod.ask(key="k")

    refused = await pod.ask(key="k", user_id="U2")

    assert (refused.status_code, (await pod.ask(key="k")).status_code) == (422, 200)


async def test_of_concurrent_requests_on_two_pods_one_asks_and_no_other_body_is_taken(
    pod: AssembledPod, other_pod: AssembledPod, connection: psycopg.Connection
) -> None:
    asked = await asyncio.gather(
        *(
            each.ask(key="k", text=text)
            for text in ("Deploy?", "Delete?")
            for each in (pod, other_pod)
            for _ in range(5)
        )
    )

    statuses = Counter(each.status_code for each in asked)
    assert statuses == {201: 1, 200: 9, 422: 10}
    assert connection.execute("select count(*) from pending_interactions").fetchone() == (1,)


async def test_a_key_of_another_organization_is_no_key_of_ones_own(pod: AssembledPod) -> None:
    """Whoever knows a key, or the id that was made of it, asks nothing and learns nothing by it."""
    asked = (await pod.ask(key="k")).json()

    headers = bearer(OTHER_TOKEN)
    read = await pod.internal.get(f"/questions/{asked['question_id']}", headers=headers)
    taken = await pod.ask(asked["question_id"], key="k", token=OTHER_TOKEN)

    assert (read.status_code, taken.status_code) == (404, 409)
