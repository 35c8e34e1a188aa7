"""What crosses the pipe arrives as it was sent."""

from __future__ import annotations

import pytest

from pendingctl.race.streams.plan import StreamFaultKind, StreamRaceSettings
from pendingctl.race.streams.wire import Do, StreamAssignment, StreamOrder, decode_assignment, decode_order, encode


def test_an_assignment_arrives_as_sent() -> None:
    settings = StreamRaceSettings(2, 3, 4, 2**70, "max-plus-one", (StreamFaultKind.KILL, StreamFaultKind.POOLER))
    organizations = ("run", "run-foreign")
    assignment = StreamAssignment(
        "host=/tmp password='a b\n'", "pod-1", 0, settings, organizations, "/tmp/hi\nstory", "x"
    )

    line = encode(assignment)

    assert line.count(b"\n") == 1
    assert decode_assignment(line) == assignment


@pytest.mark.parametrize(
    "order",
    [
        StreamOrder(1, Do.ROUND, round=2),
        StreamOrder(2, Do.READ, reader="r", stream="run/s0", after="3-00ff", stalls_after=3),
        StreamOrder(3, Do.PRESS, events=10),
    ],
)
def test_an_order_arrives_as_sent(order: StreamOrder) -> None:
    line = encode(order)

    assert line.count(b"\n") == 1
    assert decode_order(line) == order
