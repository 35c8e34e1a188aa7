"""The values of serve's configuration that are more than text or a number, each with its check. Pure.

Every function raises ValueError, or InvalidInput, for what it does not take.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from hashlib import sha256
from urllib.parse import urlsplit

from ..model import Outcome
from ..payload import check_id
from ..sse.origins import check_origin
from ..sse.tickets import LEAST_KEY_BYTES
from .toml_tables import TomlValue, text, unexpected

_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_BOT_TOKEN = re.compile(r"xoxb-[A-Za-z0-9-]+")
_LEVELS = {name: getattr(logging, name.upper()) for name in ("debug", "info", "warning", "error")}
# docs.slack.dev, "block_actions payload": an app is A…, a workspace T…, an organization of Slack E….
_WHAT = {"A": "an app", "T": "a workspace", "E": "an organization of Slack"}


def application(value: TomlValue) -> str:
    """Return the name of a set of pods, which may be empty."""
    given = text(value)
    if given:
        check_id(given, "the application's name")
    return given


def pod(value: TomlValue) -> str:
    """Return the name of one pod."""
    given = text(value)
    check_id(given, "the pod's name")
    return given


def identifier(value: TomlValue) -> str:
    """Return the id of an organization or of a connection."""
    given = text(value)
    check_id(given, "the id")
    return given


def app_id(value: TomlValue) -> str:
    """Return the id of one of Slack's apps."""
    return _slack_id(text(value), "A")


def team_id(value: TomlValue) -> str:
    """Return the id of a workspace."""
    return _slack_id(text(value), "T")


def enterprise_id(value: TomlValue) -> str:
    """Return the id of an organization of Slack."""
    return _slack_id(text(value), "E")


def _slack_id(given: str, letter: str) -> str:
    if not re.fullmatch(letter + r"[A-Z0-9]{1,30}", given):
        raise ValueError(
            f"{quoted(given)} is no id of {_WHAT[letter]}; one begins with {letter}, as {letter}0123456789"
        )
    return given


def bot_token(token: str) -> str:
    """Return the token of a bot; it is not quoted when it is none."""
    if not _BOT_TOKEN.fullmatch(token):
        kind = {"xoxp": "a user's token", "xapp": "a token of Socket Mode", "xoxe": "a token that is rotated"}
        found = kind.get(token[:4], "something else")
        raise ValueError(
            f"is {found}, not the token of a bot; take the Bot User OAuth Token of the app's page "
            "'OAuth & Permissions', which begins with xoxb-"
        )
    return token


def signing_secret(secret: str) -> bytes:
    """Return a signing secret as it is used; it is not quoted when it is none."""
    if secret != secret.strip():
        raise ValueError("the secret has white space at its ends; copy it again without")
    return secret.encode()


def stream_key(secret: str) -> bytes:
    """Return a secret that signs tickets of streams; it is not quoted when it is none."""
    key = signing_secret(secret)
    if len(key) < LEAST_KEY_BYTES:
        raise ValueError(f"the secret is below {LEAST_KEY_BYTES} bytes; make a longer one, as by: openssl rand -hex 32")
    return key


def origin(value: TomlValue) -> str:
    """Return the origin of a web page as browsers write it."""
    return check_origin(text(value))


def token_digest(value: TomlValue) -> bytes:
    """Return a SHA-256 from its hex digits. Nothing is quoted, since it may be the token itself."""
    if not isinstance(value, str):
        raise ValueError(unexpected("the SHA-256 of a token", value))
    if not re.fullmatch(r"[0-9A-Fa-f]{64}", value):
        raise ValueError(
            'expected the 64 hex digits of a token\'s SHA-256, not the token; printf %s "$TOKEN" | sha256sum shows it'
        )
    digest = bytes.fromhex(value)
    if digest == sha256().digest():
        # What the command above makes of a variable that is not set.
        raise ValueError("is the SHA-256 of nothing: the token was empty")
    return digest


def listen_address(value: TomlValue) -> tuple[str, int]:
    """Return the host, without brackets, and the port of `host:port` or `[::1]:3000`. Port 0 is any free one."""
    given = text(value)
    remedy = "write host:port, as 127.0.0.1:3000 or [::1]:3000"
    host, colon, port = given.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port):
        raise ValueError(f"{quoted(given)} has no port; {remedy}")
    if int(port) > 65_535:
        raise ValueError(f"{quoted(given)} has a port over 65535; {remedy}")
    is_bracketed = host.startswith("[") and host.endswith("]")
    host = host[1:-1] if is_bracketed else host
    if is_bracketed or re.fullmatch(r"[0-9.]+", host):
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            raise ValueError(f"{quoted(given)} has no address that exists; {remedy}") from None
        if is_bracketed == (address.version == 6):
            return host, int(port)
    elif _HOST.fullmatch(host):
        return host, int(port)
    raise ValueError(f"{quoted(given)} has no host that can be read; {remedy}")


def base_path(value: TomlValue) -> str:
    """Return the path that stands before those of a listener, empty or with a slash at its beginning alone."""
    given = text(value)
    if given and (not _BASE_PATH.fullmatch(given) or {".", ".."} & set(given.split("/"))):
        raise ValueError(f"{quoted(given)} is no base path; write one as /bot, without a slash at its end")
    return given


def public_url(value: TomlValue) -> str:
    """Return the URL of a listener as others reach it, without a slash at its end."""
    given = text(value)
    try:
        parts = urlsplit(given)
        is_fit = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and "@" not in parts.netloc
    except ValueError:
        is_fit = False
    if not is_fit or not given.isascii() or set(given) & set("?#\\ "):
        raise ValueError("is no URL; write https://HOST, without user, query and fragment")
    return given.rstrip("/")


def proxy(value: TomlValue) -> str:
    """Return the address or the network of a trusted proxy in its usual form."""
    given = text(value)
    try:
        return str(ipaddress.ip_network(given)) if "/" in given else str(ipaddress.ip_address(given))
    except ValueError as error:
        meant = "; is its beginning meant, with zeros?" if "host bits" in str(error) else ""
        raise ValueError(f"{quoted(given)} is no IP address and no network such as 10.0.0.0/8{meant}") from None


def outcome(value: TomlValue) -> Outcome:
    """Return an ending that a worker hears of."""
    return Outcome(one_of(value, tuple(Outcome)))


def log_level(value: TomlValue) -> int:
    """Return a level as the module logging numbers it."""
    return int(_LEVELS[one_of(value, tuple(_LEVELS))])


def one_of(value: TomlValue, words: tuple[str, ...]) -> str:
    """Return one of the words."""
    given = text(value)
    if given not in words:
        raise ValueError(f"{quoted(given)} is none of {', '.join(words)}")
    return given


def quoted(given: str) -> str:
    """Quote what somebody wrote, shortened; a token of Slack that stands in a wrong place is left out."""
    if given.lower().startswith("xox"):
        return "a token of Slack"
    return repr(given if len(given) <= 60 else given[:60] + "…")
