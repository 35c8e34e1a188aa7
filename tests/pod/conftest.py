"""Pods wait for their database for as long as a busy machine takes: what becomes of its limits is shown elsewhere."""

from __future__ import annotations

import pytest

from pendingctl.postgres.time_limits import Purpose
from tests.patience import be_patient


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch, Purpose.CLAIM, Purpose.PUT, Purpose.MARK)
