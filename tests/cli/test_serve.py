"""pendingctl serve: what it refuses to start with, in one line each."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import complaint, run
from tests.serve.pods import ROOT, SIGNING_SECRET, configuration

SECONDS = 120


def written(folder: Path, text: str | None = None) -> Path:
    file = folder / "serve.toml"
    usual = configuration(slack_url="http://127.0.0.1:9/api/", worker_url=None)
    file.write_text(usual if text is None else text, encoding="utf-8")
    return file


@pytest.fixture(autouse=True)
def secrets_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SERVE_DSN", "host=127.0.0.1 port=9 dbname=none")
    monkeypatch.setenv("SLACK_SIGNING_SECRET", SIGNING_SECRET)


def process(*arguments: str, program: str = "") -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, to its end."""
    started = (
        [sys.executable, "-m", "pendingctl", "serve", *arguments]
        if not program
        else [sys.executable, "-c", program, "serve", *arguments]
    )
    return subprocess.run(
        started,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_a_configuration_that_is_fine_is_checked_without_a_database(tmp_path: Path) -> None:
    file = written(tmp_path)

    checked = run("serve", "--config", str(file), "--check")

    assert (checked.exit_code, checked.stdout) == (0, f"{file}: fine\n")


def test_a_check_names_each_wrong_key_on_a_line_of_its_own(tmp_path: Path) -> None:
    text = configuration(slack_url="http://127.0.0.1:9/api/", worker_url=None)
    file = written(
        tmp_path,
        text.replace('team = "T1"', 'team = "X1"').replace('app = "A1"', 'app = "A2"').replace("[shutdown]", "[shut]"),
    )

    checked = run("serve", "--config", str(file), "--check")

    assert (checked.exit_code, checked.stdout) == (2, "")
    said = checked.stderr.splitlines()
    assert all(line.startswith(f"{file}: ") for line in said)
    for path in ("shut", "organizations.acme.connections.slack.team", "organizations.globex.connections.slack.app"):
        assert any(line.startswith(f"{file}: {path}: ") for line in said), path


def test_a_wrong_key_is_one_line_at_the_start(tmp_path: Path) -> None:
    text = configuration(slack_url="http://127.0.0.1:9/api/", worker_url=None)
    file = written(tmp_path, text.replace('team = "T1"', 'team = "X1"'))

    said = complaint(run("serve", "--config", str(file)), 2)

    assert said.startswith(f"error: {file}: organizations.acme.connections.slack.team: 'X1' ")


@pytest.mark.parametrize("check", [[], ["--check"]])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, check: list[str]) -> None:
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    torn = written(tmp_path, 'application = "deploys')

    for file in (tmp_path / "missing.toml", tmp_path, binary, torn, Path("/dev/null")):
        refused = run("serve", "--config", str(file), *check)

        assert (refused.exit_code, refused.stdout) == (2, ""), file
        assert str(file) in refused.stderr
        assert "Traceback" not in refused.stderr
        if not check:
            assert refused.stderr.count("\n") == 1


def test_without_a_configuration_it_says_how_to_name_one() -> None:
    assert "--config FILE" in complaint(run("serve"), 2)
    assert "--config FILE" in complaint(run("serve", "--check"), 2)


def test_the_demo_takes_no_configuration(tmp_path: Path) -> None:
    for more in (["--config", str(written(tmp_path))], ["--check"]):
        assert "--demo" in complaint(run("serve", "--demo", *more), 2)


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for which in ("public_port", "internal_port"):
            text = configuration(slack_url="http://127.0.0.1:9/api/", worker_url=None, **{which: port})
            refused = process("--config", str(written(tmp_path, text)))

            assert (refused.returncode, refused.stdout) == (2, "")
            *_, last = refused.stderr.splitlines()
            assert last.startswith(f"error: cannot listen on 127.0.0.1:{port}: ")
            assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("missing", ["uvicorn", "starlette", "h11", "prometheus_client"])
def test_a_missing_extra_is_named(tmp_path: Path, missing: str) -> None:
    program = f"import sys\nsys.modules[{missing!r}] = None\nfrom pendingctl.__main__ import main\nsys.exit(main())"

    refused = process("--config", str(written(tmp_path)), program=program)

    assert refused.returncode == 2
    assert refused.stderr == "error: serve needs an optional part; install it with: pip install 'pendingctl[server]'\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_pod_that_waits_for_its_database_ends_when_it_is_asked_to(tmp_path: Path, number: signal.Signals) -> None:
    text = configuration(slack_url="http://127.0.0.1:9/api/", worker_url=None)
    with subprocess.Popen(
        [sys.executable, "-m", "pendingctl", "serve", "--config", str(written(tmp_path, text))],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            assert running.stderr is not None
            while "listening on" not in (line := running.stderr.readline()):
                assert line
            running.send_signal(number)
            _, said = running.communicate(timeout=SECONDS)
        finally:
            running.kill()

    assert running.returncode == 0
    assert "Traceback" not in said
