"""watch in a terminal: it follows the database, costs a slow line little, and leaves the terminal as it was."""

from __future__ import annotations

import os
import signal

import psycopg
import pytest

from tests.cli.terminals import in_terminal
from tests.commands import QUESTION, SCOPE, Cli, complaint, make_older

LEAVES_THE_SCREEN = b"\x1b[?25h\x1b[?1049l"


@pytest.fixture
def stuck(cli: Cli, connection: psycopg.Connection) -> None:
    """One question is open, and the answer of another one is stuck; both are hours old."""
    for id in ("open-1", "stuck-1"):
        cli("enqueue", *QUESTION, "--id", id)
    cli("claim", "stuck-1", *SCOPE, "--value", "yes")
    connection.execute(
        "update pending_interactions set delivery_due_at = 'infinity', delivery_attempts = 20, "
        "delivery_error = 'the worker answered 500' where id = 'stuck-1'"
    )
    make_older(connection, hours=3)


@pytest.mark.usefixtures("stuck")
def test_what_needs_a_look_comes_first_and_is_followed(dsn: str, connection: psycopg.Connection) -> None:
    with in_terminal(dsn, "watch", "--every", "1s") as watched:
        watched.until(
            lambda lines: (
                "stuck 1  open 1" in lines[0]
                and lines[2].startswith("> stuck-1  stuck")
                and lines[3].startswith("  open-1   open")
            )
        )

        connection.execute("delete from pending_interactions where id = 'stuck-1'")
        watched.until(lambda lines: lines[2].startswith("> open-1  open"))

        watched.type("q")
        assert watched.ends() == 0


@pytest.mark.usefixtures("stuck")
def test_a_question_is_explained_and_mended_with_a_few_keys(dsn: str, connection: psycopg.Connection) -> None:
    with in_terminal(dsn, "watch") as watched:
        watched.shows("> stuck-1")
        watched.type("\r")
        watched.shows("fail  it was answered by U1 3 h ago, and the worker has not taken that: 20")
        watched.type("r")
        watched.until(lambda lines: lines[-2:] == ["pendingctl redeliver stuck-1", "do this? y/n"])
        watched.type("n")
        watched.shows("nothing was done")
        assert due(connection) == "infinity"

        watched.type("ry")
        watched.shows("the pods deliver the ending of stuck-1 again")

        assert due(connection) != "infinity"
        watched.type("qq")
        assert watched.ends() == 0


def test_a_remedy_leaves_a_question_alone_that_was_asked_anew(
    dsn: str, cli: Cli, connection: psycopg.Connection
) -> None:
    cli("enqueue", *QUESTION, "--id", "q")
    with in_terminal(dsn, "watch", "--every", "1h") as watched:
        watched.shows("> q")
        cli("enqueue", *SCOPE, "--id", "q", "--question", "Another one?")
        watched.type("wy")
        watched.shows("nothing was done to q: asked again")

    assert connection.execute("select claimed_at from pending_interactions").fetchone() == (None,)


def due(connection: psycopg.Connection) -> object:
    row = connection.execute("select delivery_due_at::text from pending_interactions where id = 'stuck-1'").fetchone()
    return row and row[0]


@pytest.mark.usefixtures("stuck")
@pytest.mark.parametrize(
    ("ending", "exit_code"), [("q", 0), (signal.SIGTERM, 143), ("\x03", 130), (signal.SIGINT, 130)]
)
def test_however_it_ends_the_terminal_is_as_it_was(dsn: str, ending: str | signal.Signals, exit_code: int) -> None:
    with in_terminal(dsn, "watch") as watched:
        watched.shows("> stuck-1")
        assert watched.modes != watched.first_modes
        if isinstance(ending, str):
            watched.type(ending)
        else:
            watched.process.send_signal(ending)

        assert watched.ends() == exit_code
        assert watched.received.endswith(LEAVES_THE_SCREEN)
        assert watched.modes == watched.first_modes


