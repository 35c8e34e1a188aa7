"""What README.md says of a deployment is true: its files are taken, and its commands do what they are there for."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from pendingctl.demo.slack_server import FakeSlack
from pendingctl.events.following import Counts
from pendingctl.serve.configuration import load
from pendingctl.serve.metrics import PRESS_OUTCOMES, Metrics
from pendingctl.serve.settings import Shutdown
from pendingctl.sse.app import Sent
from pendingctl.sse.tickets import COOKIE
from tests.certificates import make_certificate

from .pods import ROOT, SIGNING_SECRET, served

pytestmark = pytest.mark.once

README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.split("## Deploy it: `pendingctl serve`\n")[1].split("\n## ")[0]
WITHIN = Shutdown().within.total_seconds()
PLACEHOLDER = "0" * 64
SECRETS = {"SLACK_SIGNING_SECRET": SIGNING_SECRET, "SLACK_BOT_TOKEN": "xoxb-acme"}


def blocks(language: str) -> list[str]:
    """What stands in fences of a language, those in lists too."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", SECTION, re.DOTALL | re.MULTILINE)
    return [textwrap.dedent(text) for _, text in found]


def block(language: str, holds: str = "") -> str:
    (found,) = [each for each in blocks(language) if holds in each]
    return found


def run(command: str, **more: str) -> str:
    """Run a command of README's in a shell."""
    return subprocess.run(
        ["sh", "-ec", command], env={**os.environ, **more}, capture_output=True, text=True, check=True, timeout=60
    ).stdout


def here(command: str, folder: Path) -> str:
    """A command of README's with its program and its files at their places of this test."""
    program = f"{sys.executable} -m pendingctl"
    return command.replace("/opt/pendingctl/bin/pendingctl", program).replace("/etc/pendingctl", str(folder))


def test_the_configuration_is_short_and_needs_what_the_file_of_secrets_has(tmp_path: Path) -> None:
    text = block("toml")
    named = re.findall(r"^([A-Z_]+)='", block("sh", "PENDINGCTL_DSN="), re.MULTILINE)
    (file := tmp_path / "serve.toml").write_text(text, encoding="utf-8")

    configuration = load(file, SECRETS | {"PENDINGCTL_DSN": "postgresql://bot@db.example.com/bot"})

    assert text.count("\n") <= 25
    assert sorted(named) == sorted(re.findall(r'env = "([A-Z_]+)"', text))
    assert configuration.public_url == "https://bot.example.com"
    # Whoever leaves the placeholder there has let nobody in.
    assert configuration.organizations["acme"].token_digests == (bytes.fromhex(PLACEHOLDER),)


