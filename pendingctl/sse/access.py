"""Who may read which stream, as the application says that serves it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from ..errors import InvalidInput
from ..events.model import StreamName

# As the ASGI specification has them (asgi.readthedocs.io, "HTTP & WebSocket ASGI Message Format").
Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Authorized:
    """The stream that a client may read, and until when; None: for as long as it stays.

    Raises InvalidInput for a time without a time zone.
    """

    stream: StreamName
    until: datetime | None = None

    def __post_init__(self) -> None:
        if self.until is not None and self.until.tzinfo is None:
            raise InvalidInput("the time until which a client may read has no time zone; give it one, such as UTC")


Authorize: TypeAlias = Callable[[Scope], Awaitable[Authorized | None]]
"""Returns what the client of a request (`scope` as in ASGI) may read, None for nothing."""


def header_of(scope: Scope, name: bytes) -> str:
    """Return a header of a request, the first of several, empty where there is none. Its name is in lower case."""
    return next((value.decode("latin-1") for each, value in scope["headers"] if each == name), "")
