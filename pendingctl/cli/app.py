"""All commands in one program, and the exit code of each error."""

from __future__ import annotations

import errno
import io
import signal
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ..errors import PendingctlError
from ..printable import printable
from .event_loop import endings

if TYPE_CHECKING:
    from types import FrameType

INTERNAL_ERROR = 70

# Each command's module here, and its function there, or the program of the commands below it. A module is imported when
# its command is called for, since to import and build all of them takes as long as the rest of a start.
COMMANDS = {
    "migrate": ("migrate", "migrate"),
    "enqueue": ("enqueue", "enqueue"),
    "ask": ("ask", "ask"),
    "claim": ("claim", "claim"),
    "answer": ("answer", "answer"),
    "withdraw": ("withdraw", "withdraw"),
    "extend": ("extend", "extend"),
    "delete": ("delete", "delete"),
    "list": ("list", "list_rows"),
    "show": ("show", "show"),
    "why": ("why", "why"),
    "watch": ("watch", "watch"),
    "stats": ("stats", "stats"),
    "doctor": ("doctor", "doctor"),
    "redeliver": ("redeliver", "redeliver"),
    "repair-cards": ("repair_cards", "repair_cards"),
    "sweep": ("sweep", "sweep"),
    "stream": ("stream", "stream"),
    "limit": ("limit", "limit"),
    "serve": ("serve", "serve"),
    "simulate-race": ("simulate_race", "simulate_race"),
    "check-history": ("check_history", "check_history"),
    "diff-schema": ("diff_schema", "diff_schema"),
}

# Of a folder or a file that a command writes to beside the database, that of TMPDIR above all.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.ENOENT)


class _Commands(TyperGroup):
    """Imports each command when it is called for, and turns each error into its exit code, also for the test runner."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # noqa: ARG002
        # Of a name that is unknown the parser suggests others: it takes them from those that are there.
        for name in [cmd_name] if cmd_name in COMMANDS else COMMANDS:
            if name not in self.commands:
                self.add_command(_built(name))
        return self.commands.get(cmd_name)

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # typer's vendored Context is not public
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise typer.Exit(128 + signal.SIGINT) from None
        except (typer.Exit, typer.Abort, SystemExit):
            raise
        except Exception as error:
            message, exit_code = _ending(error, ctx)
            # Text in it that comes from a database or a file cannot steer the terminal; a full stderr changes no exit
            # code.
            with suppress(OSError):
                if ctx.params.get("debug"):
                    sys.stderr.write(printable("".join(traceback.format_exception(error))))
                sys.stderr.write(f"error: {printable(message)}\n")
            raise typer.Exit(exit_code) from error


def _built(name: str) -> Any:
    """Return a command as the parser needs it."""
    module, member = COMMANDS[name]
    made = getattr(import_module(f".{module}", __package__), member)
    if not isinstance(made, typer.Typer):
        alone = typer.Typer(rich_markup_mode=None, add_completion=False, pretty_exceptions_enable=False)
        alone.command(name)(made)
        return typer.main.get_command(alone)
    group = typer.main.get_command(made)
    group.name = name
    return group


def _ending(error: Exception, ctx: typer.Context) -> tuple[str, int]:
    """Return an error in one line, and its exit code."""
    # The parser's errors have this method; typer exports no name for their base class.
    format_message = getattr(error, "format_message", None)
    if format_message is not None:
        where = getattr(error, "ctx", None) or ctx
        return f"{format_message()} (see: {where.command_path} --help)", 2
    match error:
        case PendingctlError():
            return str(error), error.exit_code
        case OSError() if error.errno in _UNWRITABLE:
            reason = error.strerror if error.filename is None else f"cannot use {error.filename}: {error.strerror}"
            return f"{reason}; make room, or set TMPDIR to a folder that can be written to", 2
    return f"internal error: {type(error).__name__}: {error} (pendingctl --debug shows where)", INTERNAL_ERROR


def _terminate(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 (a signal handler's signature)
    raise SystemExit(128 + signum)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pendingctl {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="pendingctl",
    cls=_Commands,
    help="Pending chat questions in Postgres: one click wins, only the right person can click, no answer is lost.",
    epilog="Example: pendingctl simulate-race --pods 4 --questions 100 --clicks 8",
    no_args_is_help=True,
    rich_markup_mode=None,  # rich help takes three times as long
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


@app.callback()
def root(
    debug: Annotated[  # noqa: ARG001
        bool, typer.Option("--debug", help="Show the traceback of an error, and what diff-schema leaves out.")
    ] = False,
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Pending chat questions in Postgres: one click wins, only the right person can click, no answer is lost."""
    for number in endings():
        signal.signal(number, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A stored text may hold characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")
