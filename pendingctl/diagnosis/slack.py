"""What is known of a connection to Slack: its token and scopes, and the URL that Slack sends presses to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .findings import Finding, Verdict, fail, ok, unknown, warn

# docs.slack.dev, the pages of chat.postMessage, conversations.open and conversations.history, "Scopes".
NEEDED_SCOPES: Mapping[str, str] = {
    "chat:write": "cards are posted and edited",
    "im:write": "a person's direct messages are opened",
}
HISTORY_SCOPES: Mapping[str, str] = {
    "channels:history": "in public channels",
    "groups:history": "in private channels",
    "im:history": "in direct messages",
}

_INSTALL = "install the app again (page 'OAuth & Permissions') and configure its new Bot User OAuth Token"
# docs.slack.dev, "auth.test method", "Errors". Whatever else it answers is not the token's fault.
_REFUSALS: Mapping[str, tuple[str, str]] = {
    "invalid_auth": ("is not valid", _INSTALL),
    "not_authed": ("is empty", _INSTALL),
    "token_revoked": ("was revoked, or the app was removed", _INSTALL),
    "account_inactive": ("is that of an app or a person that was removed", _INSTALL),
    "token_expired": ("has expired", "turn token rotation off for the app, which serve does not take part in"),
    "not_allowed_token_type": ("is of another kind than a bot's", _INSTALL),
    "org_login_required": ("waits for the workspace's move into its organization of Slack", "wait until it has moved"),
    "team_added_to_org": ("waits for the workspace's move into its organization of Slack", "wait until it has moved"),
    "ekm_access_denied": ("is kept out by the workspace's administrators", "have them let the app in"),
    "team_access_not_granted": ("has no access to the workspace", "have an administrator of Slack grant it"),
    "access_denied": ("has no access", "have an administrator of Slack grant it"),
}


@dataclass(frozen=True, slots=True)
class Installation:
    """An app and where it is installed; None for what is not configured, or not known."""

    app_id: str | None
    team_id: str | None
    enterprise_id: str | None


@dataclass(frozen=True, slots=True)
class Token:
    """What the token of a connection is configured for, and what auth.test replied: the token's own, or an error.

    `is_bot` is whether the reply names a bot; `is_for_organization` is its `is_enterprise_install`.
    """

    configured: Installation
    found: Installation | None
    is_bot: bool
    is_for_organization: bool
    error: str | None


def judge_token(facts: Token) -> Finding:
    """Whether the token is a bot's, and that of the app and the workspace that presses are looked up by."""
    if facts.found is None:
        return _judge_refusal(facts.error or "no error")
    if not facts.is_bot:
        return fail(
            "the token is a user's: cards would be posted in that person's name",
            "configure the Bot User OAuth Token of the page 'OAuth & Permissions', which begins with xoxb-",
        )
    if (other := _difference(facts)) is not None:
        return fail(f"{other}: its presses would not lead to this connection", f"mend the configuration, or {_INSTALL}")
    if facts.found.enterprise_id is not None and facts.configured.enterprise_id is None:
        return warn(
            f"the token is a bot's, of {_place(facts.found)}, and organization {facts.found.enterprise_id} is not "
            "configured: whoever Slack names by it is a stranger, and can answer nothing",
            f'add enterprise = "{facts.found.enterprise_id}" to the connection',
        )
    return ok(f"the token is a bot's, of {_place(facts.found)}")


def _judge_refusal(code: str) -> Finding:
    if code not in _REFUSALS:
        return unknown(f"auth.test says nothing of the token: {code}", "try again later")
    meaning, remedy = _REFUSALS[code]
    return fail(f"the token {meaning} ({code}): no card is posted or edited", remedy)


def _difference(facts: Token) -> str | None:
    """Return in what the token is that of another installation than the configured one."""
    configured, found = facts.configured, facts.found
    assert found is not None
    if found.app_id is not None and found.app_id != configured.app_id:
        return f"the token is that of app {found.app_id}, and {configured.app_id} is configured"
    if facts.is_for_organization:
        # Such a token may name its organization where others name a workspace.
        if configured.team_id is not None:
            # Presses in such an installation name no workspace.
            return f"the token is for {_place(found)}, all of it, and workspace {configured.team_id} is configured"
        of_organization = {found.enterprise_id, found.team_id}
        if configured.enterprise_id not in of_organization:
            return f"the token is for {_place(found)}, and organization {configured.enterprise_id} is configured"
        return None
    if configured.team_id is None:
        return (
            f"the token is for {_place(found)} alone, and all of organization {configured.enterprise_id} is configured"
        )
    if found.team_id != configured.team_id:
        return f"the token is for {_place(found)}, and workspace {configured.team_id} is configured"
    if configured.enterprise_id not in (None, found.enterprise_id):
        return f"the token is for {_place(found)}, and organization {configured.enterprise_id} is configured"
    return None


