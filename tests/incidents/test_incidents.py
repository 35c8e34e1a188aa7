"""What people are called for at night: real pods get into it, one command names the cause, and its remedy works."""

from __future__ import annotations

import asyncio
import json
import shlex
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest

from pendingctl import AskOutcome, Delivery, HttpSink, InteractionBridge, NotPosted, PendingStore, ReplyKind, State
from tests.deliveries import Worker, claimed, run_out, until, until_error, until_state
from tests.http_worker import working
from tests.pod.test_dead_pods import POD
from tests.pods import QUESTION, Pod, failing, nothing
from tests.questions import PAYLOAD, SCOPE, age

pytestmark = pytest.mark.usefixtures("patient")


@dataclass(frozen=True)
class Ended:
    """What a command has printed, and its exit code."""

    exit_code: int
    output: str


async def run(dsn: str, *arguments: str) -> Ended:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pendingctl", *arguments, "--dsn", dsn),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        output, _ = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, output.decode())


@dataclass(frozen=True)
class Cause:
    """What why says."""

    verdict: str
    sentence: str
    remedies: list[str]

    @property
    def command(self) -> list[str]:
        """The arguments of the one remedy that changes something."""
        commands = [remedy[remedy.index("pendingctl ") :] for remedy in self.remedies if "pendingctl " in remedy]
        (command,) = [each for each in commands if each.split()[1] in ("redeliver", "repair-cards", "withdraw")]
        return shlex.split(command)[1:]


async def why(dsn: str, *arguments: str) -> Cause:
    found = json.loads((await run(dsn, "why", *arguments, "-o", "json")).output)
    return Cause(found["verdict"], found["finding"], found["remedies"])


def living(store: PendingStore) -> Pod:
    """A pod whose clock goes, by which it writes the clicks down that it has refused."""
    pod = Pod(store)
    pod.bridge = InteractionBridge(store, pod.platform, pod.handle, reply_within=timedelta(minutes=1))
    pod.bridge.register("acme", "slack")
    return pod


async def until_why(dsn: str, holds: Callable[[Cause], bool]) -> Cause:
    """What why says of the question once it says that, within seconds."""
    for _ in range(100):
        if holds(cause := await why(dsn, "q")):
            return cause
        await asyncio.sleep(0.1)
    raise TimeoutError(cause.sentence)


async def test_a_pod_died_after_the_claim(
    store: PendingStore, dsn: str, connection: psycopg.Connection, tmp_path: Path
) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    pod = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", POD, dsn, "claimed", str(tmp_path / "worker")), stdout=asyncio.subprocess.PIPE
    )
    assert pod.stdout is not None
    async with asyncio.timeout(60):
        await pod.stdout.readline()
    pod.send_signal(signal.SIGKILL)
    await pod.wait()

    died = await until_why(dsn, lambda cause: "its lease ran out" in cause.sentence)
    connection.execute("update pending_interactions set delivery_due_at = delivery_due_at - interval '10 min'")
    alone = await why(dsn, "q")

    assert (died.verdict, alone.verdict) == ("warn", "fail")
    assert "died after the claim, or was cut off" in died.sentence
    assert "died after the claim" in alone.sentence
    assert "it has been due for" in alone.sentence
    assert alone.remedies[0] == "start its pods, or see why they fail: PendingStore(pool, application='')"
    async with Delivery(store, Worker()):
        await until_state(store, State.CLAIMED)
    assert (await why(dsn, "q")).sentence.startswith("nothing is wrong: it was answered by U1")


async def test_the_worker_answers_500(store: PendingStore, dsn: str, connection: psycopg.Connection) -> None:
    leased = await claimed(store)
    assert await store.leases.release(leased)
    async with working(*["500 Internal Server Error"] * 2) as worker, HttpSink(worker.url, secret=b"s" * 24) as sink:
        # Once, however late the pod is closed.
        async with Delivery(store, sink, first_delay=timedelta(hours=1)):
            await until_error(store)
        cause = await why(dsn, "q")
        run_out(connection)
        async with Delivery(store, sink, most_attempts=1):
            await until_state(store, State.STUCK)
        stuck = await why(dsn, "q")
        async with Delivery(store, sink):
            # The worker is mended by now.
            worker.reply = _takes_it
            assert (await run(dsn, *stuck.command, "--yes")).exit_code == 0
            await until_state(store, State.CLAIMED)

    assert (cause.verdict, stuck.verdict) == ("warn", "fail")
    assert "the worker fails: 1 attempt so far" in cause.sentence
    assert "500" in cause.sentence
    assert "the worker has not taken that" in stuck.sentence
    assert (await why(dsn, "q")).verdict == "ok"


async def _takes_it(writer: asyncio.StreamWriter, number: int) -> bool:
    del number
    writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
    await writer.drain()
    return False


