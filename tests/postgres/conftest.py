"""Patience with the database, whose limits are not what these tests are about."""

from __future__ import annotations

import pytest

from pendingctl.postgres.time_limits import Purpose
from tests.patience import be_patient


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    # But for limits: how long a take waits for a lock is written in its statement.
    be_patient(monkeypatch, *(each for each in Purpose if each is not Purpose.LIMIT))
