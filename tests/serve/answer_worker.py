"""The worker of a deployment, which takes each answer as the test wants it to."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.http_worker import HttpWorker, Request
from tests.listener import Listener, reserved_port

from .clients import PATIENCE


@dataclass(frozen=True)
class Delivered:
    """One request: the answer that it brought, under which key, and at which attempt."""

    question_id: str
    value: str | None
    outcome: str
    attempt: int
    key: str


class AnswerWorker(HttpWorker):
    """Takes answers at `url`, and replies 204 unless the test has it fail."""

    def __init__(self, port: int) -> None:
        super().__init__(self._take)
        self._heads: defaultdict[str, list[str]] = defaultdict(list)
        self._held: dict[str, asyncio.Event] = {}
        self._listener = Listener(self.serve)
        self._port = port
        self.url = f"http://127.0.0.1:{port}/answers"
        self._changed = asyncio.Condition()

    def fail(self, question_id: str, *heads: str) -> None:
        """Reply to the next requests about a question with these heads, as in `500 Internal Server Error`."""
        self._heads[question_id] += heads

    def hold(self, question_id: str) -> asyncio.Event:
        """Keep the next request about a question waiting until the event is set, or its client is gone."""
        return self._held.setdefault(question_id, asyncio.Event())

    async def come_up(self) -> None:
        """Accept connections, again on the same port."""
        await self._listener.start(self._port)

    async def go_down(self) -> None:
        """Refuse connections."""
        await self._listener.stop()

    def delivered(self, question_id: str) -> list[Delivered]:
        """The requests about a question, in order."""
        return [each for each in map(_delivered, self.requests) if each.question_id == question_id]

    async def until(self, condition: Callable[[], bool], *, within: float = PATIENCE) -> None:
        """Wait until what was delivered meets a condition, which is looked at at each request. Raises TimeoutError."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(condition)

    async def _take(self, writer: asyncio.StreamWriter, number: int) -> bool:
        question_id = _delivered(self.requests[number - 1]).question_id
        async with self._changed:
            self._changed.notify_all()
        held = self._held.pop(question_id, None)
        if held is not None:
            await held.wait()
        heads = self._heads[question_id]
        head = heads.pop(0) if heads else "204 No Content"
        writer.write(f"HTTP/1.1 {head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode("latin-1"))
        await writer.drain()
        return False


def _delivered(request: Request) -> Delivered:
    body = json.loads(request.body)
    return Delivered(
        question_id=body["question_id"],
        value=body["value"],
        outcome=body["outcome"],
        attempt=body["attempt"],
        key=request.headers["idempotency-key"],
    )


@asynccontextmanager
async def taking_answers() -> AsyncIterator[AnswerWorker]:
    """A worker that takes answers."""
    with reserved_port() as port:
        worker = AnswerWorker(port)
        await worker.come_up()
        try:
            yield worker
        finally:
            await worker.go_down()
