"""Patience with the database for what a race does in the tests' own process; its pods have the product's limits."""

from __future__ import annotations

import pytest

from pendingctl.postgres.time_limits import Purpose
from tests.patience import be_patient


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch, Purpose.CLAIM, Purpose.PUT)
