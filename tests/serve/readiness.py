"""What a pod says of itself at /readyz."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from .clients import PATIENCE
from .pods import ServedPod


@dataclass(frozen=True)
class Ready:
    status: int
    database: str
    schema: str


async def readiness(pod: ServedPod, condition: Callable[[Ready], bool], *, within: float = PATIENCE) -> Ready:
    """What /readyz says, once it meets a condition. Raises TimeoutError."""
    async with asyncio.timeout(within), httpx.AsyncClient(timeout=within) as client:
        while True:
            reply = await client.get(f"{pod.url}/readyz")
            body = reply.json()
            if condition(ready := Ready(reply.status_code, body["database"], body["schema"])):
                return ready
            await asyncio.sleep(0.05)
