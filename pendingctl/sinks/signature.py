"""Signatures as Standard Webhooks has them (standardwebhooks.com, specification 1.0.0). Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac

from ..errors import InvalidInput

_PREFIX = b"whsec_"
# The specification's limits.
_LEAST_BYTES = 24
_MOST_BYTES = 64


def signing_key(secret: str | bytes) -> bytes:
    """Return the key that a secret stands for: the bytes after `whsec_` in base64, or the bytes given.

    Text has to have the prefix: without it some libraries take the text's own bytes as the key, and others decode it,
    so that the worker would refuse each signature. A key shorter than the 24 bytes of the specification is refused,
    an empty environment variable among them.

    Raises InvalidInput, which does not print the secret.
    """
    given = secret.encode(errors="replace") if isinstance(secret, str) else secret
    if given.startswith(_PREFIX):
        try:
            key = base64.b64decode(given.removeprefix(_PREFIX), validate=True)
        except binascii.Error:
            raise InvalidInput("the secret has no base64 after whsec_; copy it again without spaces") from None
        if not _LEAST_BYTES <= len(key) <= _MOST_BYTES:
            raise InvalidInput(
                f"the secret encodes {len(key)} bytes after whsec_; Standard Webhooks has "
                f"{_LEAST_BYTES} to {_MOST_BYTES}"
            )
        return key
    if isinstance(secret, str):
        raise InvalidInput("a secret given as text begins with whsec_; give a key of another form as bytes")
    if len(secret) < _LEAST_BYTES:
        raise InvalidInput(f"the secret has {len(secret)} bytes; at least {_LEAST_BYTES} are needed to sign with")
    return secret


def webhook_id(idempotency_key: str) -> str:
    """Return the key without dots, which join the parts of what is signed, and would leave it two readings."""
    return idempotency_key.replace(".", "%2E")


def sign(key: bytes, id: str, timestamp: int, body: bytes) -> str:
    """Return the signature of a message; `timestamp` is in seconds since 1970."""
    signed = hmac.new(key, f"{id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(signed).decode()}"
