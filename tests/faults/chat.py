"""A chat platform behind a socket, which refuses, breaks off and falls silent as real ones do."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from enum import Enum, auto

from pendingctl import Card, NotPosted, Reminder
from pendingctl.platforms import MessageHandle
from tests.listener import Listener


class Behaviour(Enum):
    """What the platform does with a card."""

    SHOWS_IT = auto()
    SHOWS_IT_AND_HANGS_UP = auto()
    SHOWS_IT_AND_FALLS_SILENT = auto()
    FALLS_SILENT = auto()
    IS_BUSY = auto()


class Chat:
    """What people see: the keys of the cards, and what was edited, by the number of the card's message."""

    def __init__(self) -> None:
        self.port = 0
        self.cards: list[str] = []
        self.edits: list[tuple[int, str]] = []
        self.reminders: list[str] = []
        self.posts = 0
        self.behaviour = Behaviour.SHOWS_IT
        self.retry_after = timedelta(minutes=7)
        self._listener = Listener(self._answer)
        self._kept: socket.socket | None = None

    async def start(self) -> None:
        """Answer again, under the same port."""
        self._give_up_port()
        self.port = await self._listener.start(self.port)

    async def stop(self) -> None:
        """Refuse connections from now on, and keep the port: anybody else's connection could be from it."""
        await self._listener.stop()
        self._give_up_port()
        self._kept = socket.socket()
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._kept.bind(("127.0.0.1", self.port))

    async def close(self) -> None:
        """Be gone."""
        await self._listener.stop()
        self._give_up_port()

    def _give_up_port(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = json.loads(await reader.readline())
            reply = await self._do(request)
            if reply is not None:
                writer.write(json.dumps(reply).encode() + b"\n")
                await writer.drain()
        finally:
            writer.transport.abort()

    async def _do(self, request: dict[str, str]) -> dict[str, float | None] | None:
        key = request["key"]
        match request["do"]:
            case "find":
                return {"number": self.cards.index(key) if key in self.cards else None}
            case "edit":
                self.edits.append((int(request["number"]), request["shows"]))
                return {}
            case "remind":
                self.reminders.append(request["user"])
                return {}
        self.posts += 1
        if self.behaviour is Behaviour.IS_BUSY:
            return {"retry_after": self.retry_after.total_seconds()}
        if self.behaviour is not Behaviour.FALLS_SILENT:
            self.cards.append(key)
        if self.behaviour in (Behaviour.FALLS_SILENT, Behaviour.SHOWS_IT_AND_FALLS_SILENT):
            await asyncio.Event().wait()
        return None if self.behaviour is Behaviour.SHOWS_IT_AND_HANGS_UP else {"number": len(self.cards) - 1}


@asynccontextmanager
async def running_chat() -> AsyncIterator[Chat]:
    """A platform that shows what is posted to it."""
    chat = Chat()
    await chat.start()
    try:
        yield chat
    finally:
        await chat.close()


class ChatClient:
    """An adapter of it, which can neither find a card nor post one by its key."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def post_card(self, connection_id: str, card: Card) -> MessageHandle:  # noqa: ARG002
        reply = await self._call(do="post", key=card.key)
        if "retry_after" in reply:
            raise NotPosted("ratelimited", retry_after=timedelta(seconds=reply["retry_after"] or 0))
        return reply["number"]

    async def edit_card(self, connection_id: str, handle: MessageHandle, card: Card) -> None:  # noqa: ARG002
        await self._call(do="edit", key=card.key, number=str(handle), shows=card.shows)

    async def post_reminder(self, connection_id: str, handle: MessageHandle, reminder: Reminder) -> None:  # noqa: ARG002
        await self._call(do="remind", key="", user=reminder.user_id)

    async def _call(self, **request: str) -> dict[str, float | None]:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except ConnectionRefusedError as error:
            raise NotPosted(str(error)) from error
        try:
            writer.write(json.dumps(request).encode() + b"\n")
            line = await reader.readline()
        finally:
            writer.close()
        if not line:
            raise ConnectionResetError("the platform has hung up")
        reply: dict[str, float | None] = json.loads(line)
        return reply


class FindingChatClient(ChatClient):
    """One that can look for a card."""

    async def find_card(self, connection_id: str, card: Card) -> MessageHandle | None:  # noqa: ARG002
        return (await self._call(do="find", key=card.key))["number"]
