"""A reader of server-sent events, written after the HTML standard (section 9.2.6), and a connection that reads them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

PATIENCE = 20.0


@dataclass(frozen=True)
class Dispatched:
    """What a page is given: `id` is the last id that the stream has named."""

    id: str
    type: str
    data: str


@dataclass
class EventSource:
    """Takes the bytes of a response as they come; `dispatched` are its events so far."""

    dispatched: list[Dispatched] = field(default_factory=list)
    last_event_id: str = ""
    retry: int | None = None
    comments: int = 0
    _text: str = ""
    _bytes: bytes = b""
    _id: str = ""
    _type: str = ""
    _data: str = ""

    def take(self, data: bytes) -> None:
        """Take bytes that end with a line."""
        self._bytes += data
        if not self._bytes.endswith((b"\n", b"\r")):
            return
        text, self._bytes = self._bytes.decode(), b""
        lines = re.split("\r\n|\n|\r", text)
        assert lines.pop() == ""
        for line in lines:
            self._line(line)

    def forget_what_was_cut_off(self) -> None:
        """Be as before an event whose end has not come."""
        self._bytes, self._id, self._type, self._data = b"", self.last_event_id, "", ""

    def _line(self, line: str) -> None:
        if not line:
            self._dispatch()
        elif line.startswith(":"):
            self.comments += 1
        else:
            name, _, value = line.partition(":")
            self._field(name, value.removeprefix(" "))

    def _field(self, name: str, value: str) -> None:
        match name:
            case "event":
                self._type = value
            case "data":
                self._data += value + "\n"
            case "id":
                if "\0" not in value:
                    self._id = value
            case "retry":
                if re.fullmatch("[0-9]+", value):
                    self.retry = int(value)
            case _:
                raise AssertionError(f"there is no field {name!r}")

    def _dispatch(self) -> None:
        self.last_event_id = self._id
        if self._data:
            self.dispatched.append(Dispatched(self._id, self._type or "message", self._data.removesuffix("\n")))
        self._data = self._type = ""


@dataclass
class Reading(EventSource):
    """A response that is read."""

    response: httpx.Response = field(default_factory=lambda: httpx.Response(200))
    is_ended: bool = False

    async def read(self, chunks: AsyncIterator[bytes]) -> None:
        async for chunk in chunks:
            self.take(chunk)
        self.is_ended = True

    async def events(self, number: int) -> list[Dispatched]:
        """The first events, once so many have come."""
        await until(lambda: len(self.dispatched) >= number)
        return self.dispatched

    async def ended(self) -> list[Dispatched]:
        """All events, once the response has ended."""
        await until(lambda: self.is_ended)
        return self.dispatched


async def until(condition: Callable[[], bool], *, within: float = PATIENCE) -> None:
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


@asynccontextmanager
async def reading(
    url: str, *, last_event_id: str = "", headers: Mapping[str, str] | None = None
) -> AsyncIterator[Reading]:
    """Read a stream for the block."""
    given = {**(headers or {}), **({"Last-Event-ID": last_event_id} if last_event_id else {})}
    async with (
        httpx.AsyncClient(verify=False) as client,
        client.stream("GET", url, headers=given, timeout=PATIENCE * 10) as response,
    ):
        opened = Reading(response=response)
        task = asyncio.create_task(opened.read(response.aiter_bytes()))
        try:
            yield opened
        finally:
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error
