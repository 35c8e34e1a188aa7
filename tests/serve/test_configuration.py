"""serve's configuration: what it means, and what is said of each mistake in it."""

from __future__ import annotations

import re
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from pendingctl.errors import InvalidInput
from pendingctl.model import Outcome
from pendingctl.platforms.slack import Confirm
from pendingctl.serve.configuration import Connection, LogFormat, Sweep, Tls, load, problems
from tests.certificates import Certificate, encrypt_key, make_certificate
from tests.serve.configurations import (
    ENVIRON,
    EXAMPLE,
    OTHER,
    PASSWORD,
    SECRET,
    TOKEN,
    WORKER_KEY,
    configured,
    problem,
)

PUBLIC, TEAM = 'listen = "0.0.0.0:3000"', 'team = "T1"'


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


def test_the_example_is_valid_and_shows_the_defaults(tmp_path: Path) -> None:
    example = load(EXAMPLE, ENVIRON)

    (connection,) = example.organizations["acme"].connections
    assert connection == Connection(
        organization_id="acme",
        connection_id="slack",
        app_id="A0123456789",
        team_id="T0123456789",
        enterprise_id=None,
        token=TOKEN,
        allowed_teams=frozenset(),
    )
    assert example.slack.apps["A0123456789"].signing_secrets == (SECRET.encode(),)
    assert example.dsn == ENVIRON["PENDINGCTL_DSN"]
    least = load(configured(tmp_path), ENVIRON)
    for table in ("application", "pod", "connections", "public", "internal", "shutdown", "sweep", "logs"):
        assert getattr(least, table) == getattr(example, table)
    assert (least.slack.base_url, least.slack.reply_base, least.slack.confirm) == (
        *(example.slack.base_url, example.slack.reply_base),
        None,
    )


def test_every_key_of_the_example_that_is_commented_out_can_be_written(
    tmp_path: Path, certificate: Certificate
) -> None:
    """Those that say which value is the default say the truth, and the others are valid."""
    text = re.sub(r"(?m)^# (\w+ = )", r"\1", EXAMPLE.read_text())
    text = re.sub(r"(?m)^confirm = \{.*\n", "", text)
    text = text.replace("/etc/pendingctl/tls.crt", str(certificate.certificate))
    path = tmp_path / "serve.toml"
    path.write_text(text.replace("/etc/pendingctl/tls.key", str(certificate.key)))

    written, example = load(path, ENVIRON), load(EXAMPLE, ENVIRON)

    assert (written.application, written.connections) == (example.application, example.connections)
    assert (written.shutdown, written.sweep, written.logs) == (example.shutdown, example.sweep, example.logs)
    assert (written.worker, written.slack) == (example.worker, example.slack)
    assert written.streams is not None
    assert example.streams is not None
    assert (written.streams.ticket_lifetime, written.streams.clients) == (timedelta(minutes=10), 5_000)
    assert (written.streams.keys, written.streams.origins) == (example.streams.keys, ("https://app.example.com",))
    assert (written.streams.listen_dsn, example.streams.listen_dsn) == (ENVIRON["PENDINGCTL_DSN"], None)
    assert (written.pod, written.public_url) == ("bot-7", "https://bot.example.com")
    assert written.public.trusted_proxies == ("10.0.0.0/8",)
    assert written.public.tls == written.internal.tls == Tls(certificate=certificate.certificate, key=certificate.key)
    (connection,) = written.organizations["acme"].connections
    assert (connection.enterprise_id, connection.allowed_teams) == ("E0123456789", frozenset({"T9876543210"}))
    assert written.organizations["acme"].token_digests == (bytes(32),)


