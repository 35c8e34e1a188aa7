"""The `response_url` of a press: it takes five responses within half an hour (docs.slack.dev, "Handling user
interaction", section "Message responses")."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from ..payload import JsonObject
from .block_rules import objects
from .messages import Reply, text_of, with_ids
from .web_api import POST_TEXT, check_content
from .workspaces import Workspaces

MOST_USES = 5
VALID_SECONDS = 30 * 60.0


@dataclass(slots=True)
class _Url:
    user: str
    channel: str
    ts: str
    until: float
    uses: int = 0


class ResponseUrls:
    """The URLs that presses carried, below `base`, an origin. `clock` gives seconds that never go back."""

    def __init__(self, known: Workspaces, clock: Callable[[], float]) -> None:
        self.base = ""
        self._known = known
        self._clock = clock
        self._urls: dict[str, _Url] = {}

    def issue(self, user: str, channel: str, ts: str) -> str:
        """Return a URL for a person (`TEAM:USER`) and a message, of which nobody else knows."""
        team, _, _ = user.partition(":")
        path = f"/actions/{team}/{len(self._urls) + 1}/{secrets.token_urlsafe(18)}"
        self._urls[path] = _Url(user, channel, ts, self._clock() + VALID_SECONDS)
        return f"{self.base}{path}"

    def respond(self, path: str, response: JsonObject) -> tuple[int, JsonObject]:
        """Take a response, and return its HTTP status and reply."""
        url = self._urls.get(path)
        if url is None:
            return 404, {"ok": False, "error": "invalid_url"}
        if self._clock() > url.until:
            return 404, {"ok": False, "error": "expired_url"}
        if url.uses == MOST_USES:
            return 404, {"ok": False, "error": "used_url"}
        channel = self._known.channels[url.channel]
        message = channel.messages.get(url.ts)
        if response.get("delete_original") is True:
            url.uses += 1
            channel.messages.pop(url.ts, None)
            return 200, {"ok": True}
        refusal = check_content(response, POST_TEXT)
        if refusal is not None:
            return 400, refusal
        url.uses += 1
        text, blocks = text_of(response, "text"), with_ids(objects(response.get("blocks")))
        thread_ts = text_of(response, "thread_ts") or None
        if response.get("replace_original") is True and message is not None:
            channel.messages[url.ts] = replace(message, text=text, blocks=blocks, is_edited=True)
        elif response.get("response_type") == "in_channel" and message is not None:
            posted = replace(message, ts=self._known.next_ts(), text=text, blocks=blocks, thread_ts=thread_ts)
            channel.messages[posted.ts] = posted
        else:
            self._known.replies.append(
                Reply(
                    user=url.user,
                    channel=url.channel,
                    ts=self._known.next_ts(),
                    text=text,
                    blocks=blocks,
                    thread_ts=thread_ts,
                    response_url=f"{self.base}{path}",
                    fields=response,
                )
            )
        return 200, {"ok": True}
