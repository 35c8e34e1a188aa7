"""Requests at a fixed rate, whatever the replies take, on connections that stay open.

Run by `presses.py`. For each line, a JSON object with the `ports` that take turns, the `rate` and a file of `requests`,
it sends them and prints what that took. A reply's time counts from when its request was to be sent: were it counted
from when it was sent, a server that holds the sender up would hide what it does to those that come meanwhile.
"""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections import Counter, deque
from pathlib import Path

# A pod that needs more of them at a time is far behind.
_CONNECTIONS = 64
_FIRST_SECONDS = 0.2
_LONGEST_SECONDS = 60.0


class _Client(asyncio.Protocol):
    """A connection, on which one request is under way at a time."""

    def __init__(self, target: _Target) -> None:
        self._target = target
        self._received = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, request: bytes, due: float) -> None:
        self._due = due
        self._transport.write(request)

    def close(self) -> None:
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, ended, body = self._received.partition(b"\r\n\r\n")
        if not ended:
            return
        _, _, length = head.lower().partition(b"content-length:")
        if len(body) < int(length.split(b"\r\n", 1)[0]):
            return
        self._received = b""
        self._target.replied(self, head[9:12].decode(), self._due)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's)
        self._target.lost(self)


class _Target:
    """A server: the connections to it that are idle, and the requests that wait for one."""

    def __init__(self, port: int, run: _Run) -> None:
        self._port = port
        self._run = run
        self._idle: deque[_Client] = deque()
        self._waiting: deque[tuple[bytes, float]] = deque()

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(_CONNECTIONS):
            _, client = await loop.create_connection(lambda: _Client(self), "127.0.0.1", self._port)
            self._idle.append(client)

    def send(self, request: bytes, due: float) -> None:
        self._run.late.append(time.perf_counter() - due)
        if self._idle:
            self._idle.popleft().send(request, due)
        else:
            self._waiting.append((request, due))

    def replied(self, client: _Client, status: str, due: float) -> None:
        self._run.replied(status, due)
        if self._waiting:
            client.send(*self._waiting.popleft())
        else:
            self._idle.append(client)

    def lost(self, client: _Client) -> None:
        if client not in self._idle:
            self._run.ended.set()
        else:
            self._idle.remove(client)

    def close(self) -> None:
        for client in list(self._idle):
            client.close()


class _Run:
    """One load, from the first request to the last reply."""

    def __init__(self, requests: list[bytes]) -> None:
        self._requests = requests
        self.statuses = Counter[str]()
        self.seconds: list[float] = []
        self.late: list[float] = []
        self.ended = asyncio.Event()

    def replied(self, status: str, due: float) -> None:
        self.seconds.append(time.perf_counter() - due)
        self.statuses[status] += 1
        if len(self.seconds) == len(self._requests):
            self.ended.set()

    async def run(self, ports: list[int], rate: float) -> dict[str, object]:
        targets = [_Target(port, self) for port in ports]
        for target in targets:
            await target.connect()
        loop = asyncio.get_running_loop()
        gc.collect()
        gc.disable()
        cpu, first = time.process_time(), _FIRST_SECONDS
        now, began = loop.time(), time.perf_counter()
        for n, request in enumerate(self._requests):
            target, after = targets[n % len(targets)], first + n / rate
            loop.call_at(now + after, target.send, request, began + after)
        async with asyncio.timeout(_LONGEST_SECONDS + len(self._requests) / rate):
            await self.ended.wait()
        spent, took = time.process_time() - cpu, time.perf_counter() - began
        gc.enable()
        for target in targets:
            target.close()
        return {
            "statuses": self.statuses,
            "p95": _p95(self.seconds),
            "late_p95": _p95(self.late),
            "own_cpu": spent / took,
        }


def _p95(values: list[float]) -> float:
    return sorted(values)[int(0.95 * len(values))]


def main() -> None:
    """Answer each line."""
    for line in sys.stdin:
        order = json.loads(line)
        requests = [each.encode("latin-1") for each in json.loads(Path(order["requests"]).read_text("ascii"))]
        print(json.dumps(asyncio.run(_run(requests, order["ports"], order["rate"]))), flush=True)


async def _run(requests: list[bytes], ports: list[int], rate: float) -> dict[str, object]:
    return await _Run(requests).run(ports, rate)


if __name__ == "__main__":
    main()
