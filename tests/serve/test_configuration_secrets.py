"""Secrets of serve's configuration: where they are read from, and that nothing shows them."""

from __future__ import annotations

from pathlib import Path

import pytest

from pendingctl.errors import InvalidInput
from pendingctl.serve.configuration import load, problems, secrets_of
from tests.serve.configurations import ENVIRON, OTHER, PLANTED, STREAM_KEY, WORKER_PASSWORD, configured, problem


def with_secret_file(folder: Path, content: bytes, name: str = "secret") -> Path:
    (folder / "secret").write_bytes(content)
    return configured(folder, ('{ env = "SLACK_BOT_TOKEN" }', f'{{ file = "{name}" }}'))


@pytest.mark.parametrize("content", [b"xoxb-1", b"xoxb-1\n", b"xoxb-1\r\n"])
def test_a_secret_of_a_file_has_no_line_end(tmp_path: Path, content: bytes) -> None:
    (connection,) = load(with_secret_file(tmp_path, content), ENVIRON).organizations["acme"].connections

    assert connection.token == "xoxb-1"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"xoxb-1\n\n", "is something else, not the token of a bot"),
        (b"xoxb-\xff", "is not UTF-8"),
        (b"x" * (64 * 1024 + 1), "is over 64 KiB"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, content: bytes, said: str) -> None:
    assert said in problem(with_secret_file(tmp_path, content))


@pytest.mark.parametrize("name", ["elsewhere", "."])
def test_a_secret_that_cannot_be_read_names_its_file(tmp_path: Path, name: str) -> None:
    found = problem(with_secret_file(tmp_path, b"", name))

    assert found.startswith(f"organizations.acme.connections.slack.token: the file {tmp_path / name} cannot be read: ")


def test_a_variable_that_is_empty_or_no_utf8_is_refused(tmp_path: Path) -> None:
    path, key = configured(tmp_path), "organizations.acme.connections.slack.token: the environment variable SLACK_BOT"

    assert problem(path, {**ENVIRON, "SLACK_BOT_TOKEN": ""}) == f"{key}_TOKEN is empty"
    assert problem(path, {**ENVIRON, "SLACK_BOT_TOKEN": "xoxb-\udcff"}) == f"{key}_TOKEN is not UTF-8"


def test_nothing_shows_a_secret(tmp_path: Path) -> None:
    shown = repr(load(with_worker(tmp_path), ENVIRON))

    assert [secret for secret in PLANTED if secret in shown] == []
    assert "db.example.com" not in shown


WRONG_SECRETS = [
    # A value of a wrong type or form wherever a secret stands, and the secret in places where none does.
    *[
        (f'[worker]\nurl = "https://w/"\nsecret = {value}', "worker")
        for value in ('"{}"', '["{}"]', '{{ env = ["{}"] }}')
    ],
    *[
        (f"[database]\ndsn = {value}", "database")
        for value in ('"x://{}"', '"host={} x"', '{{ url = "{}" }}', '["{}"]')
    ],
    *[(f"[worker]\nurl = {value}", "worker") for value in ('"ftp://u:{}@h/"', '"https://u:{}@h:x/"', '{{ a = "{}" }}')],
    *[(f"[organizations.b]\ntoken_sha256 = {value}", "organizations") for value in ('"{}"', '["{}"]', '[["{}"]]')],
    *[(f"[slack.apps.A2]\nsigning_secrets = {value}", "slack") for value in ('"{}"', '["{} "]', '{{ a = "{}" }}')],
    *[(f"{OTHER.replace(chr(39) + 'xoxb-2' + chr(39), value)}team = 'T2'", "") for value in ('"{}"', '["xoxb-{}"]')],
    ('[public.tls]\nkey = "a"\n"{}" = 1 1', ""),
    ('[database]\ndsn = "{}', ""),
    ('[database]\ndsn = "{}"\ndsn = "{}"', ""),
]


@pytest.mark.parametrize(("more", "table"), WRONG_SECRETS)
def test_no_error_quotes_a_secret(tmp_path: Path, more: str, table: str) -> None:
    planted = "planted-in-the-file"
    path = configured(tmp_path, more=more.format(planted, planted))

    with pytest.raises(InvalidInput) as raised:
        load(path, ENVIRON)

    assert table in str(raised.value)
    for said in [*problems(path, ENVIRON), *chained(raised.value)]:
        assert [secret for secret in (planted, *PLANTED) if secret in said] == []


def chained(error: BaseException | None) -> list[str]:
    """Return what an exception and all that hang on it hold."""
    said = []
    while error is not None:
        said += [repr(error), str(vars(error))]
        error = error.__cause__ or error.__context__
    return said


def test_all_secrets_are_known_in_each_form_that_an_error_quotes(tmp_path: Path) -> None:
    path = with_worker(tmp_path)
    encoded = {**ENVIRON, "PENDINGCTL_DSN": "postgresql://bot:p%40ss-word@db/bot"}

    assert secrets_of(load(path, ENVIRON)) == set(PLANTED)
    assert secrets_of(load(path, encoded)) >= {"p%40ss-word", "p@ss-word"}
    with path.open("a") as file:
        file.write('[streams]\nkeys = [{ env = "STREAM_KEY" }]\nlisten_dsn = "postgresql://bot:heard@db/bot"\n')
    assert secrets_of(load(path, ENVIRON)) == {*PLANTED, STREAM_KEY, "heard"}
    path.write_text(path.read_text().replace(f"user:{WORKER_PASSWORD}", "to%2Fken"))
    assert secrets_of(load(path, ENVIRON)) >= {"to%2Fken", "to/ken"}


def with_worker(folder: Path) -> Path:
    url = f"https://user:{WORKER_PASSWORD}@worker.example.com/answers"
    return configured(folder, more=f'[worker]\nurl = "{url}"\nsecret = {{ env = "WORKER_SECRET" }}')
