"""What crosses the pipe arrives as it was sent."""

from __future__ import annotations

import pytest

from pendingctl.race.plan import Names, RaceSettings
from pendingctl.race.schedule import FaultKind
from pendingctl.race.wire import GO, Fire, Orders, decode_fire, decode_orders, encode_fire, encode_orders


def test_orders_arrive_as_sent() -> None:
    faults = (FaultKind.KILL, FaultKind.SWEEP)
    settings = RaceSettings(2, 30, 4, 2**70, "select-then-update", "acme", faults, 1.5)
    names = Names("run", "acme", "run-foreign")
    orders = Orders("host=/tmp password='a b\n'", "pod-1", 0, 3, settings, names, "/tmp/hi\nstory", 1000)

    line = encode_orders(orders)

    assert line.count(b"\n") == 1
    assert decode_orders(line) == orders


@pytest.mark.parametrize(
    "fire",
    [
        Fire(1, ["q1"]),
        Fire(2, ["q1", "q2"], 1),
        Fire(3, ["x7"], 2, without="x7.1"),
        Fire(4, ["q1"], only="q1.0", aim=True),
        Fire(5, ["q1"], only="q1.0", again=True),
    ],
)
def test_what_is_to_be_fired_arrives_as_sent(fire: Fire) -> None:
    line = encode_fire(fire)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert line != GO
    assert decode_fire(line) == fire
