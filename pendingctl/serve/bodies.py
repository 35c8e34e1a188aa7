"""Reading a request's body within a size and a time, neither of which uvicorn or Starlette bound."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus

from starlette.requests import ClientDisconnect, Request

from ..errors import PendingctlError


class BodyRefused(PendingctlError):
    """A body was not read to its end; `status` is what its request is answered with."""

    status: HTTPStatus


class BodyTooLarge(BodyRefused):
    """The body has, or says that it has, more bytes than are read."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class BodyTooSlow(BodyRefused):
    """The body did not come in within its time."""

    status = HTTPStatus.REQUEST_TIMEOUT


class BodyBroken(BodyRefused):
    """The client went away before the body's end, or sent what is none; nobody hears the answer."""

    status = HTTPStatus.BAD_REQUEST


async def read_body(
    request: Request, *, most: int, within: float, hold: Callable[[int], None] = lambda _: None
) -> bytes:
    """Return the body of a request, of at most `most` bytes, once it has come in within `within` seconds.

    `hold` is called with how many bytes are about to be held, all at once where the length is stated; whatever it
    raises ends the reading.

    Raises BodyTooLarge, where a length is stated before anything is read; BodyTooSlow; and BodyBroken.
    """
    stated = request.headers.get("content-length", "")
    if stated.isdecimal():
        if int(stated) > most:
            raise BodyTooLarge(f"the body has {stated} bytes; at most {most} are read")
        hold(int(stated))
    body = bytearray()
    try:
        async with asyncio.timeout(within):
            async for part in request.stream():
                body += part
                if len(body) > most:
                    raise BodyTooLarge(f"the body has more than {most} bytes, which is all that is read")
                if not stated.isdecimal():
                    hold(len(part))
    except TimeoutError:
        raise BodyTooSlow(f"the body did not come in within {within:g} s; send it at once") from None
    except ClientDisconnect:
        raise BodyBroken("the client went away before the end of the body") from None
    return bytes(body)
