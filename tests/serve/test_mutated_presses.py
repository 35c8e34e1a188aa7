"""Presses that were changed at random before they were signed: whatever they hold, they win no more than one time."""

from __future__ import annotations

import copy
import json
from typing import Any
from urllib.parse import urlencode

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pendingctl.demo.presses import Delivery
from pendingctl.demo.slack_server import FakeSlack
from tests.slack import hostile_presses as hostile

from .applications import AssembledPod
from .deliveries import deliver_at_once

Path = tuple[str | int, ...]

JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.just("9" * 400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=4,
)
# What reads like something that is there: other people, places and questions.
LIKELY = st.sampled_from(
    ["U1", "U2", "W9", "T1", "T2", "T9", "E1", "A1", "A2", "C1", "C2", '["q",1,0]', '["q2",1,0]', "button", "message"]
)


@pytest.fixture
async def press(pod: AssembledPod, slack: FakeSlack) -> Delivery:
    """A press that wins, if nothing of it is changed."""
    await pod.ask("q")
    await slack.until(lambda: bool(slack.messages("C2")))
    return slack.delivery("U1", slack.messages("C2")[0], "yes")


def paths_in(value: Any, path: Path = ()) -> list[Path]:
    inner: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        inner = list(value.items())
    elif isinstance(value, list):
        inner = list(enumerate(value))
    return [path, *(each for key, part in inner for each in paths_in(part, (*path, key)))]


@st.composite
def changes(draw: st.DrawFn) -> list[tuple[float, bool, Any]]:
    """Where in a payload, whether it is left out there, and what stands there otherwise."""
    place = st.floats(0, 1, exclude_max=True)
    return draw(st.lists(st.tuples(place, st.booleans(), LIKELY | JUNK), max_size=3))


def changed(payload: Any, wanted: list[tuple[float, bool, Any]]) -> Any:
    for place, is_left_out, value in wanted:
        paths = paths_in(payload)
        path = paths[int(place * len(paths))]
        if not path:
            payload = value
            continue
        holder = payload
        for key in path[:-1]:
            holder = holder[key]
        if is_left_out:
            del holder[path[-1]]
        else:
            holder[path[-1]] = copy.deepcopy(value)
    return payload


@settings(
    max_examples=200,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(wanted=changes(), inserted=st.none() | st.tuples(st.floats(0, 1), st.binary(max_size=6)))
async def test_whatever_a_signed_press_holds_it_wins_once_at_most_and_nothing_fails(
    pod: AssembledPod,
    slack: FakeSlack,
    connection: psycopg.Connection,
    press: Delivery,
    wanted: list[tuple[float, bool, Any]],
    inserted: tuple[float, bytes] | None,
) -> None:
    payload = changed(hostile.payload_of(press), wanted)
    body = urlencode({"payload": json.dumps(payload)}).encode()
    if inserted is not None:
        at = int(inserted[0] * len(body))
        body = body[:at] + inserted[1] + body[at:]
    sent = hostile.with_body(press, slack.apps["A1"], body)

    assert await deliver_at_once(pod.slack_app.asgi, sent) in (200, 401)
    won = connection.execute(
        "select id, answer, answered_by from pending_interactions where claimed_at is not null"
    ).fetchall()
    assert won in ([], [("q", "yes", "U1")], [("q", "no", "U1")])
    assert len(pod.sink.answers) <= 1
