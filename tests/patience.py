"""The product's own limits, for tests of something else: a machine that is busy passes them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pendingctl.postgres.time_limits import Purpose
from pendingctl.store import reading


def be_patient(monkeypatch: pytest.MonkeyPatch, *purposes: Purpose) -> None:
    """Have what is done in this process for these purposes, or for any, wait a minute for a lock and for the reply.

    For any: also counts, which are estimates where they take longer than a second.
    """
    if not purposes:
        monkeypatch.setattr(reading, "QUICK_TIMEOUT", timedelta(minutes=1))
    for purpose in purposes or Purpose:
        monkeypatch.setattr(purpose, "lock_seconds", 60.0)
        monkeypatch.setattr(purpose, "lock_timeout", "60s")
        monkeypatch.setattr(purpose, "seconds", 70.0)
