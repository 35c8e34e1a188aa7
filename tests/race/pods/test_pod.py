"""A race's pod and its coordinator."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest

from pendingctl import Claim, Click, PendingStore, Refusal
from pendingctl.errors import NotConnected
from pendingctl.pod.bridge import InteractionBridge
from pendingctl.postgres.connections import Pool
from pendingctl.race.history.files import HistoryFile, read_pod
from pendingctl.race.history.history import Outcome
from pendingctl.race.plan.operations import Names, OperationKind, PlannedOperation
from pendingctl.race.plan.settings import RaceSettings
from pendingctl.race.pods import pod, wire
from pendingctl.race.pods.asker import Askers
from pendingctl.race.pods.gate import Gate
from pendingctl.race.pods.lifetime import EXIT_WITHIN_SECONDS
from pendingctl.race.pods.platform import platform_for
from pendingctl.race.pods.puts import Puts
from pendingctl.race.pods.recording import Note, Recorder, RecordingSource, RecordingStore, current_note
from pendingctl.race.pods.streams import RacingStreams
from pendingctl.race.pods.worker import Worker
from tests.questions import PAYLOAD, SCOPE

SETTINGS = RaceSettings(pods=1, questions=2, clicks=4, seed=1)
NAMES = Names("run", "run", "run-foreign")


async def test_a_pod_ends_in_time_where_an_order_is_the_first_to_find_its_coordinator_gone(
    dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stdin may stay open: another process that the coordinator has started holds it."""
    within: list[float] = []

    def nobody_reads(keyword: bytes, _argument: str = "") -> None:
        if keyword == wire.DONE:
            raise BrokenPipeError

    monkeypatch.setattr(wire, "report", nobody_reads)
    monkeypatch.setattr(pod, "exit_within", within.append)
    coordinator = asyncio.StreamReader()
    coordinator.feed_data(wire.encode_order(wire.Order(0, [], 0)))

    with pytest.raises(ExceptionGroup) as failed:
        await pod.serve(wire.Assignment(dsn, "pod-1", 0, 2, SETTINGS, NAMES, str(tmp_path)), coordinator)

    assert failed.group_contains(BrokenPipeError)
    assert within == [EXIT_WITHIN_SECONDS]


REPLY_WITHIN = timedelta(seconds=0.1)


class NotConnectedAtFirst(PendingStore):
    """A store whose pool has no connection for the first claim."""

    tries = 0

    async def claim(
        self, click: Click, *, lease: timedelta | None = None, lease_token: UUID | None = None
    ) -> Claim | Refusal:
        self.tries += 1
        if self.tries == 1:
            raise NotConnected("no connection of the pool was free")
        return await super().claim(click, lease=lease, lease_token=lease_token)


async def test_a_claim_that_is_between_two_tries_when_its_reply_is_due_counts_as_in_doubt(
    pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second try may win: a history in which nothing was done would have an answer that nobody gave."""
    monkeypatch.setattr(pod, "REPLY_WITHIN", REPLY_WITHIN)
    assignment = wire.Assignment("", "pod-1", 0, 2, SETTINGS, NAMES, str(tmp_path))
    file = HistoryFile(tmp_path / "pod-1.jsonl")
    recorder, source, gate = Recorder("pod-1", file), RecordingSource(pool), Gate()
    store, platform = NotConnectedAtFirst(source), platform_for(assignment, file, gate)
    worker = Worker(assignment, file, recorder, source, gate)
    bridge = InteractionBridge(RecordingStore(store, recorder), platform, worker, reply_within=REPLY_WITHIN)
    bridge.register(SCOPE.organization_id, SCOPE.connection_id)
    racing = pod.Pod(
        *(assignment, source, store, recorder, bridge, platform, worker, gate),
        Askers(assignment, file, recorder, store),
        Puts(assignment, source, store, bridge, platform),
        RacingStreams(assignment, source, gate),
    )
    await store.put("q", SCOPE, PAYLOAD)
    note = Note(PlannedOperation("q0.a", 0, OperationKind.CLAIM, "q", SCOPE, value="yes", delivery_key="key"))
    current_note.set(note)

    # The machine gives the pod no turn between the click and its claim, whose time begins after that of the reply.
    asyncio.get_running_loop().call_soon(time.sleep, 0.08)
    await racing._click_until_decided(note)
    await bridge.close()
    file.close()

    clicks = [each for each in read_pod(tmp_path / "pod-1.jsonl").operations if each.kind is OperationKind.CLAIM]
    assert clicks[0].outcome is Outcome.UNKNOWN
    # Of a machine that is busy right then the second click may be the one that wins.
    assert clicks[-1].outcome in (Outcome.OK, Outcome.REPEATED)
