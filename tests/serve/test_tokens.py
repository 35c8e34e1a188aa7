"""The bearer token of a request says whose questions it is about, and nothing else does."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pendingctl.demo.slack_server import FakeSlack

from .applications import QUESTION, AssembledPod, assembled, bearer, written
from .pods import OTHER_TOKEN, TOKEN, configuration

# Whether a question, or a route below it, is there nobody learns without a token.
PATHS = (
    ("GET", "/questions?for=U1"),
    ("POST", "/questions"),
    ("GET", "/questions/q"),
    ("GET", "/questions/unknown"),
    ("POST", "/questions/q/withdraw"),
    ("POST", "/questions/unknown/withdraw"),
)

WRONG: tuple[list[bytes], ...] = (
    [],
    [b""],
    [b"Bearer"],
    [b"Bearer "],
    [b"Bearer x"],
    [TOKEN.encode()],
    [b"Bearer" + TOKEN.encode()],
    [b"Bearer\t" + TOKEN.encode()],
    [b"Basic " + TOKEN.encode()],
    [b"Token " + TOKEN.encode()],
    [b"Bearer " + TOKEN.encode() + b" "],
    [b"Bearer " + TOKEN.encode() + b"\0"],
    [b"Bearer " + TOKEN.encode() + b",Bearer x"],
    [b'Bearer "' + TOKEN.encode() + b'"'],
    [b"Bearer " + TOKEN.upper().encode()],
    [b"Bearer " + TOKEN[:-1].encode()],
    [b"Bearer " + hashlib.sha256(TOKEN.encode()).hexdigest().encode()],
    [b"Bearer " + hashlib.sha256(TOKEN.encode()).digest()],
    [b"Bearer \xff\xfe"],
    [b"Bearer \xc3\xa4"],
    [b"Bearer " + b"x" * (1 << 20)],
    [b"Bearer " + TOKEN.encode(), b"Bearer " + TOKEN.encode()],
    [b"Bearer " + TOKEN.encode(), b"Bearer " + OTHER_TOKEN.encode()],
)


async def test_without_one_valid_token_nothing_is_done_and_nothing_learned(pod: AssembledPod) -> None:
    await pod.ask("q")
    del pod.internal.headers["Authorization"]

    for values in WRONG:
        headers = [(b"authorization", value) for value in values]
        refused = [
            await pod.internal.request(method, path, headers=headers, json=QUESTION if method == "POST" else None)
            for method, path in PATHS
        ]

        assert {each.status_code for each in refused} == {401}, values
        assert {each.headers["WWW-Authenticate"] for each in refused} == {"Bearer"}
        assert len({each.content for each in refused}) == 1
    assert (await pod.internal.get("/questions/q", headers=bearer(TOKEN))).json()["outcome"] is None


async def test_the_scheme_is_read_in_any_case_and_before_any_spaces(pod: AssembledPod) -> None:
    await pod.ask("q")

    for value in (f"Bearer {TOKEN}", f"bearer {TOKEN}", f"BEARER   {TOKEN}"):
        assert (await pod.internal.get("/questions/q", headers={"Authorization": value})).status_code == 200


async def test_two_tokens_are_valid_at_once_while_one_is_replaced(dsn: str, slack: FakeSlack, tmp_path: Path) -> None:
    text = configuration(slack_url=slack.url, worker_url=None)
    old, new = (hashlib.sha256(each.encode()).hexdigest() for each in (TOKEN, "another-token-of-acme"))

    async with assembled(written(tmp_path, text.replace(f'["{old}"]', f'["{old}", "{new}"]')), dsn) as pod:
        asked = [await pod.ask("q", token=each) for each in (TOKEN, "another-token-of-acme")]

    assert [each.status_code for each in asked] == [201, 200]


async def test_an_organization_without_a_token_has_no_access(dsn: str, slack: FakeSlack, tmp_path: Path) -> None:
    text = configuration(slack_url=slack.url, worker_url=None)
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()

    async with assembled(written(tmp_path, text.replace(f'token_sha256 = ["{digest}"]', "")), dsn) as pod:
        refused = [await pod.ask("q"), await pod.ask("q", token="")]

    assert [each.status_code for each in refused] == [401, 401]


async def test_a_token_opens_its_own_organization_alone(pod: AssembledPod) -> None:
    """Both have a connection `slack`, and ask a user of the same id."""
    await pod.ask("q")
    headers = bearer(OTHER_TOKEN)

    read = await pod.internal.get("/questions/q", headers=headers)
    withdrawn = await pod.internal.post("/questions/q/withdraw", headers=headers)
    listed = await pod.internal.get("/questions?for=U1", headers=headers)
    asked = await pod.ask("q", token=OTHER_TOKEN)

    assert (read.status_code, withdrawn.status_code, asked.status_code) == (404, 404, 409)
    assert listed.json() == {"questions": [], "after": None}


async def test_probes_and_metrics_need_no_token(pod: AssembledPod) -> None:
    del pod.internal.headers["Authorization"]

    statuses = [(await pod.internal.get(path)).status_code for path in ("/healthz", "/metrics", "/openapi.json")]

    assert statuses == [200, 200, 200]
