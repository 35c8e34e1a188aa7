"""What crosses the pipe arrives as it was sent."""

from __future__ import annotations

import pytest

from pendingctl.race.plan.operations import Names
from pendingctl.race.plan.schedule import FaultKind
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.pods.wire import (
    GO,
    Assignment,
    Order,
    decode_assignment,
    decode_order,
    encode_assignment,
    encode_order,
)


def test_an_assignment_arrives_as_sent() -> None:
    faults = (FaultKind.KILL, FaultKind.SWEEP)
    settings = RaceSettings(2, 30, 4, 2**70, "select-then-update", "acme", faults, 1.5)
    names = Names("run", "acme", "run-foreign")
    assignment = Assignment("host=/tmp password='a b\n'", "pod-1", 0, 3, settings, names, "/tmp/hi\nstory", 1000)

    line = encode_assignment(assignment)

    assert line.count(b"\n") == 1
    assert decode_assignment(line) == assignment


@pytest.mark.parametrize(
    "order",
    [
        Order(1, ["q1"]),
        Order(2, ["q1", "q2"], 1),
        Order(3, ["x7"], 2, without="x7.1"),
        Order(4, ["q1"], only="q1.0", aim=True),
        Order(5, ["q1"], only="q1.0", again=True),
        Order(6, ["q1", "x1"], askings=[[[2**30, 1]], []]),
    ],
)
def test_an_order_arrives_as_sent(order: Order) -> None:
    line = encode_order(order)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line != GO
    assert decode_order(line) == order
