"""serve's log: one line a record, which nobody forges and no secret is in."""

from __future__ import annotations

import gc
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pendingctl.logged import about
from pendingctl.serve.configuration import LogFormat, Logs
from pendingctl.serve.logs import set_up
from tests.serve.configurations import PLANTED

FORGED = 'q\n2026-11-27T00:00:00.000Z ERROR lost\x1b[2J\u2028\u202e" organization=evil \x00\x85'
OURS = logging.getLogger("pendingctl.pod.delivery")


@pytest.fixture(autouse=True)
def uncollected() -> Iterator[None]:
    """Leave what other tests have left, of which lines may be logged when it is collected: each line counts."""
    gc.disable()
    yield
    gc.enable()


class Stderr:
    """What was written to stderr, all of it each time."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._written = ""

    def text(self) -> str:
        self._written += self._capsys.readouterr().err
        return self._written


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Stderr:
    return Stderr(capsys)


def lines(stderr: Stderr) -> list[str]:
    return stderr.text().split("\n")[:-1]


def objects(stderr: Stderr) -> list[dict[str, str]]:
    return [json.loads(line) for line in lines(stderr)]


def set_up_json(level: int = logging.INFO, *secrets: str) -> None:
    set_up(Logs(format=LogFormat.JSON, level=level), secrets=secrets)


def set_up_text(level: int = logging.INFO, *secrets: str) -> None:
    set_up(Logs(format=LogFormat.TEXT, level=level), secrets=secrets)


def test_a_line_of_text_says_when_what_and_what_it_is_about(stderr: Stderr) -> None:
    set_up_text()

    with about(organization="acme", question="deploy 1"), about(press="T1:C1"):
        OURS.warning("the worker is %s", "away")
    OURS.info("idle")

    first, second = lines(stderr)
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING pendingctl\.pod\.delivery the worker is away "
        r'organization=acme question="deploy 1" press=T1:C1',
        first,
    )
    assert second.endswith(" INFO pendingctl.pod.delivery idle")


def test_a_line_of_json_has_the_same_in_fields(stderr: Stderr) -> None:
    set_up_json()

    with about(organization="acme", question="deploy-1"):
        OURS.warning("the worker is %s", "away")
    OURS.info("idle")

    first, second = objects(stderr)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first == {
        "level": "WARNING",
        "logger": "pendingctl.pod.delivery",
        "message": "the worker is away",
        "organization": "acme",
        "question": "deploy-1",
    }
    assert second.keys() == {"time", "level", "logger", "message"}


def test_the_time_is_utc(stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    set_up_json()
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        record = logging.makeLogRecord(
            {"msg": "m", "name": "pendingctl", "levelno": logging.INFO, "created": 1_795_744_862.0005}
        )

        logging.getLogger().handle(record)
    time.tzset()

    assert objects(stderr)[0]["time"] == "2026-11-27T02:01:02.000Z"


def test_no_text_forges_a_line_or_a_field(stderr: Stderr) -> None:
    set_up_text()

    with about(organization=FORGED, question="a organization=evil"):
        OURS.error("refused: %s", FORGED, exc_info=ValueError(FORGED))

    written = stderr.text()
    assert written.count("\n") == 1
    assert written.removesuffix("\n").isprintable()
    _, fields = written.split(" organization=", 1)[0], re.findall(r' (\w+)="', written)
    assert fields == ["organization", "question", "exception"]


def test_json_gives_back_what_was_said_in_one_line(stderr: Stderr) -> None:
    set_up_json()

    with about(question=FORGED):
        OURS.error("refused: %s", FORGED + "\udc80\U000e0001")

    written = stderr.text()
    assert (written.count("\n"), written.removesuffix("\n").isprintable()) == (1, True)
    (found,) = objects(stderr)
    assert (found["question"], found["message"]) == (FORGED, "refused: " + FORGED + "\udc80\U000e0001")


@pytest.mark.parametrize("set_up_as", [set_up_json, set_up_text])
def test_letters_of_every_script_are_themselves(stderr: Stderr, set_up_as: type) -> None:
    set_up_as()

    OURS.info("Würde ich? はい 🚀")

    assert "Würde ich? はい 🚀" in lines(stderr)[0]


def fail(secret_value: str) -> None:
    local_value = secret_value * 2
    raise ValueError(f"it is wrong\nDETAIL: {len(local_value)}")


def test_an_exception_has_its_places_but_no_values(stderr: Stderr) -> None:
    set_up_json()

    try:
        try:
            fail("local-payload")
        except ValueError as error:
            raise RuntimeError("not delivered") from error
    except RuntimeError:
        OURS.exception("failed")

    (found,) = objects(stderr)
    assert re.fullmatch(
        rf"RuntimeError: not delivered \(at {re.escape(__file__)}:\d+ test_an_exception\w+\); after "
        rf"ValueError: it is wrong \(at {re.escape(__file__)}:\d+ test_an_exception\w+ > "
        rf"{re.escape(__file__)}:\d+ fail\)",
        found["exception"],
    )
    assert found["message"] == "failed"


def test_an_exception_is_a_field_of_its_line_in_text_too(stderr: Stderr) -> None:
    set_up_text()

    OURS.error("failed", exc_info=KeyError("a b"))

    assert lines(stderr)[0].endswith(""" failed exception="KeyError: 'a b'\"""")


