"""Tickets: a stream and a time, signed, in a URL. A browser's EventSource can send no header of its own.

A ticket can be used until its time, as often as wanted: EventSource comes back by the same URL.
"""

from __future__ import annotations

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from urllib.parse import parse_qs

from ..errors import InvalidInput
from ..events.model import StreamName
from .access import Authorized, Scope

# Of a secret; what HMAC-SHA256 signs is as hard to forge as its key is to guess (RFC 2104, section 3).
LEAST_KEY_BYTES = 32
COOKIE = "pendingctl_ticket"
MOST_COOKIES = 20
# Two names of 255 characters, at most four bytes each, in base64, and their signature are less.
_MOST_CHARACTERS = 4_096
# Lest a secret that signs something else as well opens streams by it.
_PURPOSE = b"pendingctl stream ticket\0"


class Tickets:
    """Signs and verifies tickets with one or two secrets: the first one signs, and both verify.

    Raises InvalidInput for another number of secrets, and for one below 32 bytes.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not 1 <= len(keys) <= 2:
            raise InvalidInput(f"{len(keys)} secrets are given; sign tickets with one, or two while one is replaced")
        if any(len(key) < LEAST_KEY_BYTES for key in keys):
            raise InvalidInput(
                f"a secret is below {LEAST_KEY_BYTES} bytes; make a longer one, as by: openssl rand -hex 32"
            )
        self._keys = tuple(keys)

    def sign(self, stream: StreamName, until: datetime) -> str:
        """Return a ticket for a stream, which ends at the whole second before this time. It is safe in a URL."""
        content = json.dumps([stream.organization_id, stream.name, int(until.timestamp())], separators=(",", ":"))
        text = urlsafe_b64encode(content.encode()).decode().rstrip("=")
        return f"{text}.{_signature(self._keys[0], text)}"

    def verify(self, ticket: str, now: datetime) -> Authorized | None:
        """Return what a ticket lets its holder read; None where it was not signed by these secrets, or has ended."""
        text, _, signature = ticket.partition(".")
        if len(ticket) > _MOST_CHARACTERS or not ticket.isascii():
            return None
        # Each is compared, so that the time says nothing of which.
        matches = [hmac.compare_digest(_signature(key, text), signature) for key in self._keys]
        if not any(matches):
            return None
        organization_id, name, until = json.loads(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        ends_at = datetime.fromtimestamp(until, UTC)
        return None if ends_at <= now else Authorized(StreamName(organization_id, name), ends_at)


def presented_by(scope: Scope) -> list[str]:
    """Return the tickets that a request presents: that of the query, else those in cookies `pendingctl_ticket`.

    A page may have several, each with the path of its stream.
    """
    query = parse_qs(scope["query_string"].decode("latin-1"))
    if given := query.get("ticket"):
        return given[:1]
    # HTTP/2 may have one in each of several headers (RFC 9113, section 8.2.3).
    cookies = b";".join(value for name, value in scope["headers"] if name == b"cookie").decode("latin-1")
    pairs = (cookie.strip().partition("=") for cookie in cookies.split(";"))
    return [value for name, _, value in pairs if name == COOKIE][:MOST_COOKIES]


def _signature(key: bytes, text: str) -> str:
    digest = hmac.digest(key, _PURPOSE + text.encode(), "sha256")
    return urlsafe_b64encode(digest).decode().rstrip("=")