async def test_the_numbered_steps_lead_to_the_first_answer(
    slack: FakeSlack, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for program in ("curl", "openssl", "sha256sum"):
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on this machine")
    for name, value in (SECRETS | {"PENDINGCTL_DSN": dsn, "PYTHONPATH": str(ROOT)}).items():
        monkeypatch.setenv(name, value)
    digest = run(here(block("sh", "openssl"), tmp_path)).split()[0]
    text = block("toml")
    for placeholder, value in {
        ":3000": ":0",
        ":3001": ":0",
        "A0123456789": "A1",
        "T0123456789": "T1",
        PLACEHOLDER: digest,
    }.items():
        assert placeholder in text
        text = text.replace(placeholder, value)
    text += f'[slack]\nbase_url = "{slack.url}"\nreply_base = "{slack.origin}"\n'
    file = tmp_path / "serve.toml"
    check, _start = block("sh", "--check").splitlines()

    async with served(text, dsn, tmp_path) as pod:
        url = pod.slack_url.removesuffix("/slack")
        file.write_text(text.replace("https://bot.example.com", url), encoding="utf-8")
        assert await asyncio.to_thread(run, here(check, tmp_path)) == f"{file}: fine\n"
        examined = await asyncio.to_thread(run, here(block("sh", "doctor slack"), tmp_path))
        assert examined.endswith("4 checks: 4 ok\n")
        ask, read = (
            here(block("sh", f"/questions{path}"), tmp_path)
            .replace("http://127.0.0.1:3001", pod.url)
            .replace("U0123456789", "U1")
            .replace("C0123456789", "C2")
            for path in (" ", "/deploy-42")
        )
        asked = json.loads(await asyncio.to_thread(run, ask))
        assert (asked["question_id"], asked["outcome"]) == ("deploy-42", "created")
        await slack.until(lambda: len(slack.messages("C2")) == 1)
        card = slack.messages("C2")[0]

        other = await slack.press("U2", card, "yes", to=pod.slack_url)
        assert (await slack.reply_to(other)).text in SECTION
        await slack.press("U1", card, "yes", to=pod.slack_url)

        answer = json.loads(await asyncio.to_thread(run, read))
        assert (answer["outcome"], answer["value"], answer["answered_by"]) == ("answered", "yes", "U1")


def test_the_unit_is_one_that_systemd_takes_and_leaves_time_to_drain(tmp_path: Path) -> None:
    unit = block("ini")
    (seconds,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert int(seconds) > WITHIN

    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine")
    file = tmp_path / "pendingctl.service"
    file.write_text(unit.replace("/opt/pendingctl/bin/pendingctl", sys.executable), encoding="utf-8")
    verified = subprocess.run(
        [analyze, "verify", "--man=no", str(file)], capture_output=True, text=True, check=False, timeout=30
    )

    # What it says of the machine's other units is no matter.
    assert "pendingctl" not in verified.stderr, verified.stderr
    assert verified.returncode == 0, verified.stderr


def test_the_deployment_leaves_time_to_drain_and_no_gap() -> None:
    text = block("yaml")
    (seconds,) = re.findall(r"terminationGracePeriodSeconds: (\d+) ", text)

    assert int(seconds) > WITHIN
    for line in (
        "  replicas: 2\n",
        "maxUnavailable: 0",
        "path: /readyz, port: internal",
        "path: /healthz, port: internal",
    ):
        assert line in text


def test_the_deployment_migrates_first_and_is_probed_on_the_internal_port() -> None:
    yaml = pytest.importorskip("yaml")
    deployment, public, internal = yaml.safe_load_all(block("yaml"))

    assert [each["kind"] for each in (deployment, public, internal)] == ["Deployment", "Service", "Service"]
    spec = deployment["spec"]
    pod = spec["template"]["spec"]
    (migrate,), (serve,) = pod["initContainers"], pod["containers"]
    assert (migrate["args"], serve["args"][:2]) == (["migrate"], ["serve", "--config"])
    assert migrate["envFrom"] == serve["envFrom"]
    assert [serve[probe]["httpGet"]["port"] for probe in ("readinessProbe", "livenessProbe")] == ["internal"] * 2
    ready = serve["readinessProbe"]
    # One slow reply, as in a burst of presses, makes no pod unready; from SIGTERM on two are over within the delay.
    assert (ready["failureThreshold"], ready["timeoutSeconds"]) == (2, 2)
    assert ready["failureThreshold"] * ready["periodSeconds"] < Shutdown().delay.total_seconds()
    ports = {each["name"]: each["containerPort"] for each in serve["ports"]}
    assert f"`0.0.0.0:{ports['public']}` and `0.0.0.0:{ports['internal']}`" in SECTION
    labels = spec["template"]["metadata"]["labels"]
    assert labels == spec["selector"]["matchLabels"] == public["spec"]["selector"] == internal["spec"]["selector"]
    assert [target(each) for each in (public, internal)] == ["public", "internal"]
    assert "type" not in internal["spec"]
    assert serve["volumeMounts"][0]["name"] == pod["volumes"][0]["name"]


def target(service: Mapping[str, Any]) -> str:
    (port,) = service["spec"]["ports"]
    return str(port["targetPort"])


def test_every_request_field_and_status_of_the_api_is_explained() -> None:
    explained = SECTION.split("### The HTTP API\n")[1].split("\n### ")[0]
    document: dict[str, Any] = json.loads(files("pendingctl.serve").joinpath("openapi.json").read_text("utf-8"))

    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            (row,) = re.findall(rf"[|;] `{method.upper()} {re.escape(path)}(?:\?[^`]*)?`[^\n]*", explained)
            for status in operation["responses"]:
                assert status in (explained if status in ("401", "429", "503") or "openapi" in path else row), (
                    path,
                    status,
                )
    for field in document["components"]["schemas"]["NewQuestion"]["properties"]:
        assert f"`{field}`" in explained


def test_the_client_for_browsers_is_copied_out_of_the_installed_package(tmp_path: Path) -> None:
    (tmp_path / "static").mkdir()
    run(f"cd {tmp_path}; {block('sh', 'stream_client.js').replace('python', sys.executable)}")
    client = files("pendingctl.sse").joinpath("stream_client.js")
    assert (tmp_path / "static/stream_client.js").read_bytes() == client.read_bytes()


def test_nginx_takes_what_is_to_stand_in_front_of_streams(tmp_path: Path) -> None:
    nginx = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if nginx is None:
        pytest.skip("no nginx on this machine; Debian's package is nginx-light")
    certificate = make_certificate(tmp_path)
    server = block("nginx").replace("listen 443 ", f"listen unix:{tmp_path}/socket ")
    assert server != block("nginx")
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid; events {{}} http {{ access_log off; upstream pods {{ server 127.0.0.1:3000; }} server {{ "
        f"ssl_certificate {certificate.certificate}; ssl_certificate_key {certificate.key};\n{server}}} }}",
        encoding="utf-8",
    )
    tested = subprocess.run(
        [nginx, "-t", "-p", str(tmp_path), "-c", "nginx.conf", "-e", "stderr"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert tested.returncode == 0, tested.stderr


def test_every_metric_to_alert_on_exists() -> None:
    metrics = Metrics()
    metrics.watch_streams(lambda: 0, Sent, lambda: Counts(polls=0, pages=0, events=0, heard=0))
    exposed = metrics.exposition()[0].decode()
    named = re.findall(r"`(pendingctl_[a-z_]+)(?:\{outcome=\"([a-z_]+)\"\})?`", SECTION)

    assert len(named) > 5
    for name, outcome in named:
        if name == COOKIE:
            continue
        assert f"# HELP {name} " in exposed, name
        assert not outcome or outcome in PRESS_OUTCOMES
