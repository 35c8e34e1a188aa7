"""Whether a request is Slack's: its signature, version v0 (docs.slack.dev, "Verifying requests from Slack"). Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence

# Either way, as the page has it: an older request may be a replay, and clocks differ.
WITHIN_SECONDS = 5 * 60
_TIMESTAMP = re.compile(rb"[0-9]{1,12}")
_SIGNATURE = re.compile(rb"v0=[0-9a-f]{64}")


def is_signed(
    body: bytes, *, timestamp: str | bytes | None, signature: str | bytes | None, secrets: Sequence[bytes], now: float
) -> bool:
    """Whether one of the signing secrets has signed this body, as it came, within the last five minutes.

    `timestamp` and `signature` are the values of the headers `X-Slack-Request-Timestamp` and `X-Slack-Signature`, None
    where there is none or more than one; `now` is in seconds since 1970. Two secrets are valid while one is replaced.
    Never raises: what cannot be read is not signed.
    """
    timestamp, signature = _as_bytes(timestamp), _as_bytes(signature)
    if not _TIMESTAMP.fullmatch(timestamp) or not _SIGNATURE.fullmatch(signature):
        return False
    if not abs(now - int(timestamp)) <= WITHIN_SECONDS:
        return False
    expected = [signature_of(body, timestamp, secret) for secret in secrets if secret.strip()]
    # All are compared, in constant time each.
    return any([hmac.compare_digest(each, signature) for each in expected])


def signature_of(body: bytes, timestamp: bytes, secret: bytes) -> bytes:
    """Return what Slack writes into the header `X-Slack-Signature`."""
    return b"v0=" + hmac.new(secret, b"v0:" + timestamp + b":" + body, hashlib.sha256).hexdigest().encode()


def _as_bytes(value: str | bytes | None) -> bytes:
    # What is no ASCII is no header of Slack's, and surrogates could not be encoded otherwise.
    return value.encode("ascii", "replace") if isinstance(value, str) else value or b""
