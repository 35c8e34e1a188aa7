"""Requests that the demo's Slack takes: from this machine alone, with arguments as Slack reads them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

from aiohttp import web

from ..payload import JsonObject, JsonValue
from .web_api import METHODS, READS

_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]"})
_FORM = "application/x-www-form-urlencoded"
_JSON = "application/json;charset=utf-8"


@web.middleware
async def loopback_alone(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Refuse a foreign Host: by a name that points to loopback a web page could read what is served there."""
    host, _, port = request.host.rpartition(":")
    if (host if host and port.isdecimal() else request.host) not in _LOOPBACK:
        return web.Response(status=403, text="this Slack is for 127.0.0.1 and localhost alone\n")
    return await handler(request)


async def read_arguments(method: str, request: web.Request) -> tuple[JsonObject, JsonObject | None]:
    """Return the arguments of a call, and the reply that refuses them if they are refused."""
    if request.method == "GET":
        return dict(request.query), error("invalid_post_type") if method in METHODS - READS else None
    kind = request.headers.get("Content-Type", "").lower().replace("; ", ";")
    if request.method != "POST":
        return {}, error("invalid_post_type")
    if kind.startswith(_FORM) or not request.body_exists:
        return _decoded({name: str(value) for name, value in (await request.post()).items()})
    # Those that read take no JSON (their pages on docs.slack.dev, "Content types").
    if kind != _JSON or method in READS:
        return {}, error("invalid_post_type")
    found = await read_object(request)
    return (found, None) if found is not None else ({}, error("invalid_form_data"))


async def read_object(request: web.Request) -> JsonObject | None:
    """Return the JSON object that a request holds, None if it holds none."""
    try:
        found: JsonValue = await request.json()
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def error(code: str) -> JsonObject:
    """Return the reply of a call that is refused."""
    return {"ok": False, "error": code}


def _decoded(fields: dict[str, str]) -> tuple[JsonObject, JsonObject | None]:
    """Return a form's arguments, of which blocks and metadata are JSON."""
    arguments: dict[str, JsonValue] = dict(fields)
    for name in {"blocks", "metadata"} & set(fields):
        try:
            arguments[name] = json.loads(fields[name])
        except (ValueError, RecursionError):
            return arguments, error("invalid_arguments")
    return arguments, None
