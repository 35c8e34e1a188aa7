"""A Slack that takes everything and shows nothing, so that it costs next to nothing beside what is measured.

Run by `served.py`: it prints its port, and ends with its standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
from itertools import count

_messages = count(1)
_TEAM = {"ok": True, "team_id": "T1", "user_id": "U0BOT", "bot_id": "B1", "bot_user_id": "U0BOT", "url": ""}


class _Slack(asyncio.Protocol):
    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, ended, body = self._received.partition(b"\r\n\r\n")
        if not ended:
            return
        _, _, length = head.lower().partition(b"\r\ncontent-length:")
        if length and len(body) < int(length.split(b"\r\n", 1)[0]):
            return
        self._received = b""
        reply = json.dumps(_reply(head.split(b" ", 2)[1])).encode()
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(reply), reply)
        )


def _reply(path: bytes) -> dict[str, object]:
    if path == b"/api/auth.test":
        return _TEAM
    if path == b"/api/chat.postMessage":
        return {"ok": True, "channel": "C2", "ts": f"1700000000.{next(_messages):06d}"}
    return {"ok": True}


async def _main() -> None:
    server = await asyncio.get_running_loop().create_server(_Slack, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
