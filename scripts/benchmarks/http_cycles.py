"""Cycles over HTTP: asked of a server, answered, and read; a pod of `serve` against the server of awaithumans."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import ExitStack, asynccontextmanager
from itertools import count
from statistics import median

import aiohttp

from pendingctl.payload import JsonObject

from .contenders import awaithumans
from .figures import Figure, Round, doing, in_turns, rate, ratio
from .served import TOKEN, Presses, ServedPod, served_pod, silent_slack
from .stage import SCOPE, YOUNG, Stage

_ROWS_BESIDE = 10_000
AT_ONCE = 8
_BEARER = {"Authorization": f"Bearer {TOKEN}"}
_WITHIN = aiohttp.ClientTimeout(total=30)

# Asks, answers and reads the question of this number.
Cycle = Callable[[int], Coroutine[object, object, None]]


def measure_http_cycles(stage: Stage, *, cycles: int, rounds: int, alone: bool) -> Iterator[Figure]:
    """Asked by POST, answered, and the answer read by GET: one cycle after the other, and eight at a time.

    A pod of `serve` takes the answer as a signed press of Slack's, and posts the card, edits it and replies, of which
    Slack is the cheapest imaginable. awaithumans is asked without a channel and answered by its own API, which is the
    least that it can do, and read once the answer is there: whoever waits meanwhile is looked for once a second there.
    It has a database of its own on the same server, and is installed unless the pod is to run `alone`.
    """
    doing("cycles over HTTP")
    stage.fill(_ROWS_BESIDE, YOUNG)
    with ExitStack() as ending:
        slack = ending.enter_context(silent_slack())
        pod = ending.enter_context(served_pod(stage, slack))
        other = None if alone else ending.enter_context(awaithumans(stage, TOKEN))
        yield from asyncio.run(_measured(pod, Presses(slack), other, cycles, rounds))


async def _measured(
    pod: ServedPod, presses: Presses, other: tuple[str, str] | None, cycles: int, rounds: int
) -> list[Figure]:
    figures = []
    numbers = count(1)
    async with client() as session:
        contenders = {"pod": cycle_of(session, pod, presses)}
        if other is not None:
            contenders["other"] = _cycle_of_awaithumans(session, other[1])

        def round_of(cycle: Cycle, at_once: int) -> Round:
            return lambda: run(cycle, numbers, cycles, at_once)

        for at_once in (1, AT_ONCE):
            turns = {name: round_of(cycle, at_once) for name, cycle in contenders.items()}
            measured = await in_turns(turns, rounds)
            name, unit, ours = f"asked, pressed, read by HTTP, {at_once} at a time", "cycles/s", measured["pod"]
            figures.append(
                Figure(name, unit, median(ours), "nothing: the other was not run", None, "ratio", None)
                if other is None
                else ratio(name, unit, other[0], ours, measured["other"], at_least=1.0)
            )
    return figures


async def run(cycle: Cycle, numbers: Iterator[int], cycles: int, at_once: int) -> float:
    """Run so many cycles and return how many a second that were."""
    ours = iter([next(numbers) for _ in range(cycles)])

    async def one_after_the_other() -> None:
        for number in ours:
            await cycle(number)

    return await rate(cycles, [one_after_the_other() for _ in range(at_once)])


@asynccontextmanager
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    """A client whose connections stay open."""
    async with aiohttp.ClientSession(timeout=_WITHIN, cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


def cycle_of(session: aiohttp.ClientSession, pod: ServedPod, presses: Presses) -> Cycle:
    """The cycle of a pod: any of them raises RuntimeError where the press has not won."""

    async def cycle(number: int) -> None:
        id = f"q-{number:010d}"
        asked: JsonObject = {
            "id": id,
            "connection_id": SCOPE.connection_id,
            "user_id": SCOPE.expected_user_id,
            "conversation_id": "C2",
            "text": "Deploy to production?",
            "options": ["yes", "no"],
        }
        stored = await _sent(session, "POST", f"{pod.url}/questions", asked)
        body = presses.body(id, ask_number=int(str(stored["ask_number"])))
        url = f"http://127.0.0.1:{pod.public_port}/slack"
        async with session.post(url, data=body, headers=presses.headers(body)) as reply:
            reply.raise_for_status()
        read = await _sent(session, "GET", f"{pod.url}/questions/{id}?wait=30")
        if read["outcome"] != "answered":
            raise RuntimeError(f"the answer of {id} was lost: {read}")

    return cycle


def _cycle_of_awaithumans(session: aiohttp.ClientSession, url: str) -> Cycle:
    async def cycle(number: int) -> None:
        asked: JsonObject = {
            "task": "Deploy to production?",
            "payload": {"text": "Deploy to production?"},
            "payload_schema": {"type": "object"},
            "response_schema": {"type": "object", "properties": {"answer": {"enum": ["yes", "no"]}}},
            "timeout_seconds": 3_600,
            "idempotency_key": f"cycle-{number}",
        }
        task = (await _sent(session, "POST", f"{url}/api/tasks", asked))["id"]
        answer: JsonObject = {"response": {"answer": "yes"}, "completed_by_email": "u1@example.com"}
        await _sent(session, "POST", f"{url}/api/tasks/{task}/complete", answer)
        read = await _sent(session, "GET", f"{url}/api/tasks/{task}/poll?timeout=25")
        if read["response"] != {"answer": "yes"}:
            raise RuntimeError(f"the answer of {task} was lost: {read}")

    return cycle


async def _sent(session: aiohttp.ClientSession, method: str, url: str, body: JsonObject | None = None) -> JsonObject:
    async with session.request(method, url, json=body, headers=_BEARER) as reply:
        if reply.status >= 400:
            raise RuntimeError(f"{method} {url} was answered {reply.status} {await reply.text()}")
        read: JsonObject = await reply.json()
        return read