def test_all_that_can_be_given_is_read(tmp_path: Path) -> None:
    path = configured(
        tmp_path,
        first='application = "deploys"\npod = "bot-7"\nsweep = false',
        more=f"""
[database]
dsn = {{ file = "dsn" }}
connections = 3
[worker]
url = "https://worker.internal/answers"
secret = "{WORKER_KEY}"
outcomes = ["withdrawn", "expired"]
[shutdown]
delay = "1s"
within = "2m"
[logs]
format = "json"
level = "warning"
[slack]
base_url = "http://127.0.0.1:9/api"
reply_base = "http://127.0.0.1:9"
confirm = {{ title = "Sure?" }}
[organizations.other]
token_sha256 = ["{"aB" * 32}", "{"cd" * 32}"]
[organizations.other.connections.one]
app = "A1"
enterprise = "E1"
token = "xoxb-2"
allowed_teams = ["T8", "T9"]
""",
    )
    (tmp_path / "dsn").write_text("host=db dbname=bot\n")

    read = load(path, {**ENVIRON, "PENDINGCTL_DSN": ""})

    assert (read.application, read.pod, read.sweep) == ("deploys", "bot-7", None)
    assert (read.dsn, read.connections) == ("host=db dbname=bot", 3)
    assert read.worker is not None
    assert (read.worker.url, read.worker.secret) == ("https://worker.internal/answers", WORKER_KEY)
    assert read.worker.outcomes == {Outcome.WITHDRAWN, Outcome.EXPIRED}
    assert (read.shutdown.delay, read.shutdown.within) == (timedelta(seconds=1), timedelta(minutes=2))
    assert (read.logs.format, read.logs.level) == (LogFormat.JSON, 30)
    assert (read.slack.base_url, read.slack.reply_base) == ("http://127.0.0.1:9/api/", "http://127.0.0.1:9")
    assert read.slack.confirm == Confirm(title="Sure?")
    other = read.organizations["other"]
    assert other.token_digests == (b"\xab" * 32, b"\xcd" * 32)
    assert (other.connections[0].team_id, other.connections[0].enterprise_id) == (None, "E1")
    assert other.connections[0].allowed_teams == {"T8", "T9"}


@pytest.mark.parametrize(
    ("environ", "dsn"),
    [
        ({"PENDINGCTL_DSN": "dbname=a", "DATABASE_URL": "dbname=b"}, "dbname=a"),
        ({"PENDINGCTL_DSN": "", "DATABASE_URL": "dbname=b"}, "dbname=b"),
        ({"PGHOST": "db"}, ""),
    ],
)
def test_without_a_connection_string_the_environment_names_the_database(
    tmp_path: Path, environ: dict[str, str], dsn: str
) -> None:
    assert load(configured(tmp_path), {**ENVIRON, "PENDINGCTL_DSN": "", **environ}).dsn == dsn


def test_a_database_that_nobody_names_is_a_problem(tmp_path: Path) -> None:
    assert "database.dsn: no database is named; set it, or" in problem(
        configured(tmp_path), {**ENVIRON, "PENDINGCTL_DSN": ""}
    )


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("embedded", "database.dsn: as PENDINGCTL_DSN has it: the local server is for commands on one machine"),
        (f"postgresql://u:{PASSWORD}@@h:x/d", "database.dsn: as PENDINGCTL_DSN has it: malformed connection string"),
    ],
)
def test_a_variable_that_names_no_database_for_many_pods_is_a_problem(tmp_path: Path, variable: str, said: str) -> None:
    assert problem(configured(tmp_path), {**ENVIRON, "PENDINGCTL_DSN": variable}).startswith(said)


@pytest.mark.parametrize(
    ("written", "host", "port"),
    [
        ("localhost:80", "localhost", 80),
        ("[::1]:3000", "::1", 3000),
        ("[::]:3000", "::", 3000),
        ("10.0.0.7:0", "10.0.0.7", 0),
        ("bot.internal:65535", "bot.internal", 65535),
    ],
)
def test_a_listener_has_a_host_and_a_port(tmp_path: Path, written: str, host: str, port: int) -> None:
    public = load(configured(tmp_path, ("0.0.0.0:3000", written)), ENVIRON).public

    assert (public.host, public.port) == (host, port)


def test_any_free_port_may_be_taken_twice(tmp_path: Path) -> None:
    path = configured(
        tmp_path, ('0.0.0.0:3000"\n[internal]\nlisten = "127.0.0.1:3001', '[::1]:0"\n[internal]\nlisten = "[::1]:0')
    )

    assert load(path, ENVIRON).internal.port == 0


def test_a_name_that_is_no_bare_key_is_quoted_in_the_path(tmp_path: Path) -> None:
    path = configured(tmp_path, ('acme.connections.slack]\napp = "A1"', '"a\\n.b".connections.slack]\napp = "B1"'))

    assert problem(path).startswith('organizations."a\\n.b".connections.slack.app: ')


