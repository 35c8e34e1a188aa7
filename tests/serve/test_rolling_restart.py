"""Pods that are stopped: one after the other under clicks, and each by itself."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from contextlib import AsyncExitStack

import httpx
import pytest

from pendingctl.demo.faults import Fault
from pendingctl.demo.presses import Delivery, Seen
from pendingctl.inspected import State
from pendingctl.pod.delivery import LEASE

from .clients import PATIENCE
from .conftest import Deployment
from .crowds import crowd_of
from .pods import ServedPod, configuration

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="module")]

# A delay that lasts longer than any test waits for.
NEVER = {"delay": "60s", "within": "70s"}
# What a pod says of work that it has not done when it ends.
LEFT = re.compile("cut off|given up|leases have run out|not replied to")


@pytest.mark.law(1, 6, 7)
@pytest.mark.parametrize("questions", [60, pytest.param(150, marks=pytest.mark.long)])
async def test_both_pods_are_replaced_under_fifty_clicks_a_second_and_nobody_notices(
    shared: Deployment, questions: int
) -> None:
    crowd = await crowd_of(shared, f"rolling-{questions}", questions)
    over = asyncio.Event()
    codes: list[int] = []

    async with AsyncExitStack() as stack:
        first, second = [await stack.enter_async_context(shared.further()) for _ in range(2)]
        shared.balancer.targets[:] = [first.target, second.target]

        async def roll() -> None:
            try:
                for old in (first, second):
                    seen = len(crowd.presses)
                    await shared.slack.until(lambda seen=seen: len(crowd.presses) > seen + 50)  # type: ignore[misc]
                    codes.append(await old.stop())
                    new = await stack.enter_async_context(shared.further())
                    shared.balancer.targets.remove(old.target)
                    shared.balancer.targets.append(new.target)
            finally:
                over.set()

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(roll())
                group.create_task(crowd.press(per_second=50, while_=lambda: not over.is_set()))
        finally:
            shared.balancer.targets[:] = [shared.a.target, shared.b.target]
        await crowd.check()

    assert codes == [0, 0]
    # Nothing that they had to do was given up or cut off at the end of their time. (A claim that had to be tried again
    # is a warning as well.)
    warned = [line for old in (first, second) for line in old.lines if line["level"] != "INFO"]
    assert not [line for line in warned if line["level"] != "WARNING" or LEFT.search(str(line["message"]))]
    assert len(crowd.presses) >= 3 * questions


@pytest.mark.law(7)
async def test_a_stopped_pod_is_unready_at_once_and_takes_clicks_until_its_delay_is_over(shared: Deployment) -> None:
    card = await shared.shown(shared.a, "delay")
    async with shared.further(_stopping(shared, **NEVER)) as pod:
        pod.process.send_signal(signal.SIGTERM)
        body = await _unready(pod)
        assert (body["ready"], body["draining"]) == (False, True)

        pressed = await shared.slack.press("U1", card, "yes", to=pod.slack_url)
        assert (await shared.slack.reply_to(pressed)).text == "You answered: yes"
        await shared.delivered_once("delay", "yes")
        # Instead of the rest of its delay.
        assert await pod.stop() == 128 + signal.SIGTERM
        late = await shared.slack.press("U1", card, "no", to=pod.slack_url, from_copy=card)

    assert pressed.seen is Seen.ACKNOWLEDGED
    assert (late.seen, late.status) == (Seen.FAILED, None)


async def test_a_pod_stopped_at_a_terminal_does_not_wait_for_a_balancer(shared: Deployment) -> None:
    async with shared.further(_stopping(shared, **NEVER)) as pod:
        assert await pod.stop(signal.SIGINT) == 0


@pytest.mark.law(7)
async def test_a_press_that_is_under_way_when_the_listener_closes_is_answered(shared: Deployment) -> None:
    card = await shared.shown(shared.a, "under-way")
    async with shared.further(_stopping(shared)) as pod:
        delivery = shared.slack.delivery("U1", card, "yes")
        reader, writer = await asyncio.open_connection("127.0.0.1", pod.public_port)
        # Of a head more comes in time than of a body, for which Slack's requests have 2 s.
        head = _head(delivery)
        writer.write(head[:-2])
        await writer.drain()
        # Without the delay, in which it would be accepted as ever.
        pod.process.send_signal(signal.SIGINT)
        await _refuses(pod.public_port)

        writer.write(head[-2:] + delivery.body)
        async with asyncio.timeout(PATIENCE):
            status = (await reader.readline()).split()[1]
        writer.close()

        assert status == b"200"
        assert (await shared.slack.reply_to(delivery)).text == "You answered: yes"
        async with asyncio.timeout(PATIENCE):
            assert await pod.process.wait() == 0
    await shared.delivered_once("under-way", "yes")


@pytest.mark.law(7)
async def test_a_pod_ends_only_when_its_replies_are_sent(shared: Deployment) -> None:
    card = await shared.shown(shared.a, "replying")
    async with shared.further(_stopping(shared)) as pod:
        # Slack's slow first reply fails at last, and the ephemeral post takes over.
        shared.slack.fail("response_url", Fault(status=500, seconds=1.5))
        pressed = await shared.slack.press("U1", card, "yes", to=pod.slack_url)
        assert await pod.stop(signal.SIGINT) == 0
        assert [reply.text for reply in shared.slack.replies_to(pressed)] == ["You answered: yes"]


async def test_a_second_signal_ends_a_pod_at_once(shared: Deployment) -> None:
    async with shared.further(_stopping(shared, **NEVER)) as pod:
        pod.process.send_signal(signal.SIGTERM)
        await _unready(pod)
        assert await pod.stop() == 128 + signal.SIGTERM


@pytest.mark.law(6)
async def test_what_a_stopped_pod_cannot_deliver_another_has_before_the_end_of_its_lease(shared: Deployment) -> None:
    card = await shared.shown(shared.a, "given-back")
    await shared.noted("given-back")
    shared.worker.hold("given-back")
    async with shared.further(_stopping(shared, within="5s")) as pod:
        await shared.slack.press("U1", card, "yes", to=pod.slack_url)
        await shared.worker.until(lambda: len(shared.worker.delivered("given-back")) == 1)
        # The worker is waited for for 15 s otherwise.
        async with asyncio.timeout(14):
            assert await pod.stop() == 0

        row = await shared.row("given-back", lambda row: row.state is State.CLAIMED, within=LEASE.total_seconds() / 2)

    assert row.answer == "yes"
    await shared.delivered_once("given-back", "yes")
    assert len(shared.worker.delivered("given-back")) == 2


async def test_whoever_waits_for_an_answer_is_let_go_when_the_pod_stops(shared: Deployment) -> None:
    await shared.shown(shared.a, "waited-for")
    async with shared.further(_stopping(shared)) as pod:
        waiting = asyncio.ensure_future(shared.read(pod, "waited-for", wait=30))
        # Asked later, and answered: the other waits by then, and would be let go as well if it came now.
        await shared.read(pod, "waited-for")
        assert await pod.stop(signal.SIGINT) == 0
        reply = await waiting
    assert (reply.status_code, reply.json()["outcome"]) == (200, None)


def _stopping(shared: Deployment, *, delay: str = "1s", within: str = "8s") -> str:
    return configuration(slack_url=shared.slack.url, worker_url=shared.worker.url, delay=delay, within=within)


async def _unready(pod: ServedPod) -> dict[str, object]:
    """What /readyz says once it is unready."""
    async with asyncio.timeout(PATIENCE), httpx.AsyncClient(timeout=PATIENCE) as client:
        while (reply := await client.get(f"{pod.url}/readyz")).status_code == 200:  # noqa: ASYNC110 (another process)
            await asyncio.sleep(0.01)
    body = json.loads(reply.text)
    assert isinstance(body, dict)
    return body


async def _refuses(port: int) -> None:
    """Return once no connection is accepted any more."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            writer.close()
            await asyncio.sleep(0.01)


def _head(delivery: Delivery) -> bytes:
    lines = [f"{name}: {value}" for name, value in delivery.headers.items()]
    return "\r\n".join(
        ["POST /slack HTTP/1.1", "Host: pod", f"Content-Length: {len(delivery.body)}", *lines, "", ""]
    ).encode()