def test_a_cause_that_is_hidden_stays_hidden(stderr: Stderr) -> None:
    set_up_json()

    try:
        try:
            fail("x")
        except ValueError:
            raise RuntimeError("said again without") from None
    except RuntimeError:
        OURS.exception("failed")

    assert "ValueError" not in objects(stderr)[0]["exception"]


def deep(left: int) -> None:
    if left:
        deep(left - 1)
    raise OSError("at the bottom")


def test_long_and_circular_exceptions_end(stderr: Stderr) -> None:
    set_up_json()
    circular = ValueError("one")
    group = ExceptionGroup("several", [circular, OSError("two")])
    circular.__context__ = group
    chain: BaseException | None = None
    for number in range(100):
        following = ValueError(str(number))
        following.__cause__, chain = chain, following

    OURS.error("a circle", exc_info=group)
    OURS.error("a chain", exc_info=chain)
    try:
        deep(200)
    except OSError:
        OURS.exception("a tower")

    circle, long, tower = (each["exception"] for each in objects(stderr))
    assert circle == "ExceptionGroup: several (2 sub-exceptions) of [ValueError: one], [OSError: two]"
    assert long.startswith("ValueError: 99; after ValueError: 98; after")
    assert (long.count("after"), tower.count(" deep")) == (9, 14)
    assert "… 187 more …" in tower


@pytest.mark.parametrize("set_up_as", [set_up_json, set_up_text])
@pytest.mark.parametrize("secret", [*PLANTED, 'quo"te\\d', "päss wörd/?", "line\nend12"])
def test_a_secret_is_blanked_out_wherever_it_stands(stderr: Stderr, set_up_as: type, secret: str) -> None:
    set_up_as(logging.INFO, secret, secret[:6], "abc")

    with about(question=f"for {secret}"):
        OURS.error("bad token %s, %r", secret, {"token": secret}, exc_info=ValueError(f"refused for {secret!r}"))
    OURS.error(json.dumps({"token": secret}))

    for line in lines(stderr):
        assert secret[:6] not in line
        assert secret[-6:] not in line
        assert "***" in line
    assert "abc" not in secret
    OURS.error("abcdef")
    assert "abcdef" in lines(stderr)[-1]


def test_a_message_that_does_not_fit_its_arguments_shows_none_of_them(stderr: Stderr) -> None:
    set_up_json()

    OURS.info("%d and %s", "planted")

    assert objects(stderr)[0]["message"] == "%d and %s (its arguments do not fit: TypeError)"
    assert "planted" not in stderr.text()


class Unreadable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("planted")


def test_an_exception_that_cannot_be_shown_costs_no_line(stderr: Stderr) -> None:
    set_up_json()

    OURS.error("failed", exc_info=Unreadable())

    assert objects(stderr)[0]["exception"] == "Unreadable: its message cannot be read"


