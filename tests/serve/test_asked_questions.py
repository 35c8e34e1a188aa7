"""POST /questions: what is asked, under which id, and of whom."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg

from pendingctl.demo.faults import Fault
from pendingctl.demo.slack_server import FakeSlack

from .applications import QUESTION, AssembledPod, assembled, bearer, usual
from .pods import OTHER_TOKEN

TAKEN = "this id is taken; ask under another one"


async def test_a_question_is_asked_once_and_a_repetition_finds_it(pod: AssembledPod, slack: FakeSlack) -> None:
    first = await pod.ask("deploy-1")
    again = await pod.ask("deploy-1")

    assert (first.status_code, first.json()["outcome"]) == (201, "created")
    assert (again.status_code, again.json()["outcome"]) == (200, "refreshed")
    assert first.json()["ask_number"] == again.json()["ask_number"]
    await slack.until(lambda: bool(slack.messages("C2")))
    assert len(slack.called("chat.postMessage")) == 1


async def test_whoever_asks_does_not_wait_for_slack(pod: AssembledPod, slack: FakeSlack) -> None:
    slack.fail("chat.postMessage", Fault(is_done=True, is_silent=True), channel="C2")

    assert (await pod.ask("deploy-1")).status_code == 201

    row = await pod.store.inspection.get("deploy-1")
    assert row is not None
    assert row.posted_at is None
    await slack.until(lambda: bool(slack.called("chat.postMessage")))
    # Its post would be waited for.
    await pod.bridge.close(within=timedelta())


async def test_another_text_under_an_open_id_is_a_new_asking(pod: AssembledPod) -> None:
    first = await pod.ask("deploy-1")

    second = await pod.ask("deploy-1", text="Deploy now?")

    assert (second.status_code, second.json()["outcome"]) == (201, "superseded")
    assert second.json()["ask_number"] > first.json()["ask_number"]


async def test_a_question_that_has_ended_is_reported_and_not_asked_again(pod: AssembledPod) -> None:
    for id in ("answered", "withdrawn"):
        await pod.ask(id)
    await pod.answer("answered")
    await pod.internal.post("/questions/withdrawn/withdraw")

    asked = {id: await pod.ask(id) for id in ("answered", "withdrawn")}

    assert {id: (each.status_code, each.json()["outcome"]) for id, each in asked.items()} == {
        "answered": (200, "already_answered"),
        "withdrawn": (200, "withdrawn"),
    }


async def test_a_question_without_a_conversation_is_asked_in_direct_messages(
    pod: AssembledPod, slack: FakeSlack
) -> None:
    asked = await pod.ask("deploy-1", conversation_id=None)

    assert asked.status_code == 201
    await slack.until(lambda: bool(slack.called("chat.postMessage")))
    assert slack.called("conversations.open")[0]["users"] == "U1"


IDS = (
    "a/b",
    "a//b/",
    "/",
    "withdraw",
    "a/withdraw",
    "100%",
    "%2F",
    "a?b#c;d&e=f",
    "a b",
    "..",
    "ä€😀",
    "e\u0301",
    "\n\t\x7f",
    "\u202e",
    "x" * 255,
)


async def test_an_id_is_any_text_and_is_read_and_withdrawn_by_its_percent_encoding(pod: AssembledPod) -> None:
    for id in IDS:
        asked = await pod.ask(id)
        path = "/questions/" + "".join(f"%{byte:02X}" for byte in id.encode())
        read = await pod.internal.get(path)
        withdrawn = await pod.internal.post(f"{path}/withdraw")

        assert (asked.status_code, asked.json()["question_id"]) == (201, id)
        assert (read.status_code, read.json()["question_id"]) == (200, id)
        assert (withdrawn.status_code, withdrawn.json()) == (200, {"question_id": id, "outcome": "withdrawn"})


async def test_what_no_row_can_hold_is_no_id(pod: AssembledPod) -> None:
    for id in ("", "x" * 256, "😀" * 255, "a\0b"):
        assert (await pod.ask(id)).status_code == 400, id


async def test_an_id_of_others_is_taken_whoever_they_are(pod: AssembledPod, connection: psycopg.Connection) -> None:
    await pod.ask("of-globex", token=OTHER_TOKEN)
    await pod.ask("of-another-user", user_id="U2")
    await pod.ask("of-another-connection")
    await pod.ask("of-another-application")
    await pod.ask("answered", token=OTHER_TOKEN, key="k")
    await pod.internal.post("/questions/answered/withdraw", headers=bearer(OTHER_TOKEN))
    connection.execute("update pending_interactions set connection_id = 'c2' where id = 'of-another-connection'")
    connection.execute("update pending_interactions set application = 'b' where id = 'of-another-application'")
    statement = (
        "select id, organization_id, connection_id, expected_user_id, application, entry_payload::text, ask_number, "
        "created_at, claimed_at, request_key from pending_interactions order by id"
    )
    before = connection.execute(statement).fetchall()

    refused = [
        await pod.ask(id, key=key)
        for id in ("of-globex", "of-another-user", "of-another-connection", "of-another-application", "answered")
        for key in (None, "k")
    ]

    assert {(each.status_code, each.json()["detail"]) for each in refused} == {(409, TAKEN)}
    assert len({each.content for each in refused}) == 1
    assert connection.execute(statement).fetchall() == before


async def test_a_connection_or_an_application_that_is_not_configured_is_not_found(
    pod: AssembledPod, connection: psycopg.Connection
) -> None:
    refused = [
        await pod.ask("deploy-1", **changes)
        for changes in ({"connection_id": "c2"}, {"application": "billing"}, {"application": ""})
    ]

    assert [each.status_code for each in refused] == [404] * 3
    assert connection.execute("select count(*) from pending_interactions").fetchone() == (0,)


async def test_the_pods_own_application_may_be_named(pod: AssembledPod) -> None:
    assert (await pod.ask("deploy-1", application="deploys")).status_code == 201


async def test_a_field_that_no_question_has_is_refused(pod: AssembledPod) -> None:
    for field in ("organization", "organization_id", "url", "__proto__", "Id"):
        refused = await pod.ask("deploy-1", **{field: "globex"})

        assert refused.status_code == 400
        assert f"there is no field '{field}'" in refused.json()["detail"]


async def test_what_a_question_needs_is_named(pod: AssembledPod) -> None:
    for field in ("connection_id", "user_id", "text"):
        left_out: dict[str, Any] = {field: None}
        refused = await pod.ask("deploy-1", **left_out)

        assert refused.status_code == 400
        assert refused.json()["detail"] == f"the field '{field}' is missing"


async def test_without_an_id_and_a_key_nothing_is_asked(pod: AssembledPod) -> None:
    refused = await pod.ask()

    assert refused.status_code == 400
    assert "Idempotency-Key" in refused.json()["detail"]


OTHER_TYPES = ("", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/a+json")


async def test_a_question_of_another_type_is_refused(pod: AssembledPod) -> None:
    for content_type in OTHER_TYPES:
        headers = {"Content-Type": content_type}
        refused = await pod.internal.post("/questions", json={**QUESTION, "id": "q"}, headers=headers)

        assert refused.status_code == 415, content_type


async def test_the_type_may_have_parameters(pod: AssembledPod) -> None:
    for content_type in ("application/json; charset=utf-8", "Application/JSON", "application/json;"):
        headers = {"Content-Type": content_type}
        asked = await pod.internal.post("/questions", json={**QUESTION, "id": content_type}, headers=headers)

        assert asked.status_code == 201


async def test_a_question_of_over_1_mib_is_too_large_whether_it_states_its_length_or_not(pod: AssembledPod) -> None:
    async def parts() -> object:
        for _ in range(17):
            yield b" " * (1 << 16)

    headers = {"Content-Type": "application/json"}
    stated = await pod.internal.post("/questions", content=b" " * ((1 << 20) + 1), headers=headers)
    unstated = await pod.internal.post("/questions", content=parts(), headers=headers)  # type: ignore[arg-type]

    assert [stated.status_code, unstated.status_code] == [413, 413]
    assert stated.headers["Content-Type"] == "application/problem+json"


async def test_as_many_options_as_a_card_has_buttons(pod: AssembledPod) -> None:
    asked = await pod.ask("fits", options=[f"option {number}" for number in range(25)])
    refused = await pod.ask("too-many", options=[f"option {number}" for number in range(26)])

    assert asked.status_code == 201
    assert (refused.status_code, "25" in refused.json()["detail"]) == (400, True)


BROKEN_SCHEDULES: list[dict[str, Any]] = [
    {"expires_in": "soon"},
    {"expires_in": "0s"},
    {"expires_in": "-5m"},
    {"expires_in": "9999999999d"},
    {"expires_in": 30},
    {"expires_in": "30 m"},
    {"expires_in": " 30m "},
    {"expires_in": "1.5h"},
    {"expires_in": "٣m"},
    {"default": "yes"},
    {"default": "maybe", "expires_in": "5m"},
    {"remind_every": "5m", "remind_at_most": 0},
    {"remind_every": "5m", "remind_at_most": True},
    {"remind_every": "5m", "remind_at_most": 2.0},
    {"remind_every": "5m", "remind_at_most": 10**30},
    {"remind_at_most": 3},
    {"escalate_after": "5m"},
    {"escalate_to": "U2"},
    {"escalate_after": "5m", "escalate_to": "U1"},
    {"escalate_after": "5m", "escalate_to": "U2", "expires_in": "1m"},
    {"stream": ""},
    {"stream": "a talk"},
    {"stream": 42},
]


async def test_a_schedule_that_cannot_be_kept_is_refused(pod: AssembledPod) -> None:
    for changes in BROKEN_SCHEDULES:
        assert (await pod.ask("deploy-1", **changes)).status_code == 400, changes


async def test_an_escalation_of_what_the_sweep_has_taken_by_then_is_refused(
    dsn: str, slack: FakeSlack, tmp_path: Path
) -> None:
    escalation = {"escalate_after": "2h", "escalate_to": "U2"}
    async with assembled(usual(tmp_path, slack.url, sweep='[sweep]\nmax_age = "1h"'), dsn) as pod:
        refused = await pod.ask("deploy-1", **escalation)
        asked = await pod.ask("deploy-1", expires_in="3h", **escalation)
    assert (refused.status_code, "swept (after 1:00:00)" in refused.json()["detail"]) == (400, True)
    assert asked.status_code == 201


async def test_a_question_with_all_that_it_can_have_is_asked(pod: AssembledPod, connection: psycopg.Connection) -> None:
    asked = await pod.ask(
        "deploy-1",
        expires_in="30m",
        default="no",
        remind_every="5m",
        remind_at_most=3,
        escalate_after="10m",
        escalate_to="U2",
        stream="talk-42",
    )

    assert asked.status_code == 201
    assert connection.execute("select stream from pending_interactions").fetchall() == [("talk-42",)]
    read = (await pod.internal.get("/questions/deploy-1")).json()
    assert read["options"] == ["yes", "no"]
    assert read["expires_at"] > read["asked_at"]


async def test_a_pod_that_closes_asks_nothing_more(pod: AssembledPod) -> None:
    await pod.bridge.close()

    refused: httpx.Response = await pod.ask("deploy-1")

    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")


async def test_a_user_who_could_never_answer_is_refused_when_asked(
    pod: AssembledPod, connection: psycopg.Connection
) -> None:
    """Whoever belongs to the connection's own workspace presses without its id, and strangers to it not at all."""
    schedule = {"escalate_after": "10m"}
    for changes in (
        *({"user_id": name} for name in ("T1:U1", "alice", "@alice", "<@U1>", "u1", "C2", "T2:", "T2:U7:U1")),
        *({"user_id": name} for name in ("T9:U9", "E9:U9")),
        *({"escalate_to": name, **schedule} for name in ("T1:U2", "bob", "T9:U9")),
    ):
        refused = await pod.ask("q", **changes)
        assert refused.status_code == 400, changes
    assert "'U1'" in (await pod.ask("q", user_id="T1:U1")).json()["detail"]
    assert "allowed_teams" in (await pod.ask("q", user_id="T9:U9")).json()["detail"]
    assert connection.execute("select count(*) from pending_interactions").fetchone() == (0,)

    for id, changes in {"q1": {"user_id": "T2:U7"}, "q2": {"escalate_to": "T2:U7", **schedule}}.items():
        assert (await pod.ask(id, **changes)).status_code == 201


async def test_an_escalation_to_somebody_who_does_not_see_the_card_is_refused(pod: AssembledPod) -> None:
    escalation = {"escalate_after": "10m", "escalate_to": "U2"}

    for place in (None, "U1", "D1"):
        refused = await pod.ask("q", conversation_id=place, **escalation)
        assert (refused.status_code, "direct messages" in refused.json()["detail"]) == (400, True), place


async def test_a_question_in_the_direct_messages_of_somebody_who_may_not_answer_is_refused(pod: AssembledPod) -> None:
    for user, place in (("U1", "U2"), ("U1", "U2:1712345678.000100"), ("T2:U7", "U1")):
        refused = await pod.ask("q", user_id=user, conversation_id=place)
        assert (refused.status_code, "direct messages" in refused.json()["detail"]) == (400, True), place

    for id, user, place in (("q1", "U1", "U1"), ("q2", "T2:U7", "U7"), ("q3", "U1", "D1")):
        assert (await pod.ask(id, user_id=user, conversation_id=place)).status_code == 201, place
