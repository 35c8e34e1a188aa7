"""doctor slack: what it finds of tokens, scopes and the URL of presses, where all is well and where it is not."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import os
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from pendingctl.demo.faults import Fault
from pendingctl.demo.slack_server import FakeSlack
from pendingctl.demo.workspaces import SCOPES
from pendingctl.diagnosis.findings import Verdict
from pendingctl.diagnosis.slack import HISTORY_SCOPES, NEEDED_SCOPES, Installation
from pendingctl.doctor import Check
from pendingctl.doctor.slack import Connection, examine_slack
from tests.certificates import make_certificate
from tests.commands import complaint, run
from tests.listener import Listener
from tests.processes import printed

from .conftest import Deployment
from .pods import ROOT, SIGNING_SECRET, TOKEN, configuration, served

pytestmark = pytest.mark.once

OK, UNKNOWN, WARN, FAIL = Verdict
ACME = Connection(
    organization_id="acme", connection_id="slack", installation=Installation("A1", "T1", None), token="xoxb-acme"
)
SECRETS = {"A1": [SIGNING_SECRET.encode()]}


async def command(file: Path, *arguments: str) -> tuple[int | None, str, str]:
    """Run the command in a process of its own, since this one has Slack; its exit code, and what it prints."""
    ended = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pendingctl", "doctor", "slack", "--config", str(file), *arguments),
        # No database of this name is there, and none is looked for.
        env={**os.environ, "SERVE_DSN": "postgresql://nobody@192.0.2.1/none", "SLACK_SIGNING_SECRET": SIGNING_SECRET}
        | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await printed(ended)
    return ended.returncode, stdout.decode(), stderr.decode()


def configured(slack: FakeSlack, folder: Path, *, url: str | None) -> Path:
    """A configuration that names the URL of presses, or none."""
    file = folder / "serve.toml"
    text = configuration(slack_url=slack.url, worker_url=None)
    file.write_text(text.replace("[public]\n", f'[public]\nurl = "{url}"\n') if url else text, encoding="utf-8")
    return file


def found(checks: list[Check], name: str) -> Check:
    (check,) = [each for each in checks if each.name == name]
    return check


async def examined(
    slack: FakeSlack,
    *,
    connection: Connection = ACME,
    url: str | None = None,
    secrets: Mapping[str, list[bytes]] = SECRETS,
) -> list[Check]:
    return await examine_slack([connection], base_url=slack.url, url=url, signing_secrets=secrets)


async def test_a_deployment_as_it_should_be_passes(deployment: Deployment, tmp_path: Path) -> None:
    file = configured(deployment.slack, tmp_path, url=deployment.balancer.origin)

    code, printed, complained = await command(file, "-o", "json")

    assert (code, complained) == (0, "")
    document = json.loads(printed)
    assert [(each["check"], each["verdict"]) for each in document["checks"]] == [
        *(("token", "ok"), ("scopes", "ok")) * 2,
        *(("interactivity", "ok"), ("signature", "ok")),
    ]
    assert document["verdict"] == "ok"
    assert document["checks"][0]["finding"] == "acme/slack: the token is a bot's, of workspace T1"
    for secret in (SIGNING_SECRET, TOKEN, "xoxb-"):
        assert secret not in printed
    # Nothing but the tokens was tried, and nobody was shown anything.
    assert {method for method, _ in deployment.slack.calls} == {"auth.test"}
    assert deployment.slack.messages("C2") == []


async def test_the_base_path_is_a_part_of_the_url(slack: FakeSlack, dsn: str, tmp_path: Path) -> None:
    text = configuration(slack_url=slack.url, worker_url=None).replace("[public]\n", '[public]\nbase_path = "/bot"\n')
    file = tmp_path / "serve.toml"
    async with served(text, dsn, tmp_path) as pod:
        url = f"http://127.0.0.1:{pod.public_port}"
        file.write_text(text.replace("[public]\n", f'[public]\nurl = "{url}"\n'), encoding="utf-8")
        there = await command(file, "-o", "json")
        # As if the balancer took the base path away.
        file.write_text(file.read_text("utf-8").replace("/bot", "/other"), encoding="utf-8")
        elsewhere = await command(file, "-o", "json")

    assert (there[0], elsewhere[0]) == (0, 1)
    finding = json.loads(elsewhere[1])["checks"][4]["finding"]
    assert finding.startswith(f"{url}/other/slack answers a request without a signature with 404")


async def test_every_format_holds_the_same_checks(slack: FakeSlack, tmp_path: Path) -> None:
    slack.installations["xoxb-acme"] = replace(slack.installations["xoxb-acme"], error="token_revoked")
    file = configured(slack, tmp_path, url=None)

    printed = {}
    for kind in ("table", "json", "jsonl", "csv"):
        code, printed[kind], complained = await command(file, "-o", kind)
        assert (code, complained) == (1, "")

    checks = json.loads(printed["json"])["checks"]
    names = [(each["check"], each["verdict"]) for each in checks]
    assert list(checks[0]) == ["check", "verdict", "finding", "remedies", "facts"]
    as_lines = [json.loads(line) for line in printed["jsonl"].splitlines()]
    assert [(each["check"], each["verdict"]) for each in as_lines] == names
    as_csv = csv.DictReader(io.StringIO(printed["csv"]))
    assert [(each["check"], each["verdict"]) for each in as_csv] == names
    assert "fail     token" in printed["table"]
    assert printed["table"].splitlines()[-1] == "6 checks: 1 fail, 2 unknown, 3 ok"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("token_revoked", "acme/slack: the token was revoked"),
        ("invalid_auth", "acme/slack: the token is not valid"),
        ("account_inactive", "acme/slack: the token is that of an app or a person that was removed"),
    ],
)
async def test_a_token_that_slack_refuses_fails(slack: FakeSlack, error: str, said: str) -> None:
    slack.installations["xoxb-acme"] = replace(slack.installations["xoxb-acme"], error=error)

    finding = found(await examined(slack), "token").finding

    assert (finding.verdict, finding.sentence.startswith(said)) == (FAIL, True)


async def test_the_token_of_another_workspace_fails(slack: FakeSlack) -> None:
    finding = found(await examined(slack, connection=replace(ACME, token="xoxb-globex")), "token").finding

    assert finding.verdict is FAIL
    assert "for workspace T2, and workspace T1 is configured" in finding.sentence


async def test_the_token_of_an_organization_of_slack_is_known_by_its_id(slack: FakeSlack) -> None:
    everywhere = replace(ACME, installation=Installation("A1", None, "E1"), token="xoxb-initech")

    checks = await examined(slack, connection=everywhere)

    assert found(checks, "token").finding.verdict is OK
    assert found(await examined(slack, connection=replace(ACME, token="xoxb-initech")), "token").finding.verdict is FAIL


async def test_the_token_of_another_app_fails_where_slack_names_the_app(slack: FakeSlack) -> None:
    reply = {"ok": True, "team_id": "T1", "user_id": "UB1", "bot_id": "B1", "app_id": "A9"}
    slack.fail("auth.test", Fault(body=json.dumps(reply), content_type="application/json"))

    finding = found(await examined(slack), "token").finding

    assert finding.verdict is FAIL
    assert "that of app A9, and A1 is configured" in finding.sentence


async def test_a_persons_token_fails(slack: FakeSlack) -> None:
    reply = {"ok": True, "team_id": "T1", "user_id": "U1"}
    slack.fail("auth.test", Fault(body=json.dumps(reply), content_type="application/json"))

    assert "is a user's" in found(await examined(slack), "token").finding.sentence


@pytest.mark.parametrize("scope", sorted({*NEEDED_SCOPES, *HISTORY_SCOPES}))
async def test_each_missing_scope_is_named(slack: FakeSlack, scope: str) -> None:
    slack.installations["xoxb-acme"] = replace(slack.installations["xoxb-acme"], scopes=SCOPES - {scope})

    checks = await examined(slack)

    finding = found(checks, "scopes").finding
    assert finding.verdict is (FAIL if scope in NEEDED_SCOPES else WARN)
    assert finding.remedies[0].startswith(f"add {scope} under")
    assert found(checks, "token").finding.verdict is OK


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Fault(error="ratelimited", status=429, retry_after="30"), "of the token: ratelimited"),
        (Fault(error="internal_error", status=500), "of the token: internal_error"),
        (Fault(body="<html>", status=503), "of the token: 503 and no error of Slack"),
        (Fault(body="<html>"), "of the token: "),
        (Fault(hangs_up=True), "of the token: ServerDisconnectedError"),
    ],
)
async def test_trouble_of_slacks_says_nothing_of_a_token(slack: FakeSlack, fault: Fault, said: str) -> None:
    slack.fail("auth.test", fault)

    finding = found(await examined(slack), "token").finding

    assert (finding.verdict, said in finding.sentence) == (UNKNOWN, True), finding.sentence


async def test_a_slack_that_is_not_there_is_unknown() -> None:
    checks = await examine_slack([ACME], base_url="http://127.0.0.1:9/api/", url=None, signing_secrets=SECRETS)

    assert [check.finding.verdict for check in checks] == [UNKNOWN] * 4


async def test_a_silent_slack_is_given_up_on(slack: FakeSlack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pendingctl.platforms.slack.calls.REPLY_SECONDS", 0.5)
    slack.fail("auth.test", Fault(is_silent=True))

    finding = found(await examined(slack), "token").finding

    assert finding.verdict is UNKNOWN
    assert "no reply within" in finding.sentence


async def test_without_a_url_the_key_that_names_it_is_named(slack: FakeSlack) -> None:
    checks = await examined(slack)

    finding = found(checks, "interactivity").finding
    assert finding.verdict is UNKNOWN
    assert "public.url" in finding.remedies[0]
    assert found(checks, "signature").finding.verdict is UNKNOWN


async def test_a_pod_with_another_signing_secret_fails(deployment: Deployment) -> None:
    url = f"{deployment.balancer.origin}/slack"

    checks = await examined(deployment.slack, url=url, secrets={"A1": [SIGNING_SECRET.encode(), b"another-secret"]})

    assert found(checks, "interactivity").finding.verdict is OK
    signatures = [each.finding for each in checks if each.name == "signature"]
    assert [each.verdict for each in signatures] == [OK, FAIL]
    assert signatures[1].sentence.startswith("app A1, secret 2: the pods refuse a request")


@asynccontextmanager
async def elsewhere(
    status: int, *, location: str | None = None, context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, list[Mapping[str, str]]]]:
    """What is no pod: it answers everything with one status. Its URL, and the headers of each request to it."""
    seen: list[Mapping[str, str]] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.headers)
        return web.Response(status=status, headers={} if location is None else {"Location": location})

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    try:
        scheme = "http" if context is None else "https"
        yield f"{scheme}://127.0.0.1:{runner.addresses[0][1]}/slack", seen
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "said"),
    [(404, "with 404, not 401"), (200, "with 200, not 401"), (502, "with 502: no pod behind it")],
)
async def test_a_url_that_leads_to_something_else_fails_and_is_sent_no_signature(
    slack: FakeSlack, status: int, said: str
) -> None:
    async with elsewhere(status) as (url, seen):
        checks = await examined(slack, url=url)

    finding = found(checks, "interactivity").finding
    assert (finding.verdict, said in finding.sentence) == (FAIL, True), finding.sentence
    assert found(checks, "signature").finding.verdict is UNKNOWN
    assert ["X-Slack-Signature" in headers for headers in seen] == [False]


async def test_a_redirect_fails_and_is_not_followed(slack: FakeSlack) -> None:
    async with elsewhere(401) as (target, followed), elsewhere(308, location=target) as (url, _):
        finding = found(await examined(slack, url=url), "interactivity").finding

    assert finding.verdict is FAIL
    assert "with 308, which leads elsewhere" in finding.sentence
    assert followed == []


async def test_what_refuses_everything_passes_for_no_pod(slack: FakeSlack) -> None:
    async with elsewhere(401) as (url, _):
        checks = await examined(slack, url=url)

    assert found(checks, "signature").finding.verdict is FAIL


async def test_a_refused_connection_and_an_unknown_certificate_are_named(slack: FakeSlack, tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)

    refused = found(await examined(slack, url="http://127.0.0.1:9/slack"), "interactivity").finding
    async with elsewhere(401, context=context) as (url, seen):
        untrusted = found(await examined(slack, url=url), "interactivity").finding

    assert (refused.verdict, untrusted.verdict) == (FAIL, FAIL)
    assert "cannot be reached from here: Connection refused" in refused.sentence
    assert "its certificate is refused, self-signed certificate" in untrusted.sentence
    assert seen == []


async def test_a_plain_listener_under_https_and_a_silent_one_are_named(
    slack: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:  # noqa: ARG001
        await reader.read()

    async with elsewhere(401) as (url, _):
        plain = found(await examined(slack, url=url.replace("http", "https")), "interactivity").finding
    monkeypatch.setattr("pendingctl.doctor.slack.PROBE_SECONDS", 0.5)
    silent = Listener(silence)
    port = await silent.start()
    try:
        finding = found(await examined(slack, url=f"http://127.0.0.1:{port}/slack"), "interactivity").finding
    finally:
        await silent.stop()

    assert "no reply within" in finding.sentence
    assert "TLS fails" in plain.sentence


@pytest.mark.parametrize("missing", ["aiohttp", "slack_sdk", "starlette"])
async def test_a_missing_extra_is_named(slack: FakeSlack, tmp_path: Path, missing: str) -> None:
    file = configured(slack, tmp_path, url=None)
    program = f"import sys; sys.modules[{missing!r}] = None; from pendingctl.__main__ import main; main()"

    ended = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, "doctor", "slack", "--config", str(file)),
        env={**os.environ, "SERVE_DSN": "service=bot", "SLACK_SIGNING_SECRET": SIGNING_SECRET, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    stdout, stderr = await printed(ended)

    assert (ended.returncode, stdout) == (2, b"")
    assert b"needs an optional part; install it with: pip install" in stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("slack",), "--config FILE"),
        (("slack", "--config", "serve.toml", "--dsn", "service=bot"), "--dsn is for the check of the database"),
        (("slack", "--config", "serve.toml", "--max-age", "1h"), "--max-age is for the check of the database"),
        (("slack", "--config", "nowhere/serve.toml"), "nowhere/serve.toml"),
        (("--config", "serve.toml"), "--config is for pendingctl doctor slack"),
        (("discord",), "'discord' is not"),
    ],
)
def test_options_that_make_no_sense_are_refused(arguments: tuple[str, ...], said: str) -> None:
    assert said in complaint(run("doctor", *arguments), 2)
