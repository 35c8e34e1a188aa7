"""What doctor makes of a connection to Slack: tables of facts and verdicts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pendingctl.diagnosis.findings import Verdict
from pendingctl.diagnosis.slack import (
    HISTORY_SCOPES,
    NEEDED_SCOPES,
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

OK, UNKNOWN, WARN, FAIL = Verdict

HERE = Installation("A1", "T1", None)
BOT = Token(configured=HERE, found=HERE, is_bot=True, is_for_organization=False, error=None)
GRID = Installation("A1", "T1", "E1")
ORGANIZATION = Installation("A1", None, "E1")
# As auth.test names an organization of Slack: with or without its id as that of a workspace.
FOR_ALL = Token(ORGANIZATION, Installation("A1", "E1", "E1"), is_bot=True, is_for_organization=True, error=None)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (BOT, "of workspace T1"),
        (replace(BOT, found=Installation(None, "T1", None)), "of workspace T1"),
        (replace(BOT, configured=GRID, found=GRID), "of workspace T1 of organization E1"),
        (FOR_ALL, "of organization E1"),
        (replace(FOR_ALL, found=ORGANIZATION), "of organization E1"),
        (replace(FOR_ALL, found=Installation("A1", "E1", None)), "of organization E1"),
    ],
)
def test_a_token_of_the_configured_installation_is_fine(facts: Token, said: str) -> None:
    finding = judge_token(facts)

    assert (finding.verdict, finding.sentence) == (OK, f"the token is a bot's, {said}")


def test_an_organization_that_is_not_configured_makes_strangers_of_its_people() -> None:
    """Slack may name whoever belongs to a workspace of it by the organization alone."""
    finding = judge_token(replace(BOT, found=GRID))

    assert finding.verdict is WARN
    assert "organization E1 is not configured" in finding.sentence
    assert 'enterprise = "E1"' in finding.remedies[0]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        # Its presses come without a workspace.
        (replace(FOR_ALL, configured=GRID), "all of it, and workspace T1 is configured"),
        (replace(BOT, is_bot=False), "the token is a user's"),
        (replace(BOT, found=Installation("A2", "T1", None)), "that of app A2, and A1 is configured"),
        (replace(BOT, found=Installation("A1", "T2", None)), "for workspace T2, and workspace T1 is configured"),
        (replace(BOT, configured=GRID), "for workspace T1, and organization E1 is configured"),
        (replace(BOT, configured=ORGANIZATION, found=GRID), "alone, and all of organization E1 is configured"),
        (replace(FOR_ALL, configured=HERE), "for organization E1, all of it, and workspace T1 is configured"),
        (replace(FOR_ALL, configured=Installation("A1", None, "E2")), "for organization E1, and organization E2 is"),
    ],
)
def test_a_token_of_another_installation_or_of_a_person_fails(facts: Token, said: str) -> None:
    finding = judge_token(facts)

    assert finding.verdict is FAIL
    assert said in finding.sentence
    assert finding.remedies


@pytest.mark.parametrize(
    ("error", "verdict", "said"),
    [
        ("invalid_auth", FAIL, "the token is not valid (invalid_auth)"),
        ("token_revoked", FAIL, "was revoked"),
        ("account_inactive", FAIL, "was removed"),
        ("token_expired", FAIL, "has expired"),
        ("ratelimited", UNKNOWN, "the token: ratelimited"),
        ("internal_error", UNKNOWN, "the token: internal_error"),
        (None, UNKNOWN, "the token: no error"),
    ],
)
def test_a_token_that_slack_refuses_fails_and_trouble_of_slacks_is_unknown(
    error: str | None, verdict: Verdict, said: str
) -> None:
    finding = judge_token(replace(BOT, found=None, error=error))

    assert (finding.verdict, said in finding.sentence) == (verdict, True)
    assert finding.remedies


ALL = frozenset({*NEEDED_SCOPES, *HISTORY_SCOPES, "commands"})


@pytest.mark.parametrize(
    ("granted", "verdict", "lacks"),
    [
        (ALL, OK, ()),
        (ALL - {"chat:write"}, FAIL, ("chat:write",)),
        (ALL - {"im:write"}, FAIL, ("im:write",)),
        (ALL - {"im:write", "im:history"}, FAIL, ("im:write", "im:history")),
        (ALL - {"groups:history"}, WARN, ("groups:history",)),
        (ALL - {*HISTORY_SCOPES}, WARN, tuple(HISTORY_SCOPES)),
        (frozenset(), FAIL, (*NEEDED_SCOPES, *HISTORY_SCOPES)),
    ],
)
def test_each_scope_that_is_missing_is_named_with_what_it_is_for(
    granted: frozenset[str], verdict: Verdict, lacks: tuple[str, ...]
) -> None:
    finding = judge_scopes(Scopes(granted))

    assert finding.verdict is verdict
    if lacks:
        assert finding.remedies[0].startswith(f"add {', '.join(lacks)} under 'Bot Token Scopes'")
        uses = {**NEEDED_SCOPES, **HISTORY_SCOPES}
        assert {scope for scope, use in uses.items() if scope in finding.sentence and use in finding.sentence} == {
            *lacks
        }


def test_scopes_that_slack_does_not_name_are_unknown() -> None:
    assert judge_scopes(Scopes(None)).verdict is UNKNOWN


URL = "https://bot.example.com/slack"


def endpoint(unsigned: int | None, signed: int | None) -> Endpoint:
    return Endpoint(URL, *(Probe(status, None if status else "timed out") for status in (unsigned, signed)))


@pytest.mark.parametrize(
    ("facts", "interactivity", "said", "signature"),
    [
        (endpoint(401, 200), OK, "is reached from here, and refuses what is not signed", OK),
        # The secret's fault is named once.
        (endpoint(401, 401), OK, "is reached from here", FAIL),
        (endpoint(401, 404), FAIL, "answers a signed request with 404, not 200", UNKNOWN),
        (endpoint(401, 503), FAIL, "answers with 503: no pod behind it", UNKNOWN),
        (endpoint(401, None), FAIL, "cannot be reached from here: timed out", UNKNOWN),
        (endpoint(200, 200), FAIL, "answers a request without a signature with 200, not 401", UNKNOWN),
        (endpoint(404, 404), FAIL, "answers a request without a signature with 404, not 401", UNKNOWN),
        (endpoint(301, 301), FAIL, "answers with 301, which leads elsewhere", UNKNOWN),
        (endpoint(502, 502), FAIL, "answers with 502: no pod behind it takes presses", UNKNOWN),
        (endpoint(None, None), FAIL, "cannot be reached from here: timed out", UNKNOWN),
        (Endpoint(URL, Probe(401), None), OK, "is reached from here", UNKNOWN),
        (Endpoint(None, None, None), UNKNOWN, "nothing was tried", UNKNOWN),
    ],
)
def test_the_url_is_judged_by_what_it_answers(
    facts: Endpoint, interactivity: Verdict, said: str, signature: Verdict
) -> None:
    finding = judge_interactivity(facts)

    assert (finding.verdict, said in finding.sentence) == (interactivity, True)
    assert judge_signature(facts).verdict is signature


def test_what_slacks_own_settings_name_is_left_to_a_person() -> None:
    (remedy,) = judge_interactivity(endpoint(401, 200)).remedies

    assert "compare this URL with 'Request URL' on the app's page 'Interactivity & Shortcuts'" in remedy
