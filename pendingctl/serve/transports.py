"""What a connection writes to: asyncio's transport, with what it and uvicorn leave out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from uvicorn.protocols.http.flow_control import FlowControl


class Flow(FlowControl):
    """uvicorn's, which has an event for each connection: 0.8 KB of each client, whether it is ever slow or not."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.read_paused = False
        self.write_paused = False
        self._writable: asyncio.Event | None = None

    async def drain(self) -> None:
        if self._writable is not None:
            await self._writable.wait()

    def pause_writing(self) -> None:
        if self._writable is None:
            self.write_paused, self._writable = True, asyncio.Event()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self.write_paused, self._writable = False, None


class LingeringTransport(asyncio.Transport):
    """A transport that keeps reading for a while after it was closed, where the client still sends.

    Closed with bytes unread, TCP resets the connection, and the client may lose the response (RFC 9112, section 9.6).
    Whatever the client does, the connection is gone in a stated time: where `has_rest` says that more may come, that is
    read for `linger` seconds, and what was written is to be taken within `write` seconds.
    """

    __slots__ = ("_closed", "_ends", "_has_rest", "_held", "_is_holding", "_linger", "_transport", "_write")

    def __init__(
        self, transport: asyncio.Transport, *, linger: float, write: float, has_rest: Callable[[], bool]
    ) -> None:
        super().__init__()
        self._transport = transport
        self._linger = linger
        self._write = write
        self._has_rest = has_rest
        self._closed = False
        self._is_holding = False
        self._held = b""
        self._ends: list[asyncio.TimerHandle] = []

    def close(self) -> None:
        if self._closed:
            return
        self._release()
        self._closed = True
        loop = asyncio.get_running_loop()
        if self._has_rest() and not self._transport.is_closing():
            self._transport.resume_reading()
            if self._transport.can_write_eof():
                # A client that is gone already is noticed here first.
                with suppress(OSError):
                    self._transport.write_eof()
            self._ends.append(loop.call_later(self._linger, self._transport.close))
        else:
            self._transport.close()
        self._ends.append(loop.call_later(self._write, self._transport.abort))

    def lost(self) -> None:
        """Note that the connection is gone."""
        self._closed = True
        self._has_rest = _nothing_more
        for end in self._ends:
            end.cancel()

    def abort(self) -> None:
        self._closed = True
        self._transport.abort()

    def is_closing(self) -> bool:
        return self._closed or self._transport.is_closing()

    def hold(self) -> None:
        """Hold what is written next back for what follows it, if that comes before other work has its turn."""
        # A head and the first of its body in two packets cost both sides twice: a tenth of the time in which thousands
        # of clients come back.
        self._is_holding = True
        asyncio.get_running_loop().call_soon(self._release)

    def _release(self) -> None:
        held, self._held, self._is_holding = self._held, b"", False
        if held:
            self._transport.write(held)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.is_closing():
            # asyncio would warn of the fifth such write, and of each that follows.
            return
        if self._is_holding and not self._held:
            self._held = bytes(data)
        elif self._held:
            self._held += data
            self._release()
        else:
            self._transport.write(data)

    def pause_reading(self) -> None:
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        self._transport.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._transport.get_extra_info(name, default)


def _nothing_more() -> bool:
    return False