def _place(found: Installation) -> str:
    workspace = f"workspace {found.team_id}" if found.team_id and not found.team_id.startswith("E") else ""
    organization = f"organization {found.enterprise_id}" if found.enterprise_id else ""
    return " of ".join(filter(None, (workspace, organization))) or f"organization {found.team_id}"


@dataclass(frozen=True, slots=True)
class Scopes:
    """What a reply's header `x-oauth-scopes` lists; None where there was none."""

    granted: frozenset[str] | None


def judge_scopes(facts: Scopes) -> Finding:
    """Whether the token may do what cards need, and find a card again that may have been posted."""
    if facts.granted is None:
        return unknown("Slack's reply names no scopes", "look at the page 'OAuth & Permissions' of the app")
    needed = {scope: what for scope, what in NEEDED_SCOPES.items() if scope not in facts.granted}
    history = {scope: where for scope, where in HISTORY_SCOPES.items() if scope not in facts.granted}
    if not needed and not history:
        return ok(f"the token has every scope that is used: {', '.join((*NEEDED_SCOPES, *HISTORY_SCOPES))}")
    lacks = [f"{scope}, with which {what}" for scope, what in needed.items()]
    if history:
        looked_for = ", ".join(f"{scope} ({where})" for scope, where in history.items())
        lacks.append(f"{looked_for}, with which a card is looked for whose post ended without a reply")
    remedy = (
        f"add {', '.join((*needed, *history))} under 'Bot Token Scopes' (page 'OAuth & Permissions') and install the "
        "app again"
    )
    return (fail if needed else warn)(f"the token lacks {'; and '.join(lacks)}", remedy)


@dataclass(frozen=True, slots=True)
class Probe:
    """How a request was answered: the reply's status, or the error where there was no reply."""

    status: int | None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The URL that Slack should send presses to, and how it answered a request without and one with our signature.

    `url` is None where none is configured. A probe that was not made is None. The signed one holds no press.
    """

    url: str | None
    unsigned: Probe | None
    signed: Probe | None


def judge_interactivity(facts: Endpoint) -> Finding:
    """Whether a press that Slack sends would reach a pod; one with a signature that is refused is not judged here."""
    if facts.url is None or facts.unsigned is None:
        return unknown(
            "it is not configured where Slack reaches the pods, so nothing was tried",
            "set public.url to where the load balancer is reached",
        )
    if (finding := _judge_reach(facts.url, facts.unsigned)) is not None:
        return finding
    if facts.unsigned.status != 401:
        return fail(
            f"{facts.url} answers a request without a signature with {facts.unsigned.status}, not 401: what answers is "
            "no pod of ours, or changes the requests",
            "mend the balancer's route, or public.url and public.base_path",
        )
    if facts.signed is not None and facts.signed.status != 401:
        if (finding := _judge_reach(facts.url, facts.signed)) is not None:
            return finding
        if facts.signed.status != 200:
            return fail(
                f"{facts.url} answers a signed request with {facts.signed.status}, not 200: people would see an error",
                "look at the pods' log, and at what stands between",
            )
    return Finding(
        Verdict.OK,
        f"{facts.url} is reached from here, and refuses what is not signed",
        (
            "no bot's token can read where Slack sends presses: compare this URL with 'Request URL' on the app's page "
            "'Interactivity & Shortcuts'",
        ),
    )


def _judge_reach(url: str, probe: Probe) -> Finding | None:
    if probe.status is None:
        return fail(
            f"{url} cannot be reached from here: {probe.error or 'no reply'}",
            "mend its name, certificate or route; Slack has to reach it from the internet within 3 s",
        )
    if 300 <= probe.status < 400:
        return fail(
            f"{url} answers with {probe.status}, which leads elsewhere: a press would be lost on the way",
            "configure the URL that it leads to",
        )
    if probe.status >= 500:
        return fail(
            f"{url} answers with {probe.status}: no pod behind it takes presses",
            "look at /readyz of the pods, and at the balancer's log",
        )
    return None


def judge_signature(facts: Endpoint) -> Finding:
    """Whether the pods take what is signed with the secret that is configured here."""
    status = None if facts.signed is None else facts.signed.status
    if status == 401:
        return fail(
            "the pods refuse a request that is signed with the secret configured here: they have another one, or a "
            "clock that is five minutes off, or something in between changes the body",
            "give the pods the Signing Secret of the app's page 'Basic Information', and restart them",
            "compare the clocks (timedatectl)",
        )
    if status == 200 and facts.unsigned is not None and facts.unsigned.status == 401:
        return ok("the pods take what is signed with the secret configured here, and refuse what is not signed")
    return unknown(
        "it cannot be judged before the URL answers as a pod does", "mend what interactivity has found first"
    )