def test_other_libraries_log_warnings_alone_and_uvicorn_no_accesses(stderr: Stderr) -> None:
    uvicorn = logging.getLogger("uvicorn")
    uvicorn.addHandler(logging.StreamHandler(sys.stderr))
    uvicorn.propagate = False
    # A listener of an earlier test has raised it.
    logging.getLogger("uvicorn.error").setLevel(logging.NOTSET)
    set_up_text(logging.DEBUG)

    OURS.debug("of ours")
    logging.getLogger("httpcore.http11").debug("authorization: Bearer planted")
    # Several lines a second, for as long as a database is away; the pod says it once.
    logging.getLogger("psycopg.pool").warning("error connecting")
    logging.getLogger("httpx").info("GET https://host/?planted")
    logging.getLogger("uvicorn.access").error("GET /questions?for=planted")
    logging.getLogger("uvicorn.error").error("trouble")
    logging.getLogger("asyncio").error("slow")
    logging.Logger("below no root").error("from a client")

    said = [line.split(" ", 2)[2] for line in lines(stderr)]
    assert said == [
        "pendingctl.pod.delivery of ours",
        "uvicorn.error trouble",
        "asyncio slow",
        "below no root from a client",
    ]


def test_the_level_is_the_least_that_is_written(stderr: Stderr) -> None:
    set_up_text(logging.ERROR)

    OURS.warning("not this")
    logging.getLogger("asyncio").warning("nor this")
    OURS.error("this")

    assert [line.rsplit(" ", 1)[1] for line in lines(stderr)] == ["this"]


def test_set_up_twice_writes_each_line_once(stderr: Stderr) -> None:
    set_up_json()
    set_up_text()

    OURS.error("once")

    assert len(lines(stderr)) == 1


def test_lines_of_several_threads_do_not_mix(stderr: Stderr) -> None:
    set_up_json()
    start = threading.Barrier(8)

    def log(number: int) -> None:
        start.wait(10)
        with about(question=f"q{number}"):
            for _ in range(200):
                OURS.info("x" * 100 + f"q{number}")

    threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    found = objects(stderr)
    assert len(found) == 1_600
    assert all(each["message"] == "x" * 100 + each["question"] for each in found)


def test_a_line_that_cannot_be_written_leaves_nothing_of_its_arguments(stderr: Stderr) -> None:
    set_up_json()
    (handler,) = logging.getLogger().handlers
    assert isinstance(handler, logging.StreamHandler)
    closed = io.StringIO()
    closed.close()
    handler.setStream(closed)

    OURS.error("refused: %s", "planted")

    assert stderr.text() == ""


WITHOUT_A_LOCALE = """
import logging
from pendingctl.serve.configuration import LogFormat, Logs
from pendingctl.serve.logs import set_up
set_up(Logs(format=LogFormat.JSON, level=logging.INFO))
logging.getLogger("pendingctl").error("はい \\udc80")
"""


def test_a_stderr_that_is_said_to_be_ascii_gets_utf8() -> None:
    environ = {**os.environ, "PYTHONIOENCODING": "ascii"}
    pod = subprocess.run([sys.executable, "-c", WITHOUT_A_LOCALE], env=environ, capture_output=True, check=True)

    assert "はい" in pod.stderr.decode()
    assert json.loads(pod.stderr)["message"] == "はい \udc80"


BROKEN = """
import logging, sys
from pendingctl.serve.configuration import LogFormat, Logs
from pendingctl.serve.logs import set_up
set_up(Logs(format=LogFormat.TEXT, level=logging.INFO))
sys.stdin.readline()
for number in range(100):
    logging.getLogger("pendingctl").error("nobody reads this %s %d", "x" * 1000, number)
print("still here", flush=True)
"""


@contextmanager
def process(program: str) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


def test_a_stderr_that_nobody_reads_ends_nothing() -> None:
    with process(BROKEN) as pod:
        assert pod.stdin is not None
        assert pod.stdout is not None
        assert pod.stderr is not None
        pod.stderr.close()
        pod.stdin.write("\n")
        pod.stdin.flush()

        assert pod.stdout.read() == "still here\n"
        assert pod.wait(60) == 0


@pytest.mark.parametrize("format", LogFormat)
def test_a_warning_of_python_is_a_line_as_well(stderr: Stderr, format: LogFormat) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        set_up(Logs(format=format, level=logging.INFO))
        warnings.warn(FORGED, RuntimeWarning, stacklevel=1)

    (line,) = lines(stderr)
    assert "WARNING" in line
    assert "py.warnings" in line
