"""Whose a request of the internal listener is, and when its turn at the database comes."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from http import HTTPStatus

from starlette.requests import Request

from ..turns import Turns
from .problems import RETRY_AFTER_SECONDS, Problem
from .settings import Organization

# Of one organization: each holds one of the connections that this pod accepts, and probes need some of these as well.
MOST_REQUESTS = 200
# Of the bodies of one organization's requests together: what is made of a body may take four times as much.
MOST_BYTES = 32 * 1024 * 1024
# How long a request waits for its organization's others.
TURN_SECONDS = 5.0

_BEARER = re.compile(r"bearer +([\x21-\x7e]{1,1024})", re.IGNORECASE)


class Callers:
    """The organizations whose programs send requests; of each at most `at_once` are in the database at a time."""

    def __init__(self, organizations: Iterable[Organization], *, at_once: int) -> None:
        self._organizations = {
            digest: organization for organization in organizations for digest in organization.token_digests
        }
        self._requests_of = Counter[str]()
        self._bytes_of = Counter[str]()
        self._turns = Turns[str](at_once)

    @asynccontextmanager
    async def turn(self, organization: Organization) -> AsyncIterator[None]:
        """Wait for a connection to the database that this organization may use.

        Raises Problem where too many wait, and where that takes too long.
        """
        if self._requests_of[organization.id] >= MOST_REQUESTS:
            raise Problem(
                HTTPStatus.TOO_MANY_REQUESTS, "too many requests of your organization are under way", retry_after="1"
            )
        self._requests_of[organization.id] += 1
        try:
            async with AsyncExitStack() as stack:
                try:
                    async with asyncio.timeout(TURN_SECONDS):
                        await stack.enter_async_context(self._turns.turn(organization.id))
                except TimeoutError:
                    raise Problem(
                        HTTPStatus.SERVICE_UNAVAILABLE,
                        "others of your organization's requests still wait for the database; send the request again",
                        retry_after=str(RETRY_AFTER_SECONDS),
                    ) from None
                yield
        finally:
            self._requests_of[organization.id] -= 1

    @contextmanager
    def holding(self, organization: Organization) -> Iterator[Callable[[int], None]]:
        """What is called with the bytes of a body that this organization's request holds until the end of the block.

        It raises Problem where all that its requests hold is too much.
        """
        held = 0

        def hold(size: int) -> None:
            nonlocal held
            if self._bytes_of[organization.id] + size > MOST_BYTES:
                raise Problem(
                    HTTPStatus.TOO_MANY_REQUESTS,
                    "the requests of your organization that are under way have too large bodies together",
                    retry_after="1",
                    connection="close",
                )
            held += size
            self._bytes_of[organization.id] += size

        try:
            yield hold
        finally:
            self._bytes_of[organization.id] -= held

    def organization(self, request: Request) -> Organization:
        """Return whose token a request has. Raises Problem."""
        headers = request.headers.getlist("authorization")
        bearer = _BEARER.fullmatch(headers[0]) if len(headers) == 1 else None
        # By its digest, whose bytes nobody can choose: how long a look-up takes says nothing of a token.
        digest = hashlib.sha256(bearer[1].encode()).digest() if bearer else b""
        organization = self._organizations.get(digest)
        if organization is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED, "send the bearer token of an organization", www_authenticate="Bearer"
            )
        return organization
