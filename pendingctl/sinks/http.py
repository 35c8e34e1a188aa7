"""Answers to a worker's URL. Needs the extra `http`."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing, suppress
from datetime import timedelta
from types import TracebackType
from typing import Self, cast
from urllib.request import getproxies, proxy_bypass

from ..errors import ExtraMissing, InvalidInput
from ..leased import LeasedAnswer
from ..model import ANSWERS, Outcome
from ..payload import check_positive
from .protocol import DeliveryFailed, Marks, fields_of, json_of
from .retry_after import requested_delay
from .signature import sign, signing_key, webhook_id

try:
    import httpx
except ImportError as error:
    raise ExtraMissing("HttpSink", "http") from error

CONNECT_SECONDS = 5.0
REPLY_WITHIN = timedelta(seconds=15)
# A reply's body says nothing that the status does not. A short one that is there is read, so that the connection can
# be used again; with any other the connection is closed.
_BODY_BYTES = 16 * 1024
_BODY_SECONDS = 0.2
# Of the client's errors these say that the same request may succeed later (RFC 9110, section 15.5.9; IETF draft "The
# Idempotency-Key HTTP Header Field", section 2.7; RFC 8470, section 5.2; RFC 6585, section 4).
_TEMPORARY = frozenset({408, 409, 425, 429})


class HttpSink:
    """POSTs each answer, the fields of `Answer` and the number of the attempt, as JSON; a reply of 2xx has taken it.

    `Idempotency-Key` is the same for each delivery of an answer, a string as RFC 8941 has it. With a `secret` (text
    with `whsec_`, or at least 24 bytes) the request is signed as Standard Webhooks has it (standardwebhooks.com):
    `webhook-id`, which is the idempotency key with its dots as `%2E`; `webhook-timestamp`, which is the database's time
    of the lease in seconds; and `webhook-signature`. Workers refuse what is older than five minutes, so a lease has to
    be shorter.

    The status decides, and no more than 16 KiB of a reply's body are read. 409 means that a request with this key is
    still under way: it is tried again, and a worker that has applied the key before replies 2xx as it did then. 408,
    425 and 429 are tried again too, not before a `Retry-After` has passed; other replies of 400 to 499 are permanent,
    410 among them: it concerns this answer, and the next is sent nevertheless. Everything else is tried again:
    redirections, which are not followed, 500 to 599, and a worker that cannot be reached or does not reply
    `reply_within` that time in all. `at_once` is the number of connections; waiting for one takes nothing of that time.
    Where a connection that is kept from an earlier answer turns out to be closed, the request is sent once more over a
    new one.

    `outcomes` are the endings of which the worker hears. Cookies are not kept. The proxies of the environment are used,
    as by other clients (`HTTPS_PROXY`, `NO_PROXY`).

    Raises InvalidInput for a URL, a secret, a limit or a proxy that cannot be used. No error quotes more of the URL
    than its host.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: str | bytes | None = None,
        reply_within: timedelta = REPLY_WITHIN,
        at_once: int = 20,
        outcomes: Collection[Outcome] = ANSWERS,
    ) -> None:
        check_positive(at_once, "number of connections at once")
        if reply_within <= timedelta():
            raise InvalidInput(f"reply_within is {reply_within}; it must be positive")
        self.outcomes = frozenset(outcomes)
        self._url = worker_url(url)
        self._host = self._url.netloc.decode()
        self._key = None if secret is None else signing_key(secret)
        self._reply_within = reply_within
        self._turns = asyncio.Semaphore(at_once)
        # The transport alone, since a client keeps cookies, unpacks bodies and logs the whole URL.
        self._transport = _transport(self._url, at_once)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def deliver(self, leased: LeasedAnswer, marks: Marks) -> bool:
        """POST the answer, then mark it. Raises DeliveryFailed."""
        request = self._request(leased)
        async with self._turns:
            reply = await self._reply(request)
            await _finish(reply)
        if reply.is_success:
            return await marks.mark_delivered(leased)
        reason = self._without_secrets(reply.reason_phrase)
        raise DeliveryFailed(
            f"the worker replied {' '.join(filter(None, (str(reply.status_code), reason)))} ({self._host})",
            permanent=reply.is_client_error and reply.status_code not in _TEMPORARY,
            retry_after=requested_delay(reply.headers.get("Retry-After", ""), reply.headers.get("Date", "")),
        )

    def _request(self, leased: LeasedAnswer) -> httpx.Request:
        body = _body(leased)
        headers = {
            "User-Agent": "pendingctl",
            "Accept-Encoding": "identity",
            "Content-Type": "application/json",
            "Idempotency-Key": f'"{leased.answer.idempotency_key}"',
        }
        if self._url.userinfo:
            user_and_password = f"{self._url.username}:{self._url.password}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(user_and_password).decode()}"
        if self._key is not None:
            id, at = webhook_id(leased.answer.idempotency_key), int(leased.leased_at.timestamp())
            headers |= {
                "webhook-id": id,
                "webhook-timestamp": str(at),
                "webhook-signature": sign(self._key, id, at, body),
            }
        return httpx.Request("POST", self._url, content=body, headers=headers)

    async def _reply(self, request: httpx.Request) -> httpx.Response:
        """Send the request and return the reply's head. No cause is chained, since it may quote the URL."""
        try:
            async with asyncio.timeout(self._reply_within.total_seconds()):
                return await self._send(request)
        except TimeoutError:
            seconds = self._reply_within.total_seconds()
            raise DeliveryFailed(f"the worker did not reply in time ({self._host}, {seconds:g} s)") from None
        except httpx.HTTPError as error:
            said = self._without_secrets(str(error)) or type(error).__name__
            raise DeliveryFailed(f"the worker could not be reached: {said} ({self._host})") from None

    async def _send(self, request: httpx.Request) -> httpx.Response:
        is_new = False

        async def trace(event: str, info: Mapping[str, object]) -> None:
            nonlocal is_new
            del info
            is_new = is_new or event.endswith(".connect_tcp.started")

        request.extensions = {"timeout": {"connect": CONNECT_SECONDS}, "trace": trace}
        try:
            return await self._transport.handle_async_request(request)
        except (httpx.NetworkError, httpx.RemoteProtocolError):
            # A new connection that breaks may have broken over this very answer.
            if is_new:
                raise
            return await self._transport.handle_async_request(request)

    def _without_secrets(self, text: str) -> str:
        """Return the text, or nothing if it quotes a part of the URL beside its host."""
        url = self._url
        encoded = (part.decode() for part in (url.userinfo, url.query, url.raw_path.strip(b"/")))
        decoded = (url.username, url.password, url.path.strip("/"), *url.params.keys(), *url.params.values())
        return "" if any(part in text for part in (*encoded, *decoded) if part) else text


