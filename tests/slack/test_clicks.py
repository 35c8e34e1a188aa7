"""Presses of buttons as Slack delivers them: read strictly, and junk is no press."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendingctl.model import MAX_ASK_NUMBER
from pendingctl.payload import MAX_ID_CHARACTERS
from pendingctl.platforms.slack import NotOurs, Press, parse_press
from pendingctl.platforms.slack.blocks import card_message

from .presses import form, payload
from .test_blocks import CARD, IDS, shown


def parsed(**changes: Any) -> Press | NotOurs:
    return parse_press(form(payload(**changes)))


def press(**changes: Any) -> Press:
    found = parsed(**changes)
    assert isinstance(found, Press)
    return found


def action(**changes: Any) -> list[dict[str, Any]]:
    return [payload()["actions"][0] | changes]


def test_a_press_says_who_pressed_what() -> None:
    assert press() == Press(
        team_id="T1",
        enterprise_id=None,
        app_id="A1",
        channel_id="C1",
        message_ts="1712345678.000100",
        user_id="U1",
        user_team_id="T1",
        question_id="q",
        ask_number=2**30,
        option=0,
        action_ts="1712345699.123456",
        response_url="https://hooks.slack.com/actions/T1/1/abc",
    )


def test_a_press_delivered_twice_has_the_same_key_and_another_press_has_not() -> None:
    again = press(trigger_id="another", response_url="https://hooks.slack.com/actions/T1/2/def")

    assert press().delivery_key == again.delivery_key == "T1:C1:1712345678.000100:T1:U1:1712345699.123456"
    others = [
        press(team={"id": "T2"}),
        press(user={"id": "U2", "team_id": "T1"}),
        press(user={"id": "U1", "team_id": "T2"}),
        press(actions=action(action_ts="1712345699.123457")),
        press(container=payload()["container"] | {"channel_id": "C2"}),
        press(container=payload()["container"] | {"message_ts": "1712345678.000101"}),
    ]
    assert len({press().delivery_key, *(other.delivery_key for other in others)}) == 7
    longest = press(user={"id": "U" + "1" * 30, "team_id": "T" + "1" * 30}, team={"id": "T" + "1" * 30})
    assert len(longest.delivery_key) < MAX_ID_CHARACTERS


def test_a_user_of_another_workspace_is_named_with_it() -> None:
    assert press().user_of(["T1"]) == "U1"
    assert press(user={"id": "U1", "team_id": "T9"}).user_of(["T1", "E1"]) == "T9:U1"
    assert press(user={"id": "W1", "team_id": "E1"}).user_of(["T1", "E1"]) == "W1"
    assert press(user={"id": "W1", "team_id": "E1"}).user_of(["T1"]) == "E1:W1"


def test_an_installation_for_a_whole_organization_has_no_team() -> None:
    found = press(team=None, enterprise={"id": "E1", "name": "Acme"}, is_enterprise_install=True)

    assert (found.team_id, found.enterprise_id) == (None, "E1")
    assert found.delivery_key.startswith("E1:")


@given(IDS, st.integers(1, MAX_ASK_NUMBER), st.integers(0, 1))
def test_what_a_button_carries_comes_back(question_id: str, ask_number: int, index: int) -> None:
    message = card_message(replace(CARD, question_id=question_id, ask_number=ask_number))
    (carried,) = [block["elements"] for block in shown(message) if block["type"] == "actions"]

    found = parse_press(form(payload(carried[index]["value"])))

    assert isinstance(found, Press)
    assert (found.question_id, found.ask_number, found.option) == (question_id, ask_number, index)


def test_a_press_in_a_thread_says_which() -> None:
    assert press().thread_ts is None
    assert press(container=payload()["container"] | {"thread_ts": "1712345600.000001"}).thread_ts == "1712345600.000001"
    assert parsed(container=payload()["container"] | {"thread_ts": 7}) == NotOurs("block_actions")


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "",
        "http://hooks.slack.com/actions/x",
        "https://hooks.slack.com.evil.example/x",
        "https://evil.example/hooks.slack.com",
        "https://hooks.slack.com@evil.example/x",
        "https://user@hooks.slack.com/x",
        "https://hooks.slack.com:444/x",
        "https://hooks.slack.com\\@evil.example/x",
        "https://hooks.slack.com#@evil.example",
        "https://HOOKS.slack.com/x\n",
        "https://[::1/x",
        "//hooks.slack.com/x",
        "https://hooks.slack.com/" + "x" * 2_000,
    ],
)
def test_a_reply_goes_to_slack_or_nowhere(url: object) -> None:
    assert press(response_url=url).response_url is None


def test_a_test_may_have_replies_of_its_own() -> None:
    body = form(payload(response_url="http://127.0.0.1:8000/reply/1"))

    found = parse_press(body, reply_base="http://127.0.0.1:8000")
    other = parse_press(body, reply_base="http://127.0.0.1:8001")

    assert isinstance(found, Press)
    assert isinstance(other, Press)
    assert (found.response_url, other.response_url) == ("http://127.0.0.1:8000/reply/1", None)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "unreadable"),
        (b"ssl_check=1&token=abc", "ssl_check"),
        (form({"type": "view_submission"}), "view_submission"),
        (form({"type": "shortcut"}), "shortcut"),
        (form({"type": "a_type_of_tomorrow"}), "other"),
        (form({"type": ["block_actions"]}), "other"),
        (form({}), "other"),
        (b"payload=", "unreadable"),
        (b"payload=%7B%7D&payload=%7B%7D", "unreadable"),
        (b"payload=[]", "unreadable"),
        (b"payload=7", "unreadable"),
        (b"payload=" + b"9" * 5_000, "unreadable"),
        (b"payload=" + b"[" * 100_000, "unreadable"),
        (b"payload=%ff", "unreadable"),
        (b"payload=\xff", "unreadable"),
        (b"a=1&" * 50 + b"payload=%7B%7D", "unreadable"),
        (b'{"type": "block_actions"}', "unreadable"),
        (urlencode({"payload": json.dumps(payload(actions=[]))}).encode(), "block_actions"),
    ],
)
def test_what_is_no_press_is_named(body: bytes, kind: str) -> None:
    assert parse_press(body) == NotOurs(kind)


@pytest.mark.parametrize(
    "changes",
    [
        {"actions": None},
        {"actions": {}},
        {"actions": [7]},
        {"actions": action() * 2},
        {"actions": action(type="static_select")},
        {"actions": action(action_id="approve")},
        {"actions": action(action_id=None)},
        {"actions": action(action_ts=1712345699.12)},
        {"actions": action(action_ts="now")},
        {"actions": action(value=None)},
        {"actions": action(value=["q", 1, 0])},
        {"team": None},
        {"team": "T1"},
        {"team": {"id": "t1"}},
        {"team": {"id": None}},
        {"enterprise": {"id": 7}},
        {"user": None},
        {"user": {"id": "U1"}},
        {"user": {"id": "U1:U2", "team_id": "T1"}},
        {"user": {"id": "B1", "team_id": "T1"}},
        {"user": {"id": 1, "team_id": "T1"}},
        {"api_app_id": None},
        {"container": None},
        {"container": payload()["container"] | {"type": "view"}},
        {"container": payload()["container"] | {"is_ephemeral": True}},
        {"container": payload()["container"] | {"channel_id": "C1:C2"}},
        {"container": payload()["container"] | {"message_ts": 1}},
    ],
)
def test_a_press_that_cannot_be_read_is_no_press(changes: dict[str, Any]) -> None:
    assert parsed(**changes) == NotOurs("block_actions")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "yes",
        "{}",
        "[]",
        '["q",1]',
        '["q",1,0,0]',
        "[7,1,0]",
        '["",1,0]',
        '["q","1",0]',
        '["q",true,0]',
        '["q",1,false]',
        '["q",1.0,0]',
        '["q",0,0]',
        '["q",-1,0]',
        '["q",2147483648,0]',
        '["q",1,-1]',
        '["q",1,25]',
        '["q",1,null]',
        '["\\u0000",1,0]',
        '["\\ud800",1,0]',
        f'["{"q" * 256}",1,0]',
        "[" * 100_000,
        f'["q",{"9" * 5_000},0]',
    ],
)
def test_a_button_that_is_not_ours_is_no_press(value: str) -> None:
    assert parsed(actions=action(value=value)) == NotOurs("block_actions")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=5,
)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda junk: b"payload=" + junk))
def test_no_bytes_raise(body: bytes) -> None:
    assert isinstance(parse_press(body), Press | NotOurs)


@given(st.sampled_from(sorted(payload())), JSON)
def test_no_field_raises(field: str, value: Any) -> None:
    assert isinstance(parsed(**{field: value}), Press | NotOurs)


@given(st.sampled_from(sorted(payload()["actions"][0])), JSON)
def test_no_field_of_an_action_raises(field: str, value: Any) -> None:
    assert isinstance(parsed(actions=action(**{field: value})), Press | NotOurs)