@pytest.mark.usefixtures("stuck")
def test_a_stopped_watch_gives_the_terminal_back_and_goes_on_where_it_was(dsn: str) -> None:
    with in_terminal(dsn, "watch") as watched:
        watched.shows("> stuck-1")

        watched.process.send_signal(signal.SIGTSTP)
        _, status = os.waitpid(watched.process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        watched.until(lambda _: watched.received.endswith(LEAVES_THE_SCREEN))
        assert watched.modes == watched.first_modes

        drawn = len(watched.received)
        watched.process.send_signal(signal.SIGCONT)
        watched.until(lambda _: b"> stuck-1" in watched.received[drawn:])
        watched.type("q")
        assert watched.ends() == 0


@pytest.mark.usefixtures("stuck")
@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGHUP])
def test_a_signal_that_ends_any_program_leaves_the_terminal_as_it_was(dsn: str, number: signal.Signals) -> None:
    with in_terminal(dsn, "watch") as watched:
        watched.shows("> stuck-1")

        watched.process.send_signal(number)

        assert watched.ends() == 128 + number
        assert watched.modes == watched.first_modes
        assert watched.received.endswith(LEAVES_THE_SCREEN)


CRASHING = """
from pendingctl.store.inspection import Inspection
reads = iter([Inspection.attention])
async def attention(self, **arguments):
    return await next(reads)(self, **arguments)
"""


def test_a_crash_leaves_the_terminal_as_it_was_and_is_reported(dsn: str) -> None:
    """The second reading fails with an error that nobody has foreseen."""
    with in_terminal(dsn, "watch", "--every", "1s", before=f"{CRASHING}Inspection.attention = attention") as watched:
        assert watched.ends() == 70
        assert watched.modes == watched.first_modes
        drawn, _, after = watched.received.partition(LEAVES_THE_SCREEN)
        assert b"nothing needs a look" in drawn
        assert after.startswith(b"error: internal error: ")


@pytest.mark.usefixtures("stuck")
def test_an_idle_screen_costs_a_slow_line_next_to_nothing(dsn: str) -> None:
    """A line of 9,600 baud carries 960 bytes a second."""
    with in_terminal(dsn, "watch", "--every", "1s") as watched:
        watched.until(lambda lines: lines[2].startswith("> stuck-1") and lines[-1].startswith("enter why"))

        assert watched.receive(4) < 4 * 60

        watched.type("j")
        assert watched.receive(0.5) < 60


@pytest.mark.usefixtures("stuck")
def test_a_terminal_that_grows_is_filled(dsn: str) -> None:
    with in_terminal(dsn, "watch", width=40, height=10) as watched:
        watched.until(lambda lines: lines[-1].startswith("enter why"))

        watched.resize(100, 30)

        watched.until(lambda lines: len(lines) == 30 and lines[-1].endswith("q quit"))
        watched.shows("> stuck-1")


@pytest.mark.usefixtures("stuck")
def test_while_the_database_is_away_the_last_picture_stays_and_is_marked(
    dsn: str, connection: psycopg.Connection, server_dsn: str
) -> None:
    name = connection.info.dbname
    with (
        in_terminal(dsn, "watch", "--every", "1s") as watched,
        psycopg.connect(server_dsn, autocommit=True) as administrator,
    ):
        watched.shows("> stuck-1")
        administrator.execute(f"alter database {name} allow_connections false".encode())
        administrator.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])

        watched.until(lambda lines: lines[0].startswith("STALE: nothing could be read for"))
        assert any("> stuck-1" in line for line in watched.lines)

        administrator.execute(f"alter database {name} allow_connections true".encode())
        watched.until(lambda lines: "stuck 1  open 1" in lines[0])


def test_the_rows_of_a_filter_can_be_watched(dsn: str, cli: Cli) -> None:
    cli("enqueue", *QUESTION, "--id", "shown-by-caller")

    with in_terminal(dsn, "watch", "--card", "never-posted") as watched:
        watched.shows("> shown-by-caller  pending")


def test_a_mistyped_name_ends_it_before_anything_is_drawn(dsn: str) -> None:
    with in_terminal(dsn, "watch", "--org", "acmee") as watched:
        assert watched.ends() == 1
        assert b"there is no organization 'acmee'" in watched.received


def test_without_a_terminal_another_command_is_named(cli: Cli) -> None:
    assert "watch needs a terminal to draw on; in a pipe use: pendingctl list" in complaint(cli("watch"), 2)


def test_a_database_that_is_not_there_ends_it_before_anything_is_drawn() -> None:
    with in_terminal("host=127.0.0.1 port=1 dbname=x connect_timeout=2", "watch") as watched:
        assert watched.ends() == 3
        assert b"\x1b[" not in watched.received
        assert watched.received.startswith(b"error: ")
