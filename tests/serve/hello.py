"""An application for tests of its listener: it says hello, returns a body, and sends a large one."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

GET = b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n"
LAST_GET = b"GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST /echo HTTP/1.1\r\nHost: a\r\n"
BIG = 8 * 2**20


async def _hello(_: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


async def _echo(request: Request) -> Response:
    try:
        return Response(await request.body())
    except ClientDisconnect:
        return Response(status_code=400)


async def _big(_: Request) -> Response:
    return Response(b"x" * BIG)


APP = Starlette(
    routes=[
        Route("/hello", _hello, methods=["GET", "POST"]),
        Route("/echo", _echo, methods=["POST"]),
        Route("/big", _big),
    ]
)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged by uvicorn and asyncio; the listener itself may say that it cut a test's connection off."""
    return [record.getMessage() for record in caplog.records if not record.name.startswith("pendingctl")]
