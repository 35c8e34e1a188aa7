"""What a pod logs of ids, and of what a worker or a platform says, stays on the line of its message."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pendingctl import AskOutcome, DeliveryFailed, NotPosted, PendingStore, State
from tests.deliveries import until_state
from tests.pods import QUESTION, Pod, failing
from tests.questions import click

FORGED = "q\nERROR every answer is lost\x1b[2J\u2028"
HOSTILE = replace(QUESTION, id=FORGED)

pytestmark = pytest.mark.usefixtures("patient")


async def test_no_id_and_no_error_forges_a_line_of_the_log(
    store: PendingStore, caplog: pytest.LogCaptureFixture
) -> None:
    pod = Pod(store)
    pod.before_answer = failing(DeliveryFailed(FORGED, permanent=True))
    async with pod.bridge:
        pod.platform.before_card = failing(NotPosted(FORGED))
        assert await pod.bridge.ask(HOSTILE, event_id="e1") is AskOutcome.NOT_POSTED
        pod.platform.before_card = failing(RuntimeError(FORGED))
        assert await pod.bridge.ask(HOSTILE, event_id="e2") is AskOutcome.POST_UNKNOWN
        await pod.bridge.click(click(FORGED))
        await until_state(store, State.STUCK, FORGED)
        elsewhere = replace(HOSTILE, scope=replace(QUESTION.scope, connection_id="teams"))
        assert await pod.bridge.ask(elsewhere, event_id="e3") is AskOutcome.CANNOT_SERVE

    messages = [record.getMessage() for record in caplog.records if record.name.startswith("pendingctl")]
    assert [message for message in messages if not message.isprintable()] == []
    assert len([message for message in messages if r"q\nERROR every answer is lost\x1b[2J\u2028" in message]) >= 4
