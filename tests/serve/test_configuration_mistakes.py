"""What is said of each mistake in serve's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from pendingctl.errors import InvalidInput
from pendingctl.serve.configuration import load, problems
from tests.serve.configurations import ENVIRON, TOKEN, configured

PUBLIC, TEAM = 'listen = "0.0.0.0:3000"', 'team = "T1"'
WORKER = "[worker]\nurl = 'https://w/'"

# What is replaced, by what, and what is said of it.
MISTAKES = [
    # Listeners.
    (PUBLIC, 'listen = "0.0.0.0"', "public.listen: '0.0.0.0' has no port; write host:port, as 127.0.0.1:3000"),
    (PUBLIC, 'listen = ":3000"', "public.listen: ':3000' has no host that can be read; write"),
    (PUBLIC, 'listen = "::1:3000"', "public.listen: '::1:3000' has no host that can be read; write"),
    (PUBLIC, 'listen = "[::1]"', "public.listen: '[::1]' has no port"),
    (PUBLIC, 'listen = "[10.0.0.1]:80"', "public.listen: '[10.0.0.1]:80' has no host that can be read"),
    (PUBLIC, 'listen = "300.0.0.1:80"', "public.listen: '300.0.0.1:80' has no address that exists"),
    (PUBLIC, 'listen = "a:65536"', "public.listen: 'a:65536' has a port over 65535"),
    (PUBLIC, "listen = 3000", "public.listen: expected text, not a whole number"),
    (PUBLIC, "", "public.listen: is missing"),
    ('"127.0.0.1:3001"', '"127.0.0.1:3000"', "internal.listen: is the address of the public listener; give it another"),
    ('"127.0.0.1:3001"', '"0.0.0.0:3000"', "internal.listen: is the address of the public listener; give it another"),
    (PUBLIC, PUBLIC + '\nbase_path = "/bot/"', "public.base_path: '/bot/' is no base path; write one as /bot"),
    (PUBLIC, PUBLIC + '\nbase_path = "bot"', "public.base_path: 'bot' is no base path"),
    (PUBLIC, PUBLIC + '\nbase_path = "/a?b"', "public.base_path: '/a?b' is no base path"),
    (PUBLIC, PUBLIC + '\nbase_path = "/a/../b"', "public.base_path: '/a/../b' is no base path"),
    (PUBLIC, PUBLIC + '\nbase_path = "/a\\nb"', "public.base_path: '/a\\nb' is no base path"),
    (PUBLIC, PUBLIC + '\nurl = "bot.example.com"', "public.url: is no URL; write https://HOST"),
    (PUBLIC, PUBLIC + '\nurl = "https://bot.example.com/?a"', "public.url: is no URL"),
    (PUBLIC, PUBLIC + '\nurl = "https://[bot"', "public.url: is no URL"),
    ('"127.0.0.1:3001"', '"127.0.0.1:3001"\nurl = "https://x"', "internal.url: there is no such key; known here are"),
    (PUBLIC, PUBLIC + '\ntrusted_proxies = "::1"', "public.trusted_proxies: expected a list, not text"),
    (PUBLIC, PUBLIC + '\ntrusted_proxies = ["::1", "*"]', "public.trusted_proxies[1]: '*' is no IP address and no"),
    (
        *(PUBLIC, PUBLIC + '\ntrusted_proxies = ["10.0.0.7/8"]'),
        "public.trusted_proxies[0]: '10.0.0.7/8' is no IP address and no network such as 10.0.0.0/8; is its beginning",
    ),
    (PUBLIC, PUBLIC + '\ntls = { certificate = "tls.crt" }', "public.tls.certificate: the file "),
    # The other tables.
    ("[public]", "[shutdown]\nwithin = '5s'\n[public]", "shutdown.within: must be above the delay of 5s"),
    (
        *("[public]", "[shutdown]\nwithin = '8s'\n[public]"),
        "shutdown.within: must be above the delay of 5s by 4s or more: the clicks that come last are replied to in it",
    ),
    ("[public]", "[shutdown]\ndelay = 5\n[public]", 'shutdown.delay: expected a duration such as "90s", not a whole'),
    (
        "[public]",
        "[shutdown]\ndelay = '5'\n[public]",
        "shutdown.delay: '5' is not a duration; write 90s, 30m, 24h or 7d",
    ),
    ("[public]", "[sweep]\nevery = '0s'\n[public]", "sweep.every: '0s' is out of range"),
    ("[public]", "[sweep]\nlimit = 0\n[public]", "sweep.limit: is 0; it must be at least 1"),
    ("[public]", "[sweep]\nlimit = true\n[public]", "sweep.limit: expected a whole number, not true"),
    ("[public]", "[database]\nconnections = 2\n[public]", "database.connections: is 2; it must be at least 3"),
    ("[public]", f"[database]\nconnections = {10**30}\n[public]", "database.connections: is over 2,147,483,647"),
    ("[public]", "[database]\ndsn = ' '\n[public]", "database.dsn: the secret is empty"),
    (
        "[public]",
        "[database]\ndsn = 'embedded:/srv'\n[public]",
        "database.dsn: the local server is for commands on one",
    ),
    *(
        ("[public]", f"[limits]\n{given}\n[public]", f"limits.{said}")
        for given, said in (
            ("questions = 5", "questions: expected a table, not a whole number"),
            ("questions = {}", "questions.rate: is missing"),
            ("questions = { rate = 5 }", "questions.per: is missing"),
            ("questions = { rate = 0, per = '1m' }", "questions.rate: is 0; it must be at least 1"),
            ("clicks = { rate = 1, per = 60 }", 'clicks.per: expected a duration such as "90s", not a whole number'),
            ("clicks = { rate = 1, per = '1m', burst = 0 }", "clicks.burst: is 0; it must be at least 1"),
            ("clicks = { rate = 9000000, per = '1s' }", "clicks: a limit of 9000000 per 1s is more than one a micro"),
            ("clicks = { rate = 1, per = '3000d', burst = 9 }", "clicks: a burst of 9 comes back after more than"),
            ("clicks = { rate = 1, per = '1m', bursts = 9 }", "clicks.bursts: there is no such key; is 'burst' meant?"),
            ("press = { rate = 1, per = '1m' }", "press: there is no such key; known here are questions, clicks"),
        )
    ),
    ("[public]", "[logs]\nformat = 'xml'\n[public]", "logs.format: 'xml' is none of text, json"),
    ("[public]", "[logs]\nlevel = 'DEBUG'\n[public]", "logs.level: 'DEBUG' is none of debug, info, warning, error"),
    ("[public]", WORKER + "\noutcomes = []\n[public]", "worker.outcomes: is empty; name one at least"),
    (
        "[public]",
        WORKER + "\noutcomes = ['won']\n[public]",
        "worker.outcomes[0]: 'won' is none of answered, defaulted, e",
    ),
    ("[public]", WORKER + "\nsecret = 'abc'\n[public]", "worker.secret: a secret given as text begins with whsec_"),
    ("[public]", "[worker]\nurl = 'ftp://h/'\n[public]", "worker.url: the worker's URL names no host"),
    ("[public]", "[worker]\n[public]", "worker.url: is missing"),
    # Slack.
    ("[public]", "[slack]\nbase_url = 'slack.com'\n[public]", "slack.base_url: Slack's base URL cannot be read"),
    (
        "[public]",
        "[slack]\nreply_base = 'https://h/x'\n[public]",
        "slack.reply_base: the base of Slack's response URLs",
    ),
    ("[public]", "[slack]\nconfirm = 'yes'\n[public]", "slack.confirm: expected true, false or a table, not text"),
    ("[public]", "[slack.confirm]\ndeny = ' '\n[public]", "slack.confirm: the words ' ' are empty or over 30"),
    (
        "[public]",
        "[slack.confirm]\nyes = 'a'\n[public]",
        "slack.confirm.yes: there is no such key; known here are title",
    ),
    ("A1]", "B1]", "slack.apps.B1: 'B1' is no id of an app; one begins with A, as A0123456789"),
    (
        "SECRET",
        "SECRETS",
        "slack.apps.A1.signing_secrets[0]: the environment variable SLACK_SIGNING_SECRETS is not set",
    ),
    ('[{ env = "SLACK_SIGNING_SECRET" }]', "[]", "slack.apps.A1.signing_secrets: is empty; name one at least"),
    ('[{ env = "SLACK_SIGNING_SECRET" }]', "['a', 'b', 'c']", "slack.apps.A1.signing_secrets: has 3 values; 2 at most"),
    ('[{ env = "SLACK_SIGNING_SECRET" }]', "['a ']", "slack.apps.A1.signing_secrets[0]: the secret has white space at"),
    ('[{ env = "SLACK_SIGNING_SECRET" }]', "[' ']", "slack.apps.A1.signing_secrets[0]: the secret is empty"),
    # Connections.
    (TEAM, 'team = "X9"', "organizations.acme.connections.slack.team: 'X9' is no id of a workspace; one begins with T"),
    (TEAM, 'team = "t1"', "organizations.acme.connections.slack.team: 't1' is no id of a workspace"),
    (TEAM, f'team = "{TOKEN}"', "organizations.acme.connections.slack.team: a token of Slack is no id of a workspace"),
    (TEAM, 'enterprise = "T1"', "organizations.acme.connections.slack.enterprise: 'T1' is no id of an organization of"),
    (TEAM, "", "organizations.acme.connections.slack.team: is missing; name the workspace, or the enterprise"),
    (TEAM, TEAM + '\nallowed_teams = ["U1"]', "organizations.acme.connections.slack.allowed_teams[0]: 'U1' is no id"),
    ('app = "A1"', 'app = "A2"', "organizations.acme.connections.slack.app: there is no app A2 among slack.apps; add"),
    (
        '{ env = "SLACK_BOT_TOKEN" }',
        '"xoxp-1"',
        "organizations.acme.connections.slack.token: is a user's token, not the",
    ),
    ('{ env = "SLACK_BOT_TOKEN" }', '"pl"', "organizations.acme.connections.slack.token: is something else, not the"),
    (
        *('{ env = "SLACK_BOT_TOKEN" }', "7"),
        'organizations.acme.connections.slack.token: expected a string, { env = "NAME" } or { file = "/path" }',
    ),
    (
        *('{ env = "SLACK_BOT_TOKEN" }', '{ env = "A", file = "b" }'),
        'organizations.acme.connections.slack.token: expected a string, { env = "NAME" } or { file = "/path" }',
    ),
    # Names and keys.
    ("acme", f'"{"a" * 256}"', f"organizations.{'a' * 256}: the id has 256 characters; at most 255 are allowed"),
    ("team", "teams", "organizations.acme.connections.slack.teams: there is no such key; is 'team' meant?"),
    ("[public]", "poda = 1\n[public]", "poda: there is no such key; is 'pod' meant?"),
    (
        "[public]",
        "application = '\\u0000'\n[public]".replace("'", '"'),
        "application: the application's name holds a NUL",
    ),
    ("[public]", "pod = ''\n[public]", "pod: the pod's name is empty"),
    ("[public]", "sweep = true\n[public]", "sweep: expected false or a table, not true"),
    ("[public]", "worker = 1\n[public]", "worker: expected a table, not a whole number"),
]


@pytest.mark.parametrize(("old", "new", "said"), MISTAKES, ids=[said[:60] for *_, said in MISTAKES])
def test_a_mistake_is_said_in_one_line_with_its_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = configured(tmp_path, (old, new))

    found = problems(path, ENVIRON)

    assert found[0].removeprefix(f"{path}: ").startswith(said)
    assert all(line.isprintable() for line in found)
    with pytest.raises(InvalidInput):
        load(path, ENVIRON)
