"""Commands run in this process as on a machine that is not busy."""

from __future__ import annotations

import pytest

from tests.patience import be_patient


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)
