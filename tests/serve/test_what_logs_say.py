"""What a pod's log holds of questions and presses: which they are, and nothing of what they say."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from urllib.parse import quote, urlsplit

import httpx
import pytest

from pendingctl.demo.faults import Fault
from pendingctl.demo.slack_server import FakeSlack
from tests.http_worker import working
from tests.slack import hostile_presses as hostile

from .applications import QUESTION, bearer
from .clients import PATIENCE
from .pods import OTHER_TOKEN, SIGNING_SECRET, TOKEN, configuration, served

pytestmark = pytest.mark.once

TEXT, OPTION, KEY, USER = "planted-question-text", "planted-option", "planted-key", "planted-user-of-a-query"
PLANTED = (TEXT, OPTION, USER, "planted-body", "planted-wrong-token", "planted-path-of-a-response-url")
SECRETS = (TOKEN, OTHER_TOKEN, SIGNING_SECRET, "xoxb-acme", "xoxb-globex", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


async def test_a_log_names_questions_and_presses_and_holds_nothing_of_them(
    dsn: str, slack: FakeSlack, tmp_path: Path
) -> None:
    async with working("500 Internal Server Error", "400 Bad Request") as worker:
        text = configuration(slack_url=slack.url, worker_url=worker.url)
        text = text.replace('format = "json"', 'format = "json"\nlevel = "debug"')
        async with served(text, dsn, tmp_path) as pod:
            async with httpx.AsyncClient(base_url=pod.url, headers=bearer(TOKEN), timeout=PATIENCE) as client:
                slack.fail("chat.postMessage", Fault(status=500, error="internal_error"), channel="C7")
                for id, channel in (("q", "C2"), ("q2", "C7")):
                    body = {**QUESTION, "id": id, "conversation_id": channel, "text": TEXT, "options": [OPTION, "no"]}
                    await client.post("/questions", json=body, headers={"Idempotency-Key": KEY})
                    await client.post(
                        "/questions", json={**body, "text": f"{TEXT}-2"}, headers={"Idempotency-Key": KEY}
                    )
                    await client.post("/questions", json=body, headers=bearer(OTHER_TOKEN))
                await client.post(
                    "/questions", content=b'{"planted-body":', headers={"Content-Type": "application/json"}
                )
                await client.get(f"/questions?for={USER}&after={USER}")
                await client.get(f"/questions/q?wait={USER}", headers=bearer("planted-wrong-token"))
            await slack.until(lambda: bool(slack.messages("C2")))
            press = slack.delivery("U1", slack.messages("C2")[0], OPTION)
            slack.fail("response_url", Fault(status=500), Fault(hangs_up=True))
            app = slack.apps["A1"]
            elsewhere = f"{slack.origin}/planted-path-of-a-response-url"
            for sent in (
                hostile.forged(press),
                hostile.changed(press, app, team={"id": "T9"}),
                hostile.changed(press, app, response_url=elsewhere),
                hostile.changed(press, app, user={"id": "U2", "team_id": "T1"}, response_url=elsewhere),
                *(hostile.with_body(press, app, body) for body in hostile.JUNK_BODIES),
                press,
                press,
            ):
                await slack.deliver(sent, to=pod.slack_url)
            await slack.reply_to(press)
            async with asyncio.timeout(PATIENCE):
                while len(worker.requests) < 2:  # noqa: ASYNC110 (a worker has no event)
                    await asyncio.sleep(0.05)
            assert await pod.stop() == 0

    log = [json.dumps(line, ensure_ascii=False) for line in pod.lines]
    assert not [line for line in pod.lines if "is_no_json" in line]
    forbidden = [*PLANTED, *SECRETS, urlsplit(press.response_url).path, "?wait", "?for", "payload="]
    for each in forbidden:
        for written in {each, quote(each, safe=""), repr(each)[1:-1]}:
            assert not [line for line in log if written in line]

    presses = [line for line in pod.lines if str(line["message"]).startswith("press: ")]
    kinds = [str(line["message"]).removeprefix("press: ") for line in presses]
    assert sorted(set(kinds)) == ["answered", "not_yours", "unknown_installation"]
    assert all({"question", "press"} <= set(line) for line in presses)
    assert all("organization" in line for line in presses if not str(line["message"]).endswith("unknown_installation"))
    about_replies = [line for line in pod.lines if "not replied to" in str(line["message"])]
    assert all({"question", "press"} <= set(line) for line in about_replies)
    assert {line.get("organization") for line in pod.lines if line.get("question") == "q2"} == {"acme"}
