"""What crosses the pipe arrives as it was sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from pendingctl.model import Click
from pendingctl.race.history import HandOver, Operation, Outcome, Told
from pendingctl.race.plan import ClickKind, Names, RaceSettings
from pendingctl.race.wire import (
    Orders,
    QuestionDone,
    decode_done,
    decode_hand_over,
    decode_orders,
    encode_done,
    encode_hand_over,
    encode_orders,
)

OPERATION = Operation(
    pod="pod-1",
    number=3,
    kind=ClickKind.REPEAT,
    click=Click("q\n1", "acme", "slack", "U ü", "key", None, 1),
    started_ns=1,
    ended_ns=None,
    outcome=Outcome.WON,
    told=Told("U1", "später\n⏳", datetime(2026, 1, 1, 1, 2, 3, 4, tzinfo=UTC), {"question": {"text": "a\nb"}}),
    reply="answered",
    detail="two\nlines",
)


def said(line: bytes) -> bytes:
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return line.rstrip(b"\n").partition(b" ")[2]


def test_operations_arrive_as_sent() -> None:
    done = QuestionDone(17, (OPERATION, replace(OPERATION, told=Told(), reply=None, ended_ns=5)))

    line = encode_done(done)

    assert decode_done(said(line)) == done


def test_hand_overs_arrive_as_sent() -> None:
    handed = HandOver("pod-1", "q", 2, None, "U1", "C\n1")

    assert decode_hand_over(said(encode_hand_over(handed))) == handed


def test_orders_arrive_as_sent() -> None:
    settings = RaceSettings(2, 3, 4, 2**70, "select-then-update", "acme")
    orders = Orders("host=/tmp password='a b\n'", "pod-1", 0, 3, settings, Names("run", "acme", "run-foreign"))

    line = encode_orders(orders)

    assert line.count(b"\n") == 1
    assert decode_orders(line) == orders
