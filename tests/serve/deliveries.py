"""Requests delivered to the public application of a pod that runs in this process, and what came of them."""

from __future__ import annotations

from typing import Any

import httpx
import psycopg
from starlette.types import ASGIApp, Message

from pendingctl.demo.messages import Message as Card
from pendingctl.demo.presses import Delivery
from pendingctl.demo.slack_server import FakeSlack
from tests.slack import hostile_presses as hostile

from .applications import AssembledPod

UNKNOWN = "This question is unknown or has expired."
CANNOT_SERVE = "This cannot be served here right now, please try again."
NOT_YOURS = "This question is for somebody else."


async def deliver(pod: AssembledPod, delivery: Delivery) -> httpx.Response:
    return await pod.public.post("/slack", content=delivery.body, headers=dict(delivery.headers))


async def card_of(pod: AssembledPod, slack: FakeSlack, id: str = "q", *, channel: str = "C2", **changes: Any) -> Card:
    """A question's card, once Slack shows it and the pod knows it."""
    number = len(slack.messages(channel))
    asked = await pod.ask(id, conversation_id=channel, **changes)
    assert asked.status_code == 201, asked.text
    await slack.until(lambda: len(slack.messages(channel)) > number)
    return slack.messages(channel)[number]


async def deliver_at_once(app: ASGIApp, delivery: Delivery) -> int:
    """Deliver without a client of HTTP, which takes as long as the rest, and return the status."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/slack",
        "query_string": b"",
        "headers": [(name.lower().encode(), value.encode()) for name, value in delivery.headers.items()],
    }
    statuses: list[int] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": delivery.body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await app(scope, receive, send)
    return statuses[0]


def answers(connection: psycopg.Connection) -> list[tuple[str, str, str]]:
    """The questions that were answered, with the answer and whose it is."""
    return connection.execute(
        "select id, answer, answered_by from pending_interactions where claimed_at is not null order by id"
    ).fetchall()


def counted(pod: AssembledPod, outcome: str) -> float:
    text, _ = pod.metrics.exposition()
    for line in text.decode().splitlines():
        if line.startswith(f'pendingctl_presses_total{{outcome="{outcome}"}} '):
            return float(line.rpartition(" ")[2])
    raise LookupError(outcome)


async def reply_text(pod: AssembledPod, slack: FakeSlack, delivery: Delivery) -> str:
    assert (await deliver(pod, delivery)).status_code == 200
    return (await slack.reply_to(delivery)).text


def with_value(slack: FakeSlack, press: Delivery, value: str, **changes: Any) -> Delivery:
    """The press of a button that carries another value."""
    (action,) = hostile.payload_of(press)["actions"]
    return hostile.changed(press, slack.apps["A1"], actions=[{**action, "value": value}], **changes)
