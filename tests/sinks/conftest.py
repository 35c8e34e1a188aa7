"""Answers that are claimed, leased and marked however busy the machine is."""

from __future__ import annotations

import os

import pytest

from pendingctl.postgres.time_limits import Purpose
from pendingctl.sinks import postgres
from tests.patience import be_patient


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A delivery that waits for another one is not given up: what the limits of sinks do their own tests show."""
    be_patient(monkeypatch, Purpose.PUT, Purpose.CLAIM, Purpose.MARK, Purpose.LOOP, Purpose.SINK)
    monkeypatch.setattr(postgres, "LOCK_TIMEOUT", "60s")


@pytest.fixture(autouse=True)
def no_proxy_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy of the machine's does not lead to its loopback."""
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