async def test_the_wrong_user_clicks(store: PendingStore, dsn: str) -> None:
    pod = living(store)
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e")
        for press in range(3):
            assert await pod.click(f"key-{press}", user="U2") is ReplyKind.NOT_YOURS
        cause = await until_why(dsn, lambda cause: "U2 pressed 3 times" in cause.sentence)
        of_user = await why(dsn, "--user", "U2")
        assert (await run(dsn, *cause.command, "--yes")).exit_code == 0
        assert await pod.click(user="U1") is ReplyKind.WITHDRAWN

    assert "it asks U1, and somebody else pressed" in cause.sentence
    assert "U2 pressed 3 times on q, which asks U1" in of_user.sentence
    assert "pendingctl why q" in of_user.remedies
    assert "it was withdrawn" in (await why(dsn, "q")).sentence


async def test_a_question_was_swept(store: PendingStore, dsn: str, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    age(connection, hours=25)
    assert (await run(dsn, "sweep", "--yes")).exit_code == 0

    cause = await why(dsn, "q")

    assert cause.verdict == "warn"
    assert "it was swept" in cause.sentence
    assert "nobody had answered" in cause.sentence
    assert cause.remedies == ["ask the question again; with expires_in and default it ends by itself"]
    pod = living(store)
    async with pod.bridge:
        assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.POSTED
        assert await pod.click() is ReplyKind.ANSWERED


async def test_a_card_is_not_edited(store: PendingStore, dsn: str, connection: psycopg.Connection) -> None:
    pod = living(store)
    pod.platform.before_edit = failing(ConnectionError("the platform is down"))
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e")
        await until_noted(connection)
        assert await pod.click() is ReplyKind.ANSWERED
        cause = await until_card_is_behind(dsn, connection)
        pod.platform.before_edit = nothing
        assert (await run(dsn, *cause.command, "--yes")).exit_code == 0
        await until(lambda: len(pod.platform.edits) > 0)
        mended = await until_why(dsn, lambda cause: cause.verdict == "ok")

    assert cause.verdict == "warn"
    assert "but its card still shows the buttons" in cause.sentence
    assert "nothing is wrong" in mended.sentence


async def until_noted(connection: psycopg.Connection) -> None:
    for _ in range(500):
        if connection.execute("select from pending_interactions where posted_at is null").fetchone() is None:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError


async def until_card_is_behind(dsn: str, connection: psycopg.Connection) -> Cause:
    """Let the time pass between the attempts of the pods, of which the first one may be the click's own."""
    for _ in range(50):
        if "but its card still shows" in (cause := await why(dsn, "q")).sentence:
            return cause
        connection.execute("update pending_interactions set card_due_at = now() where card_due_at > now()")
        await asyncio.sleep(0.3)
    raise TimeoutError(cause.sentence)


async def test_a_platform_delivers_a_press_again_and_again(store: PendingStore, dsn: str) -> None:
    pod = living(store)
    async with pod.bridge:
        await pod.bridge.ask(QUESTION, event_id="e")
        for _ in range(6):
            assert await pod.click() is ReplyKind.ANSWERED
        await until(lambda: bool(pod.answers))
        cause = await until_why(dsn, lambda cause: "delivered again 5 times" in cause.sentence)

    assert cause.verdict == "warn"
    assert "replies reach it too late or not at all" in cause.sentence
    assert "pendingctl doctor" in cause.remedies[0]
    assert len(pod.answers) == 1
    # Nothing is in the way of the database, so the replies are lost between the pod and the platform.
    doctor = await run(dsn, "doctor")
    assert (doctor.exit_code, "ok       locks" in doctor.output) == (0, True)


async def test_a_card_was_never_posted(store: PendingStore, dsn: str) -> None:
    pod = living(store)
    pod.platform.before_card = failing(NotPosted("no such channel", is_permanent=True))
    async with pod.bridge:
        assert await pod.bridge.ask(QUESTION, event_id="e") is AskOutcome.NOT_POSTED
        cause = await why(dsn, "q")
        pod.platform.before_card = nothing
        assert (await run(dsn, *cause.command, "--yes")).exit_code == 0
        await until(lambda: len(pod.platform.cards) > 0)
        assert await pod.click() is ReplyKind.ANSWERED

    assert cause.verdict == "fail"
    assert "its card could not be posted, and nobody sees the question" in cause.sentence
    assert "no such channel" in cause.sentence


async def test_no_pod_serves_the_connection(store: PendingStore, dsn: str, connection: psycopg.Connection) -> None:
    await store.put("q", SCOPE, PAYLOAD, show=True)
    connection.execute("update pending_interactions set post_due_at = now() - interval '10 min'")

    cause = await why(dsn, "q")

    assert cause.verdict == "fail"
    assert "its card has been due for 10 min" in cause.sentence
    assert "and nobody posts it: no live pod of application '' seems to serve acme/slack" in cause.sentence
    assert "and that it registers acme/slack" in cause.remedies[0]
    pod = living(store)
    async with pod.bridge:
        await until(lambda: len(pod.platform.cards) > 0)
