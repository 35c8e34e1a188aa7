"""The product's own limits, for tests of something else: a machine that is busy passes them."""

from __future__ import annotations

import pytest

from pendingctl.postgres.time_limits import Purpose


def be_patient(monkeypatch: pytest.MonkeyPatch, *purposes: Purpose) -> None:
    """Have what is done in this process for these purposes, or for any, wait a minute for a lock and for the reply."""
    for purpose in purposes or Purpose:
        monkeypatch.setattr(purpose, "lock_seconds", 60.0)
        monkeypatch.setattr(purpose, "lock_timeout", "60s")
        monkeypatch.setattr(purpose, "seconds", 70.0)
