"""Who may use a page of the demo: whoever knows its token, at this address, and from the page itself."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping

from aiohttp import web

from .slack_server import FakeSlack

HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    # Without it browsers send `Origin: null` with a form.
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Lets requests pass that have the `token` in their path, on the port of a Slack that may not be entered yet."""

    def __init__(self, slack: FakeSlack) -> None:
        self._slack = slack
        self.token = secrets.token_urlsafe(18)

    def check(self, request: web.Request) -> None:
        """Raise the refusal of a request: 404 for a wrong token, 403 for a foreign Host or Origin."""
        if not hmac.compare_digest(request.match_info["token"].encode(), self.token.encode()):
            raise web.HTTPNotFound(text="there is no such page\n", headers=HEADERS)
        # A name that points to loopback is another site's, and so is another port.
        if f"http://{request.host}" != self._slack.origin:
            raise web.HTTPForbidden(text=f"this page is at {self._slack.origin} alone\n", headers=HEADERS)
        # The token is in an address, which may be seen; other pages send another Origin.
        if request.method == "POST" and request.headers.get("Origin") != self._slack.origin:
            raise web.HTTPForbidden(text="this comes from another page\n", headers=HEADERS)