def worker_url(url: str) -> httpx.URL:
    """Return the URL that answers can be sent to. Raises InvalidInput, which does not quote it."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        raise InvalidInput("the worker's URL cannot be read; give it as https://HOST/PATH") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise InvalidInput("the worker's URL names no host; give it as https://HOST/PATH")
    if parsed.port is not None and not 0 < parsed.port < 2**16:
        raise InvalidInput("the worker's URL has a port that does not exist; give one from 1 to 65535")
    return parsed


def _transport(url: httpx.URL, at_once: int) -> httpx.AsyncHTTPTransport:
    proxies = {} if proxy_bypass(url.netloc.decode()) else getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    try:
        return httpx.AsyncHTTPTransport(limits=limits, proxy=proxy)
    except (httpx.InvalidURL, ValueError, ImportError):
        raise InvalidInput(
            "the environment's proxy cannot be used for the worker; mend HTTP_PROXY, HTTPS_PROXY or ALL_PROXY, or "
            "name the worker's host in NO_PROXY"
        ) from None


def _body(leased: LeasedAnswer) -> bytes:
    answer = leased.answer
    document = {**fields_of(answer), "claimed_at": answer.claimed_at.isoformat(), "attempt": leased.attempt}
    return json_of(document).encode()


async def _finish(reply: httpx.Response) -> None:
    """Read a short body, and release the connection. Whatever the body does, the status stands."""
    read = 0
    # What httpx declares as an iterator is a generator, to be closed before the reply is.
    body = cast("AsyncGenerator[bytes, None]", reply.aiter_raw())
    try:
        async with asyncio.timeout(_BODY_SECONDS), aclosing(body):
            async for part in body:
                read += len(part)
                if read > _BODY_BYTES:
                    break
    except (TimeoutError, httpx.HTTPError):
        pass
    finally:
        with suppress(httpx.HTTPError):
            await reply.aclose()
