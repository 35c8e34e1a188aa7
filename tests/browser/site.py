"""A web site: an empty page, the client's file, and whatever a test answers elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

CLIENT = "/static/stream_client.js"
READERS = Path(__file__).with_name("readers.js")


@dataclass
class Site:
    """The application, an ASGI one; `answers` are by path, and get what no file has."""

    port: int = 0
    answers: dict[str, ASGIApp] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def other_origin(self) -> str:
        """The same site by another name, which makes it another origin."""
        return f"http://localhost:{self.port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if path in self.answers:
            await self.answers[path](scope, receive, send)
        elif path == "/":
            await respond(send, 200, "text/html", b"<!doctype html><title>A page</title>")
        elif path == CLIENT:
            await respond(
                send, 200, "text/javascript", files("pendingctl.sse").joinpath("stream_client.js").read_bytes()
            )
        elif path == "/readers.js":
            await respond(send, 200, "text/javascript", READERS.read_bytes())
        else:
            await respond(send, 404, "text/plain", b"")


async def respond(send: Send, status: int, type: str, *parts: bytes) -> None:
    """Send a response, whose parts arrive one after the other."""
    await begin(send, status, type)
    for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def begin(send: Send, status: int, type: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
    """Send the head of a response."""
    all_headers = [(b"content-type", type.encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": all_headers})
