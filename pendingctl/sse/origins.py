"""Which web pages may read a response: cross-origin resource sharing (Fetch standard, section 3.3). Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import ip_address

from ..errors import InvalidInput
from .access import Scope, header_of

_ORIGIN = re.compile(r"https?://([a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?|\[[0-9a-f:]+\])(?::([1-9][0-9]{0,4}))?")
# What browsers take for an address of IPv4 (URL standard, section 3.5, "ends in a number").
_ENDS_IN_A_NUMBER = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)\.?")
_DEFAULT_PORT = re.compile(r"http://[^/]*:80|https://[^/]*:443")
_PREFLIGHT_SECONDS = 600

Headers = list[tuple[bytes, bytes]]


class Origins:
    """Pages of these origins may read, with their cookies; without any nothing is said of origins.

    Raises InvalidInput for what is no origin as browsers write it.
    """

    def __init__(self, origins: Sequence[str]) -> None:
        self._origins = frozenset(map(check_origin, origins))

    def __bool__(self) -> bool:
        return bool(self._origins)

    def headers(self, scope: Scope) -> Headers:
        """Return what the response to a request says to its page."""
        if not self._origins:
            return []
        origin = header_of(scope, b"origin")
        headers = [(b"vary", b"Origin")]
        if origin in self._origins:
            headers += [
                (b"access-control-allow-origin", origin.encode("ascii")),
                (b"access-control-allow-credentials", b"true"),
            ]
        return headers

    def preflight(self, scope: Scope) -> Headers:
        """Return the same for what a browser asks before a request that has headers of the page's own."""
        headers = self.headers(scope)
        if len(headers) > 1:
            headers += [
                (b"access-control-allow-methods", b"GET"),
                (b"access-control-allow-headers", b"Last-Event-ID, Cache-Control"),
                (b"access-control-max-age", str(_PREFLIGHT_SECONDS).encode()),
            ]
        return headers


def check_origin(origin: str) -> str:
    """Return an origin as browsers write it. Raises InvalidInput for anything else."""
    read = _ORIGIN.fullmatch(origin)
    if read is None or _DEFAULT_PORT.fullmatch(origin) or int(read[2] or 0) > 65_535 or not _is_host(read[1]):
        raise InvalidInput(
            "this is no origin as browsers write it; write https://HOST or https://HOST:PORT, in lower case, without a "
            "path and without the usual port"
        )
    return origin


def _is_host(host: str) -> bool:
    """Whether a browser writes a host so, which has several ways to read an address and one to write it."""
    address = host.strip("[]")
    if host == address and not _ENDS_IN_A_NUMBER.fullmatch(host):
        return True
    try:
        return str(ip_address(address)) == address
    except ValueError:
        return False
