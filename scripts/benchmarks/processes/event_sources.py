"""Many clients of event streams over HTTP, as cheap as they can be: plain sockets, and requests made before.

Run by `sse.py`. It answers each line, a JSON object with the name of what to `do`:

- `open`: as many clients as there are `requests` in a file, a JSON array of texts, at a `port`; each is to get so many
  `events`. They come one after the other `over` so many seconds, at once where that is zero. Where `apart` is above
  zero all of them connect first, and send their requests so many seconds later. The answer says in how many `seconds`,
  from the first that connects, or sends, to the last that has its events; how many the `slowest` took of its own; and
  which share of a core this process took meanwhile.
- `receive`: each is to get so many `events` more. It says `counting` at once, and answers the next line.
- `end`: until the server has ended every response. It says `counting` at once, and answers the next line with when,
  by the clock that all processes of a machine share.
- `leave`: all clients close their connections.
"""

from __future__ import annotations

import errno
import json
import selectors
import socket
import sys
import time
from pathlib import Path

_AN_EVENT = b"\nevent: token\n"
_WITHIN_SECONDS = 60.0
# Clients that connect before what has come in is read.
_AT_ONCE = 32
_READ_BYTES = 256 * 1024
_NOT_CONNECTED_YET = frozenset({errno.EAGAIN, errno.ENOTCONN})


class _Client:
    __slots__ = ("began", "received", "request", "socket", "tail")

    def __init__(self, request: bytes) -> None:
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.request = request
        self.received = 0
        self.began = 0.0
        self.tail = b""


class _Clients:
    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._clients: list[_Client] = []
        self._expected = 0
        self._missing = 0
        self._ended = 0
        self._slowest = 0.0

    def open(self, requests: list[bytes], port: int, events: int, *, apart: float, over: float) -> dict[str, float]:
        self._clients = [_Client(request) for request in requests]
        self._expect(events)
        began, cpu = time.monotonic(), time.process_time()
        for place, client in enumerate(self._clients):
            client.began = began + over * place / len(requests)
            while (left := client.began - time.monotonic()) > 0:
                self._read(left)
            client.socket.connect_ex(("127.0.0.1", port))
            if not apart:
                self._send(client)
                if place % _AT_ONCE == 0:
                    self._read(0.0)
        if apart:
            time.sleep(apart)
            began, cpu = time.monotonic(), time.process_time()
            for client in self._clients:
                self._send(client)
        self._until_received(began)
        took = time.monotonic() - began
        return {"seconds": took, "slowest": self._slowest, "own_share": (time.process_time() - cpu) / took}

    def receive(self, events: int) -> dict[str, float]:
        began, cpu = time.monotonic(), time.process_time()
        self._expect(events)
        print("counting", flush=True)
        self._until_received(began)
        took = time.monotonic() - began
        return {"seconds": took, "own_share": (time.process_time() - cpu) / took}

    def end(self) -> dict[str, float]:
        print("counting", flush=True)
        until = time.monotonic() + _WITHIN_SECONDS
        while self._ended < len(self._clients) and time.monotonic() < until:
            self._read(0.1)
        if self._ended < len(self._clients):
            raise RuntimeError(f"{len(self._clients) - self._ended:,} responses were not ended")
        return {"at": time.monotonic()}

    def leave(self) -> dict[str, float]:
        for client in self._clients:
            self._close(client)
        self._clients = []
        self._ended = 0
        return {}

    def _expect(self, events: int) -> None:
        for client in self._clients:
            client.received = 0
        self._slowest = 0.0
        self._expected = events
        self._missing = len(self._clients) if events else 0

    def _until_received(self, began: float) -> None:
        while self._missing and not self._ended and time.monotonic() < began + _WITHIN_SECONDS:
            self._read(0.1)
        if self._missing or self._ended:
            raise RuntimeError(f"{self._missing:,} clients lack events, and {self._ended:,} responses have ended")

    def _send(self, client: _Client) -> None:
        try:
            client.socket.send(client.request)
        except OSError as error:
            if error.errno not in _NOT_CONNECTED_YET:
                raise
            self._selector.register(client.socket, selectors.EVENT_WRITE, client)
        else:
            self._selector.register(client.socket, selectors.EVENT_READ, client)

    def _read(self, seconds: float) -> None:
        for key, ready in self._selector.select(seconds):
            client: _Client = key.data
            if ready & selectors.EVENT_WRITE:
                self._selector.unregister(client.socket)
                self._send(client)
                continue
            try:
                data = client.socket.recv(_READ_BYTES)
            except OSError:
                data = b""
            if not data:
                self._ended += 1
                self._close(client)
                continue
            data = client.tail + data
            client.tail = data[1 - len(_AN_EVENT) :]
            before = client.received
            client.received += data.count(_AN_EVENT)
            if before < self._expected <= client.received:
                self._missing -= 1
                self._slowest = max(self._slowest, time.monotonic() - client.began)

    def _close(self, client: _Client) -> None:
        if client.socket.fileno() >= 0:
            self._selector.unregister(client.socket)
            client.socket.close()


def main() -> None:
    """Answer each line."""
    clients = _Clients()
    for line in sys.stdin:
        order = json.loads(line)
        match order["do"]:
            case "open":
                requests = [each.encode("latin-1") for each in json.loads(Path(order["requests"]).read_text("ascii"))]
                said = clients.open(requests, order["port"], order["events"], apart=order["apart"], over=order["over"])
            case "receive":
                said = clients.receive(order["events"])
                sys.stdin.readline()
            case "end":
                said = clients.end()
                sys.stdin.readline()
            case _:
                said = clients.leave()
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
