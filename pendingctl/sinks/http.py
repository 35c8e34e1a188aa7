"""Answers to a worker's URL. Needs the extra `http`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

from ..errors import ExtraMissing
from ..model import LeasedAnswer
from .protocol import DeliveryFailed, Marks

try:
    import httpx
except ImportError as error:
    raise ExtraMissing("HttpSink", "http") from error

CONNECT_SECONDS = 5.0
REPLY_WITHIN = timedelta(seconds=15)
# A worker that wants to be left alone for longer is asked again nevertheless.
MOST_RETRY_AFTER = timedelta(hours=1)
# Of the client's errors these two say that the same request may succeed later (RFC 9110, 15.5.9; RFC 6585, 4).
_TEMPORARY = frozenset({408, 429})


class HttpSink:
    """POSTs each answer, the fields of `Answer` and the number of the attempt, as JSON; a reply of 2xx has taken it.

    `Idempotency-Key` is the same for each delivery of an answer. With a `secret` the request is signed as Standard
    Webhooks has it (standardwebhooks.com): `webhook-id`, `webhook-timestamp` in seconds, which is the database's time
    of the lease, and `webhook-signature`: `v1,` and the base64 of the HMAC-SHA256 over `ID.TIMESTAMP.BODY`.

    400 to 499 is permanent, save 408 and 429; other replies, redirections included, and a worker that cannot be
    reached or does not reply `within` that time, are tried again, not before a `Retry-After` has passed.
    """

    def __init__(
        self, url: str, *, secret: bytes | None = None, reply_within: timedelta = REPLY_WITHIN, at_once: int = 20
    ) -> None:
        self._url = url
        self._secret = secret
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(reply_within.total_seconds(), connect=CONNECT_SECONDS),
            limits=httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def deliver(self, leased: LeasedAnswer, marks: Marks) -> bool:
        """POST the answer, then mark it. Raises DeliveryFailed."""
        body = _body(leased)
        headers = {"Content-Type": "application/json", "Idempotency-Key": f'"{leased.answer.idempotency_key}"'}
        if self._secret is not None:
            headers |= _signature(leased, body, self._secret)
        try:
            reply = await self._client.post(self._url, content=body, headers=headers)
        except httpx.TimeoutException as error:
            raise DeliveryFailed(f"the worker did not reply in time ({type(error).__name__})") from error
        except httpx.HTTPError as error:
            raise DeliveryFailed(f"the worker could not be reached: {error or type(error).__name__}") from error
        if reply.is_success:
            return await marks.mark_delivered(leased)
        raise DeliveryFailed(
            f"the worker replied {reply.status_code} {reply.reason_phrase}".strip(),
            permanent=reply.is_client_error and reply.status_code not in _TEMPORARY,
            retry_after=_retry_after(reply),
        )


def _body(leased: LeasedAnswer) -> bytes:
    answer = leased.answer
    document = {**asdict(answer), "claimed_at": answer.claimed_at.isoformat(), "attempt": leased.attempt}
    return json.dumps(document, ensure_ascii=False).encode()


def _signature(leased: LeasedAnswer, body: bytes, secret: bytes) -> dict[str, str]:
    id, at = leased.answer.idempotency_key, str(int(leased.leased_at.timestamp()))
    signed = hmac.new(secret, b".".join((id.encode(), at.encode(), body)), hashlib.sha256).digest()
    return {
        "webhook-id": id,
        "webhook-timestamp": at,
        "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
    }


def _retry_after(reply: httpx.Response) -> timedelta | None:
    """The header in either form (RFC 9110, section 10.2.3); a date counts from the worker's own clock."""
    said = reply.headers.get("Retry-After", "").strip()
    if said.isascii() and said.isdigit():
        wanted = timedelta(seconds=min(int(said[:9]), 10**6))
    else:
        try:
            until = _in_utc(parsedate_to_datetime(said))
            now = _in_utc(parsedate_to_datetime(reply.headers.get("Date", "")))
        except (ValueError, TypeError):
            return None
        wanted = until - now
    return min(max(wanted, timedelta()), MOST_RETRY_AFTER)


def _in_utc(time: datetime) -> datetime:
    return time if time.tzinfo else time.replace(tzinfo=UTC)