def test_all_mistakes_of_a_file_are_listed_and_the_first_says_how_many_there_are_more(tmp_path: Path) -> None:
    path = configured(tmp_path, (TEAM, 'tem = "T1"'), first="pod = 7", more="[logs]\nlevel = 1")

    assert [each.removeprefix(f"{path}: ") for each in problems(path, ENVIRON)] == [
        "pod: expected text, not a whole number",
        "logs.level: expected text, not a whole number",
        "organizations.acme.connections.slack.tem: there is no such key; is 'team' meant?",
        "organizations.acme.connections.slack.team: is missing; name the workspace, or the enterprise of an install "
        "for all of it",
    ]
    with pytest.raises(InvalidInput, match=r"pod: expected text, not a whole number \(and 3 more: .*--check\)$"):
        load(path, ENVIRON)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"pod = \n", r"Invalid value \(at line 1, column 7\)"),
        (b"[public]\nlisten = 'a:1'\nlisten = 'b:1'\n", r"Cannot overwrite a value \(at line 3, column 15\)"),
        (b"pod = '\xff'", "is not UTF-8"),
        (b"a = " + b"[" * 100_000, "nested too deeply|Unclosed array|Invalid value"),
        (b"pod = 1" + b"0" * 5_000, "limit"),
        (b"#" * (1024 * 1024 + 1), "is over 1024 KiB"),
    ],
)
def test_a_file_that_is_no_toml_says_where(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "serve.toml"
    path.write_bytes(content)

    assert re.search(said, problem(path))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "cannot be read: No such file or directory" in problem(tmp_path / "serve.toml")
    assert "cannot be read: Is a directory" in problem(tmp_path)


def test_an_empty_file_names_what_is_missing(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text("")

    assert [each.removeprefix(f"{path}: ") for each in problems(path, ENVIRON)] == [
        *("public: is missing", "public.listen: is missing"),
        *("internal: is missing", "internal.listen: is missing", "organizations: is missing"),
    ]


def test_no_organization_at_all_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "serve.toml"
    path.write_text("[public]\nlisten = 'a:1'\n[internal]\nlisten = 'a:2'\n[organizations]\n")

    assert problem(path) == "organizations: names none; add one, as organizations.acme"


def test_workspaces_of_one_organization_of_slack_may_be_two_connections(tmp_path: Path) -> None:
    second = "[organizations.acme.connections.two]\ntoken = 'xoxb-2'\napp = 'A1'\nteam = 'T2'\nenterprise = 'E1'"
    path = configured(tmp_path, (TEAM, 'team = "T1"\nenterprise = "E1"'), more=second)

    one, two = load(path, ENVIRON).organizations["acme"].connections
    assert [each.installed_in for each in (one, two)] == ["T1", "T2"]
    assert one.home == {"T1", "E1"}


@pytest.mark.parametrize("place", ['team = "T1"', 'enterprise = "E1"'])
@pytest.mark.parametrize("organization", ["acme", "other"])
def test_a_press_leads_to_one_connection(tmp_path: Path, place: str, organization: str) -> None:
    second = f"[organizations.{organization}.connections.two]\ntoken = 'xoxb-2'\napp = 'A1'\n{place}"
    path = configured(tmp_path, (TEAM, place), more=second)

    key, id = re.findall(r'(\w+) = "(\w+)"', place)[0]
    assert problem(path) == (
        f"organizations.{organization}.connections.two.{key}: a press in {id} would lead to "
        "organizations.acme.connections.slack as well; an app is in it once"
    )


def test_a_bots_token_has_one_connection(tmp_path: Path) -> None:
    """By a token that was copied along with its table one tenant's questions would be posted in another's workspace."""
    path = configured(tmp_path, more=f"{OTHER.replace('xoxb-2', TOKEN)}team = 'T2'")

    assert problem(path) == (
        "organizations.other.connections.two.token: is also that of organizations.acme.connections.slack, where it "
        "would post; each workspace has its own"
    )


def test_two_apps_may_be_in_one_workspace(tmp_path: Path) -> None:
    more = f"[slack.apps.A2]\nsigning_secrets = ['s2']\n{OTHER.replace('A1', 'A2')}\nteam = 'T1'"

    assert len(load(configured(tmp_path, more=more), ENVIRON).organizations) == 2


def test_a_token_has_one_organization(tmp_path: Path) -> None:
    digests = "[organizations.{}]\ntoken_sha256 = ['{}']\n"
    path = configured(tmp_path, more=digests.format("one", "ab" * 32) + digests.format("two", "AB" * 32))

    assert problem(path) == "organizations.two.token_sha256: a token is also that of organizations.one"


@pytest.mark.parametrize(
    ("digests", "said"),
    [
        (f"['{TOKEN}']", "token_sha256[0]: expected the 64 hex digits of a token's SHA-256, not the token; printf"),
        ("[7]", "token_sha256[0]: expected the SHA-256 of a token, not a whole number"),
        (f"['{sha256().hexdigest()}']", "token_sha256[0]: is the SHA-256 of nothing: the token was empty"),
        (f"['{'1' * 64}', '{'2' * 64}', '{'3' * 64}']", "token_sha256: has 3 values; 2 at most are allowed"),
        (f"['{'a' * 64}', '{'A' * 64}']", "token_sha256: a token is also that of organizations.one"),
    ],
)
def test_a_tokens_digest_is_a_digest_and_never_shown(tmp_path: Path, digests: str, said: str) -> None:
    path = configured(tmp_path, more=f"[organizations.one]\ntoken_sha256 = {digests}")

    assert problem(path).startswith(f"organizations.one.{said}")


def test_a_certificate_and_its_key_belong_together(tmp_path: Path, certificate: Certificate) -> None:
    other = make_certificate(tmp_path, "other")

    def with_tls(certificate: Path, key: Path) -> Path:
        return configured(tmp_path, (PUBLIC, f"{PUBLIC}\ntls = {{ certificate = '{certificate}', key = '{key}' }}"))

    assert load(with_tls(certificate.certificate, certificate.key), ENVIRON).public.tls is not None
    assert load(with_tls(Path("other.crt"), Path("other.key")), ENVIRON).public.tls is not None
    assert problem(with_tls(certificate.certificate, other.key)).startswith(
        f"public.tls.key: the file {other.key} holds no key of this certificate"
    )
    assert problem(with_tls(other.key, other.key)).startswith(f"public.tls.certificate: the file {other.key} holds no")
    assert problem(with_tls(other.certificate, tmp_path / "no.key")).startswith(
        f"public.tls.key: the file {tmp_path / 'no.key'} cannot be read: No such file"
    )


def test_an_encrypted_key_is_refused_and_its_password_not_asked_for(tmp_path: Path, certificate: Certificate) -> None:
    encrypted = encrypt_key(certificate, tmp_path / "encrypted.key")
    tls = f"{PUBLIC}\ntls = {{ certificate = '{certificate.certificate}', key = '{encrypted}' }}"

    assert problem(configured(tmp_path, (PUBLIC, tls))).endswith("or one that is encrypted")


def test_the_sweeper_has_its_usual_figures_where_none_are_given(tmp_path: Path) -> None:
    assert load(configured(tmp_path), ENVIRON).sweep == Sweep(
        every=timedelta(minutes=5), max_age=timedelta(hours=24), keep_trail=timedelta(days=30), limit=1000
    )


def test_there_are_no_streams_unless_they_are_configured(tmp_path: Path) -> None:
    assert load(configured(tmp_path), ENVIRON).streams is None


def test_all_mistakes_of_streams_are_found_at_once(tmp_path: Path) -> None:
    more = """
        [streams]
        keys = ["too short", { env = "NONE" }]
        ticket_lifetime = "soon"
        origins = ["*", "https://app.example.com/", "https://app.example.com:443", "https://app.example.com:8443"]
        clients = 0
        listen_dsn = "embedded"
        key = "x"
    """
    said = [each.partition(": streams")[2] for each in problems(configured(tmp_path, more=more), ENVIRON)]
    beginnings = (
        ".key:",
        ".keys[0]:",
        ".keys[1]:",
        ".ticket_lifetime:",
        *(f".origins[{place}]:" for place in range(3)),
    )
    assert len(said) == len(beginnings) + 2
    assert all(each.startswith(beginning) for each, beginning in zip(said, beginnings, strict=False))
    assert "too short" not in " ".join(said)
    assert problem(configured(tmp_path, more="[streams]\n")).startswith("streams.keys: is missing")
