"""Two pods behind one address, which are opened by tickets."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from pendingctl.events.model import StreamName
from pendingctl.sse.access import Authorized, Scope
from pendingctl.sse.tickets import Tickets, presented_by
from tests.events.writers import CHAT
from tests.faults.proxy import Proxy
from tests.sse.conftest import Pod
from tests.sse.event_source import PATIENCE, until

TICKETS = Tickets([b"a-stream-key-of-40-random-characters-...."])


def ticket(stream: StreamName = CHAT, *, seconds: float = 600) -> str:
    return TICKETS.sign(stream, datetime.now(UTC) + timedelta(seconds=seconds))


async def by_ticket(scope: Scope) -> Authorized | None:
    """What a ticket opens, at the path of its stream."""
    verified = [TICKETS.verify(each, datetime.now(UTC)) for each in presented_by(scope)]
    return next((each for each in verified if each and scope["path"] == f"/{each.stream.name}"), None)


@dataclass
class Pods:
    """All connections lead to `serving`, and to `other` once that has gone."""

    serving: Pod
    other: Pod
    proxy: Proxy
    port: int

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def url(self, **query: str) -> str:
        """The address of the chat, with a ticket unless the query has another."""
        return f"{self.origin}/chat?{urlencode({'ticket': ticket(), **query})}"

    async def kill(self) -> None:
        """Have the pod that serves be gone from one moment to the next."""
        self._change()
        await self.proxy.hang_up()
        await until(lambda: self.serving.app.clients == 0)

    async def drain(self) -> None:
        """Have the pod that serves end as it does at SIGTERM."""
        self._change()
        await self.serving.streams.drain()
        await self.serving.listening.close(within=PATIENCE)

    def go_away(self) -> None:
        """Have nothing be behind the address."""
        # Nobody may listen there without being root.
        self.proxy.port = 1

    def come_back(self) -> None:
        """Have the pod that serves be there again."""
        self.proxy.port = self.serving.listening.port

    def _change(self) -> None:
        self.proxy.port = self.other.listening.port
