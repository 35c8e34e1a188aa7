"""Looks at the connections to Slack, and at the URL that Slack sends presses to; posts nothing.

Needs the extra `slack`. What is found is judged in `pendingctl.diagnosis.slack`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import aiohttp

from ..diagnosis.slack import (
    Endpoint,
    Installation,
    Probe,
    Scopes,
    Token,
    judge_interactivity,
    judge_scopes,
    judge_signature,
    judge_token,
)
from ..payload import JsonObject
from ..platforms.slack.calls import Calls, TokenReply, proxy_of
from ..platforms.slack.signature import signature_of
from ..printable import printable
from .examination import Check

PROBE_SECONDS = 10.0
# auth.test takes hundreds of calls a minute (its page on docs.slack.dev, "Rate limits").
_AT_A_TIME = 10
# What Slack sends itself now and then, to see whether a certificate is valid: a pod counts it, and does nothing else.
_HARMLESS = b"ssl_check=1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A connection as it is configured: its token, and where that should be installed."""

    organization_id: str
    connection_id: str
    installation: Installation
    token: str = field(repr=False)


async def examine_slack(
    connections: Sequence[Connection],
    *,
    base_url: str,
    url: str | None,
    signing_secrets: Mapping[str, Sequence[bytes]],
) -> list[Check]:
    """Try each connection's token and scopes, and the URL with each app's signing secrets.

    `base_url` is where Slack's methods are, and `url` where Slack reaches the pods, None where nobody knows. Nothing is
    posted; a pod is sent what it takes for a test of its certificate. Takes some 10 s where nothing replies.
    """
    tokens, endpoint = await asyncio.gather(_examine_tokens(connections, base_url), _examine_url(url, signing_secrets))
    return [*tokens, *endpoint]


async def _examine_tokens(connections: Sequence[Connection], base_url: str) -> list[Check]:
    tokens = {(each.organization_id, each.connection_id): each.token for each in connections}
    calls, turns = Calls(tokens, base_url, time.monotonic), asyncio.Semaphore(_AT_A_TIME)

    async def tried(connection: Connection) -> TokenReply:
        async with turns:
            return await calls.test_token((connection.organization_id, connection.connection_id))

    try:
        replies = await asyncio.gather(*map(tried, connections))
    finally:
        await calls.close()
    return [check for each in zip(connections, replies, strict=True) for check in _judged_token(*each)]


def _judged_token(connection: Connection, reply: TokenReply) -> list[Check]:
    fields = reply.fields
    token = Token(
        configured=connection.installation,
        found=None if fields is None else _installation(fields),
        is_bot=fields is not None and _text(fields, "bot_id") is not None,
        is_for_organization=fields is not None and fields.get("is_enterprise_install") is True,
        error=reply.error,
    )
    scopes = Scopes(reply.scopes)
    of = {"organization_id": connection.organization_id, "connection_id": connection.connection_id}
    name = f"{connection.organization_id}/{connection.connection_id}"
    granted = None if scopes.granted is None else sorted(scopes.granted)
    return [
        _about(name, Check("token", judge_token(token), of | asdict(token))),
        _about(name, Check("scopes", judge_scopes(scopes), of | {"granted": granted})),
    ]


def _installation(fields: JsonObject) -> Installation:
    # A bot's token is that of an app whose id auth.test leaves out as a rule.
    return Installation(_text(fields, "app_id"), _text(fields, "team_id"), _text(fields, "enterprise_id"))


def _text(fields: JsonObject, name: str) -> str | None:
    value = fields.get(name)
    return value if isinstance(value, str) and value else None


async def _examine_url(url: str | None, signing_secrets: Mapping[str, Sequence[bytes]]) -> list[Check]:
    timeout = aiohttp.ClientTimeout(total=PROBE_SECONDS)
    async with aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()) as session:
        unsigned = None if url is None else await _probe(session, url, None)
        # What does not refuse an unsigned request is not ours, and learns no signature.
        is_ours = unsigned is not None and unsigned.status == 401
        signed = {
            (app_id, number): await _probe(session, url, secret) if url is not None and is_ours else None
            for app_id, secrets in signing_secrets.items()
            for number, secret in enumerate(secrets, 1)
        }
    # That of a request which the pods have taken, if there is one: others say nothing of the way to them.
    taken = min(signed.values(), key=lambda probe: probe is None or probe.status == 401, default=None)
    endpoint = Endpoint(url, unsigned, taken)
    checks = [Check("interactivity", judge_interactivity(endpoint), asdict(endpoint))]
    for (app_id, number), probe in signed.items():
        endpoint = Endpoint(url, unsigned, probe)
        name = f"app {app_id}, secret {number}" if len(signing_secrets[app_id]) > 1 else f"app {app_id}"
        facts = {"app_id": app_id, "secret": number, **asdict(endpoint)}
        checks.append(_about(name, Check("signature", judge_signature(endpoint), facts)))
    return checks


async def _probe(session: aiohttp.ClientSession, url: str, secret: bytes | None) -> Probe:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    if secret is not None:
        timestamp = str(int(time.time()))
        signature = signature_of(_HARMLESS, timestamp.encode(), secret)
        headers |= {"X-Slack-Request-Timestamp": timestamp, "X-Slack-Signature": signature.decode()}
    try:
        async with session.post(
            url, data=_HARMLESS, headers=headers, allow_redirects=False, proxy=proxy_of(url)
        ) as reply:
            return Probe(reply.status)
    except TimeoutError:
        return Probe(None, f"no reply within {PROBE_SECONDS:.0f} s")
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return Probe(None, _said(error))


def _said(error: Exception) -> str:
    match error:
        case aiohttp.ClientConnectorCertificateError():
            reason = getattr(error.certificate_error, "verify_message", "") or str(error.certificate_error)
            return printable(f"its certificate is refused, {reason}")
        case aiohttp.ClientSSLError():
            return printable(f"TLS fails, {getattr(error.os_error, 'reason', None) or error.os_error}")
        case aiohttp.ClientConnectorDNSError():
            return "its name is not known"
        case aiohttp.ClientConnectorError():
            # Its own text quotes the address again.
            number = error.os_error.errno
            return printable(os.strerror(number) if number else str(error.os_error))
        case aiohttp.ServerDisconnectedError():
            return "the connection was closed without a reply"
    return printable(f"{type(error).__name__}: {error}")


def _about(name: str, check: Check) -> Check:
    """Return the check with what its sentence is about at the beginning."""
    return replace(check, finding=replace(check.finding, sentence=f"{name}: {check.finding.sentence}"))
