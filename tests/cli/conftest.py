"""Commands run in this process as on a machine that is not busy."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pendingctl.store import reading
from tests.patience import be_patient


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)
    monkeypatch.setattr(reading, "QUICK_TIMEOUT", timedelta(minutes=1))
