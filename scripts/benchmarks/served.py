"""Pods of `pendingctl serve` on the stage, a Slack that costs them little, and presses as Slack signs them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import psycopg

from pendingctl.demo import presses
from pendingctl.demo.messages import Message, with_ids
from pendingctl.demo.pods import LISTENING
from pendingctl.demo.workspaces import acme_and_others
from pendingctl.payload import encode_payload
from pendingctl.platforms import ENGLISH
from pendingctl.platforms.slack.blocks import card_message
from pendingctl.pod.card_content import card_of

from .contenders import started
from .stage import ASKED, PAYLOAD, SCOPE, Stage

SECRET = "bench-signing-secret-of-32-characters"
TOKEN = "bench-token-of-32-random-characters"
PROCESSES = Path(__file__).parent / "processes"
_START_SECONDS = 30.0
_STOP_SECONDS = 40.0
# Of the length of the ids that stand in its place.
_PLACE = "q-0000000000"

_CONFIGURATION = """
pod = "bench"
sweep = false

[database]
dsn = {{ env = "BENCH_DSN" }}

[public]
listen = "127.0.0.1:0"

[internal]
listen = "127.0.0.1:0"

[slack]
base_url = "{slack}/api/"
reply_base = "{slack}"

[slack.apps.A1]
signing_secrets = ["{secret}"]

[organizations.{organization}]
token_sha256 = ["{digest}"]

[organizations.{organization}.connections.{connection}]
app = "A1"
team = "T1"
token = "xoxb-acme"
"""

# As a pod leaves them that has posted their cards.
_SHOWN = """
    insert into pending_interactions
        (id, ask_number, organization_id, connection_id, expected_user_id, entry_payload, card)
    select id, 1, %(organization_id)s, %(connection_id)s, %(expected_user_id)s, %(payload)s::jsonb,
           jsonb_build_object('channel', 'C2', 'ts', '1700000000.000001')
    from unnest(%(ids)s::text[]) as id
"""


@dataclass(frozen=True, slots=True)
class ServedPod:
    """A process of `serve`, and its ports."""

    popen: subprocess.Popen[bytes]
    public_port: int
    internal_port: int

    @property
    def url(self) -> str:
        """Where it takes all but Slack's requests."""
        return f"http://127.0.0.1:{self.internal_port}"


@contextmanager
def silent_slack() -> Iterator[str]:
    """A Slack that takes everything; its origin."""
    with ExitStack() as ending:
        process = started(ending, [sys.executable, str(PROCESSES / "silent_slack.py")])
        yield f"http://127.0.0.1:{process.answer('')}"


@contextmanager
def served_pod(stage: Stage, slack: str, *, more: str = "") -> Iterator[ServedPod]:
    """A pod that listens, with `more` tables. Raises RuntimeError where it does not within half a minute."""
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    text = _CONFIGURATION.format(
        slack=slack,
        secret=SECRET,
        digest=digest,
        organization=SCOPE.organization_id,
        connection=SCOPE.connection_id,
    )
    with tempfile.TemporaryDirectory(prefix="pendingctl-bench-") as folder:
        file, log = Path(folder, "serve.toml"), Path(folder, "log")
        file.write_text(f"{text}{more}", encoding="utf-8")
        with log.open("wb") as said:
            # Into a file, as a container's log is read by another process: reading it costs the pod nothing.
            popen = subprocess.Popen(
                [sys.executable, "-m", "pendingctl", "serve", "--config", str(file)],
                env={**os.environ, "BENCH_DSN": stage.dsn},
                stdin=subprocess.DEVNULL,
                stderr=said,
            )
        try:
            yield ServedPod(popen, *_ports(popen, log))
        finally:
            popen.kill()
            popen.wait()


def _ports(popen: subprocess.Popen[bytes], log: Path) -> tuple[int, int]:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if found := LISTENING.search(log.read_text("utf-8")):
            return int(found[1]), int(found[2])
        if popen.poll() is not None:
            break
        time.sleep(0.005)
    raise RuntimeError(f"a pod does not listen: {log.read_text('utf-8')}")


def store_shown(stage: Stage, ids: list[str]) -> None:
    """Store open questions whose cards are posted."""
    with psycopg.connect(stage.dsn, autocommit=True) as connection:
        connection.execute(_SHOWN, {**ASKED, "ids": ids, "payload": encode_payload(PAYLOAD)})
        connection.execute("vacuum analyze pending_interactions")


class Presses:
    """Requests as Slack sends them when the first button of a card is pressed, with the whole message in each."""

    def __init__(self, slack: str) -> None:
        known = acme_and_others(SECRET)
        card = card_message(card_of(_PLACE, 1, PAYLOAD, SCOPE.expected_user_id, wording=ENGLISH))
        blocks = with_ids(card.blocks)
        message = Message(channel="C2", ts="1700000000.000001", text=card.text, user="U0BOT", bot="B1", blocks=blocks)
        self._app = replace(known.apps["A1"], signing_secret=SECRET)
        given = presses.payload(
            known,
            person=known.person("U1"),
            channel=known.channels["C2"],
            message=message,
            button=message.buttons[0],
            response_url=f"{slack}/actions/T1/1/{'a' * 24}",
            now=time.time(),
        )
        self._form = presses.form(given).decode()

    def body(self, id: str, ask_number: int = 1) -> bytes:
        """Return the body for an asking of the question with this id."""
        return self._form.replace(_value_of(_PLACE, 1), _value_of(id, ask_number)).encode()

    def headers(self, body: bytes) -> Mapping[str, str]:
        """Return its headers, signed now."""
        return presses.signed(body, self._app, now=time.time())

    def request(self, id: str) -> bytes:
        """Return all of the request, for a connection that stays open."""
        body = self.body(id)
        head = "".join(f"{name}: {value}\r\n" for name, value in self.headers(body).items())
        length = f"Content-Length: {len(body)}\r\n"
        return f"POST /slack HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}{length}\r\n".encode() + body


def _value_of(id: str, ask_number: int) -> str:
    """What a button carries, as it stands in a form: the beginning of a JSON array in JSON."""
    return quote(f'[\\"{id}\\",{ask_number},')


def cpu_seconds(pid: int) -> float | None:
    """Return the CPU time that a process has used; None on a machine without /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return None
    # proc(5): utime and stime are the 14th and 15th field, and the second ends with the parenthesis.
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """Return how much memory of a process is in use now, in MiB."""
    try:
        # proc(5): the second field of statm is the resident set size in pages.
        pages = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1])
    except OSError:
        said = subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, check=True)
        return int(said.stdout) / 1_024
    return pages * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def peak_mib(pid: int) -> float:
    """Return how much memory of a process was in use at most, in MiB; where no such figure is kept, what is now."""
    try:
        # proc(5): unlike ru_maxrss it does not begin with the peak of the process that it was forked from.
        lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    except OSError:
        return resident_mib(pid)
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1_024


def order(**of: object) -> str:
    """Return an order to a process of the bench, in one line."""
    return json.dumps(of)
