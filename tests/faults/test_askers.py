"""Whoever asks and waits has the answer alone, or leaves it to the pods; and nobody else's question is closed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import suppress
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest

from pendingctl import Answer, Claim, NoAnswer, PendingStore, ask, open_pool
from pendingctl.errors import PendingctlError, Refused
from pendingctl.inspected import UNDELIVERED
from pendingctl.postgres.time_limits import Purpose
from tests.askers import answer_to, until_stored
from tests.deliveries import LEASE, run_out, state_of
from tests.faults.moments import PATIENCE, came_true
from tests.faults.proxy import Hold, fields, running_proxy
from tests.patience import be_patient
from tests.pods import QUESTION, Pod
from tests.questions import PAYLOAD, SCOPE, click

LONG = timedelta(seconds=60)
SHORT = timedelta(seconds=0.2)
ASK = [
    *(sys.executable, "-m", "pendingctl", "ask", "--org", "acme", "--connection", "slack", "--user", "U1"),
    *("--id", "q", "--question", "Deploy?", "--option", "yes", "--option", "no", "--timeout", "60s"),
]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch, Purpose.CLAIM, Purpose.PUT)


async def test_an_asker_stopped_past_its_time_shares_the_answer_with_no_pod(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    """As when a laptop sleeps or a virtual machine moves."""
    pod = Pod(store, reply_within=PATIENCE)
    async with pod.bridge:
        asker = await asyncio.create_subprocess_exec(
            *ASK,
            env={**os.environ, "PENDINGCTL_DSN": dsn},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            await until_stored(store)
            asker.send_signal(signal.SIGSTOP)
            await pod.bridge.click(click())
            run_out(connection)
            await came_true(lambda: bool(pod.answers), 8)
            asker.send_signal(signal.SIGCONT)
            async with asyncio.timeout(60):
                has_answer = await asker.wait() == 0
        finally:
            with suppress(ProcessLookupError):
                asker.kill()
            await asker.wait()

    assert has_answer != bool(pod.answers)


async def test_an_asker_cancelled_while_its_mark_is_confirmed_loses_no_answer(
    store: PendingStore, dsn: str, connection: psycopg.Connection
) -> None:
    answer: Answer | NoAnswer | None = None

    async def wait() -> None:
        nonlocal answer
        async with ask(far_store, QUESTION, timeout=LONG) as given:
            answer = given

    async with running_proxy(dsn, connection) as proxy, open_pool(proxy.dsn, max_size=1) as far:
        far_store = PendingStore(far)
        asking = asyncio.create_task(wait())
        await until_stored(store)
        row = await store.inspection.get("q")
        assert row is not None
        proxy.hold = hold = Hold(fields("q", str(row.ask_number)))
        await store.claim(click(), lease=LEASE)
        await came_true(hold.has_come.is_set)
        asking.cancel()
        hold.released.set()
        with suppress(asyncio.CancelledError):
            await asking

    assert answer is not None or await state_of(store) in UNDELIVERED


async def test_a_second_asker_of_an_awaited_question_is_refused(store: PendingStore) -> None:
    first = asyncio.create_task(answer_to(store, QUESTION, within=LONG))
    await until_stored(store)
    is_refused = False
    try:
        await answer_to(store, QUESTION, within=SHORT)
    except Refused:
        is_refused = True
    await store.withdraw("q", SCOPE)
    await first

    assert is_refused


async def test_a_second_asker_does_not_close_the_question_of_the_first(store: PendingStore) -> None:
    first = asyncio.create_task(answer_to(store, QUESTION, within=LONG))
    await until_stored(store)
    with suppress(Refused):
        await answer_to(store, QUESTION, within=SHORT)
    claim = await store.claim(click(), lease=LEASE)
    answer = await first

    assert isinstance(claim, Claim)
    assert answer is not None


async def test_a_second_asker_that_dies_at_once_leaves_the_first_its_time(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, awaited_by=uuid4())
    with suppress(PendingctlError):
        await store.put("q", SCOPE, PAYLOAD, if_answered="keep", awaited_by=uuid4())
    claim = await store.claim(click(), lease=LEASE)

    assert isinstance(claim, Claim)
    assert claim.lease_token is None
