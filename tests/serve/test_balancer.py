"""The balancer of the demo and the tests: a connection that one pod refuses another has."""

from __future__ import annotations

import asyncio

from pendingctl.demo.balancer import Balancer, Target
from tests.listener import Listener, reserved_port

from .clients import PATIENCE


async def test_whatever_a_dead_pod_refuses_another_has_however_many_come_at_once() -> None:
    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"here")
        await writer.drain()

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        try:
            return await reader.read()
        finally:
            writer.close()

    with reserved_port() as dead:
        pod = Listener(greet)
        # That the other one is dead it has not seen yet.
        balancer = Balancer([Target(dead, ""), Target(await pod.start(), "")])
        server = await asyncio.start_server(balancer.accept, "127.0.0.1", 0)
        try:
            async with asyncio.timeout(PATIENCE):
                replies = await asyncio.gather(*(ask() for _ in range(30)))
        finally:
            server.close()
            await balancer.close()
            await pod.stop()

    assert replies == [b"here"] * 30
