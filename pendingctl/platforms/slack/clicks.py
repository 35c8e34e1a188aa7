"""Presses of buttons, as Slack delivers them to an app's request URL. Pure; check the signature first.

docs.slack.dev, "block_actions payload" and "Handling user interaction".
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from urllib.parse import parse_qs, urlsplit

from ...errors import InvalidInput
from ...model import MAX_ASK_NUMBER
from ...payload import JsonValue, check_id
from .blocks import ACTION_ID, MOST_OPTIONS
from .references import Posted, person_of

REPLY_BASE = "https://hooks.slack.com"
_MOST_FIELDS = 20
_MOST_URL_CHARACTERS = 2_000
# The other kinds that Slack sends to the same URL; whatever else is signed counts as `other`.
_KINDS = frozenset(
    {"ssl_check", "block_actions", "block_suggestion", "message_action", "shortcut", "view_submission", "view_closed"}
)
_ID = re.compile(r"[A-Z][A-Z0-9]{1,30}")
_TIME = re.compile(r"[0-9]{1,20}\.[0-9]{1,10}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """One press of a card's button.

    `team_id` is None where the app is installed for a whole organization of Slack, `enterprise_id`; one of them is
    given. `user_id` is unique only with `user_team_id`, which may be another workspace's, or an organization's (E…).
    `option` is the index of the option among those of the asking that the card showed. `response_url` is None unless it
    leads to Slack. `thread_ts` names the thread that the card stands in, if it does.
    """

    team_id: str | None
    enterprise_id: str | None
    app_id: str
    channel_id: str
    message_ts: str
    user_id: str
    user_team_id: str
    question_id: str
    ask_number: int
    option: int
    action_ts: str
    response_url: str | None
    thread_ts: str | None = None

    @property
    def delivery_key(self) -> str:
        """The same for each delivery of this press, and for no other press."""
        team = self.team_id or self.enterprise_id
        return f"{team}:{self.channel_id}:{self.message_ts}:{self.user_team_id}:{self.user_id}:{self.action_ts}"

    @property
    def card(self) -> dict[str, str]:
        """The card that was pressed, by its reference, as a row keeps it."""
        return Posted(self.channel_id, self.message_ts).as_json()

    def user_of(self, home: Collection[str]) -> str:
        """Return the user who has pressed, as a scope names users: `U2`, or `T9:U2` for one of another workspace.

        `home` are the ids of the connection's own workspace and of the organization of Slack that it belongs to.
        """
        return self.user_id if self.user_team_id in home else f"{self.user_team_id}:{self.user_id}"


@dataclass(frozen=True, slots=True)
class NotOurs:
    """What is no press of a card's button: its `kind`, one of a dozen words that a counter may have as a label."""

    kind: str


Parsed: TypeAlias = Press | NotOurs


def checked_reply_base(base: str) -> str:
    """Return the origin that a `response_url` may have. Raises InvalidInput for what is no origin."""
    try:
        parts = urlsplit(base)
        is_fit = parts.scheme in {"http", "https"} and parts.hostname and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        is_fit = False
    if not is_fit or base != f"{parts.scheme}://{parts.netloc}":
        raise InvalidInput(f"the base of Slack's response URLs is no origin; give it as {REPLY_BASE}")
    return base


def parse_press(body: bytes, *, reply_base: str = REPLY_BASE) -> Parsed:
    """Return the press that a signed body holds, or why it holds none: `unreadable`, `other`, or its type's name.

    `reply_base` is the origin that a `response_url` must have. Never raises.
    """
    try:
        fields = parse_qs(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
        if "ssl_check" in fields:
            return NotOurs("ssl_check")
        payload: JsonValue = json.loads("".join(fields.get("payload", ())))
    except (ValueError, RecursionError):
        return NotOurs("unreadable")
    if not isinstance(payload, dict):
        return NotOurs("unreadable")
    kind = payload.get("type")
    if kind != "block_actions":
        return NotOurs(kind if isinstance(kind, str) and kind in _KINDS else "other")
    try:
        return _press(payload, reply_base)
    except _Unfit:
        return NotOurs("block_actions")


class _Unfit(Exception):
    """The payload is not that of a press of ours."""


def _press(payload: Mapping[str, JsonValue], reply_base: str) -> Press:
    actions = payload.get("actions")
    if not isinstance(actions, list) or len(actions) != 1:
        raise _Unfit
    action = _object(actions[0])
    if action.get("type") != "button" or not _text(action, "action_id").startswith(ACTION_ID):
        raise _Unfit
    question_id, ask_number, option = _carried(_text(action, "value"))
    container, user = _object(payload.get("container")), _object(payload.get("user"))
    if container.get("type") != "message" or container.get("is_ephemeral"):
        raise _Unfit
    team_id, enterprise_id = _id_of(payload.get("team")), _id_of(payload.get("enterprise"))
    if team_id is None and enterprise_id is None:
        raise _Unfit
    user_id = _matching(user, "id", _ID)
    if person_of(user_id) != user_id:
        raise _Unfit
    return Press(
        team_id=team_id,
        enterprise_id=enterprise_id,
        app_id=_matching(payload, "api_app_id", _ID),
        channel_id=_matching(container, "channel_id", _ID),
        message_ts=_matching(container, "message_ts", _TIME),
        user_id=user_id,
        user_team_id=_matching(user, "team_id", _ID),
        question_id=question_id,
        ask_number=ask_number,
        option=option,
        action_ts=_matching(action, "action_ts", _TIME),
        response_url=_reply_url(payload.get("response_url"), reply_base),
        thread_ts=_matching(container, "thread_ts", _TIME) if container.get("thread_ts") is not None else None,
    )


def _carried(value: str) -> tuple[str, int, int]:
    """Return what a button carries: the question's id, its ask number, and the option's index."""
    try:
        question_id, ask_number, option = json.loads(value)
        if not isinstance(question_id, str) or type(ask_number) is not int or type(option) is not int:
            raise _Unfit
        check_id(question_id, "question id")
    except (ValueError, TypeError, RecursionError, InvalidInput):
        raise _Unfit from None
    if not 0 < ask_number <= MAX_ASK_NUMBER or not 0 <= option < MOST_OPTIONS:
        raise _Unfit
    return question_id, ask_number, option


def _object(value: JsonValue) -> Mapping[str, JsonValue]:
    if not isinstance(value, dict):
        raise _Unfit
    return value


def _text(found: Mapping[str, JsonValue], field: str) -> str:
    value = found.get(field)
    if not isinstance(value, str):
        raise _Unfit
    return value


def _matching(found: Mapping[str, JsonValue], field: str, pattern: re.Pattern[str]) -> str:
    value = _text(found, field)
    if not pattern.fullmatch(value):
        raise _Unfit
    return value


def _id_of(value: JsonValue) -> str | None:
    return None if value is None else _matching(_object(value), "id", _ID)


def _reply_url(value: JsonValue, base: str) -> str | None:
    """Return the URL if it has the base's origin, and nothing that two readers may read in two ways."""
    if not isinstance(value, str) or len(value) > _MOST_URL_CHARACTERS:
        return None
    if not value.isascii() or not value.isprintable() or set(value) & set(" \\@#"):
        return None
    try:
        url, allowed = urlsplit(value), urlsplit(base)
    except ValueError:
        return None
    return value if (url.scheme, url.netloc) == (allowed.scheme, allowed.netloc) else None
