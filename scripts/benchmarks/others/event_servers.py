"""Servers of event streams by several libraries, on one uvicorn, with the same events.

Run by `sse.py` with the name of a kind, by an interpreter that has its library, and with pendingctl in its path, which
reads the events for all of them. It reads a DSN and an organization, a line each, and prints the version of the library
and the port. All of them are on uvicorn but `serve`, which is `stream_app` at a listener of `pendingctl serve`. `fixed`
is no library: it answers each request with the same twenty events, which is the least that a server on uvicorn can do.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import asynccontextmanager
from importlib.metadata import version

import uvicorn

from pendingctl import open_pool
from pendingctl.events.model import Event, StreamName
from pendingctl.events.streams import Streams
from pendingctl.sse.access import Authorized
from pendingctl.sse.app import stream_app

HEAD = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"x-content-type-options", b"nosniff"),
]
# As long as those of the streams.
FIXED = b"".join(b"id: %d-5f5e1005f5e100\nevent: token\ndata: %s\n\n" % (number, b"x" * 86) for number in range(20))


def application(kind, streams, organization):
    """Return the name of the library with its version, and an application of it."""

    def name(scope):
        return StreamName(organization, scope["path"].rpartition("/")[2])

    async def events(scope):
        async for item in streams.subscribe(name(scope)):
            if isinstance(item, Event):
                yield item

    async def authorize(scope):
        return Authorized(name(scope))

    async def fixed(_, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": HEAD})
        await send({"type": "http.response.body", "body": FIXED, "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    def sse_starlette():
        from sse_starlette import EventSourceResponse, ServerSentEvent

        async def sent(scope):
            async for event in events(scope):
                yield ServerSentEvent(event.data, event=event.type, id=str(event.cursor), sep="\n")

        async def app(scope, receive, send):
            await EventSourceResponse(sent(scope))(scope, receive, send)

        return app

    def streaming_response():
        from starlette.responses import StreamingResponse

        async def sent(scope):
            async for event in events(scope):
                yield f"id: {event.cursor}\nevent: {event.type}\ndata: {event.data}\n\n"

        async def app(scope, receive, send):
            await StreamingResponse(sent(scope), media_type="text/event-stream")(scope, receive, send)

        return app

    match kind:
        case "sse-starlette":
            return f"sse-starlette {version('sse-starlette')}", sse_starlette()
        case "StreamingResponse":
            return f"Starlette {version('starlette')}, StreamingResponse", streaming_response()
        case "fixed":
            return f"uvicorn {version('uvicorn')}, {FIXED.count(b'event')} fixed events", fixed
    return f"pendingctl's {kind}", stream_app(streams, authorize)


@asynccontextmanager
async def by_serve(app):
    """Serve an application as `pendingctl serve` does, and return its port."""
    from pendingctl.serve.listeners import listen
    from pendingctl.serve.settings import Listener

    listening = await listen(app, Listener(host="127.0.0.1", port=0, base_path="", trusted_proxies=(), tls=None))
    yield listening.port
    await listening.close(within=0)


@asynccontextmanager
async def by_uvicorn(app):
    """Serve an application by uvicorn, and return its port."""
    config = uvicorn.Config(
        app, port=0, http="h11", loop="asyncio", ws="none", lifespan="off", log_level="warning", access_log=False
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 (nothing announces it)
        await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    serving.cancel()


async def main(kind, dsn, organization):
    """Serve until the input ends."""
    async with open_pool(dsn, max_size=4) as pool:
        streams = Streams(pool)
        name, app = application(kind, streams, organization)
        async with (by_serve if kind == "serve" else by_uvicorn)(app) as port:
            print(f"{name}\t{port}", flush=True)
            await asyncio.to_thread(sys.stdin.read)


asyncio.run(main(sys.argv[1], input(), input()))
