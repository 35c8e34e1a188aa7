"""All commands in one program, and the exit code of each error."""

from __future__ import annotations

import io
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ..errors import PendingctlError
from ..printable import printable
from . import (
    ask,
    check_history,
    claim,
    delete,
    diff_schema,
    enqueue,
    migrate,
    redeliver,
    show,
    simulate_race,
    stats,
    sweep,
    withdraw,
)
from . import list as list_command

if TYPE_CHECKING:
    from types import FrameType

INTERNAL_ERROR = 70


class _Commands(TyperGroup):
    """Turns each error into its exit code, for the test runner as well as on the command line."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]  # typer's vendored Context is not public
        try:
            return super().invoke(ctx)
        except PendingctlError as error:
            if ctx.params.get("debug"):
                raise
            _complain(str(error))
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt:
            raise typer.Exit(128 + signal.SIGINT) from None
        except (typer.Exit, typer.Abort, SystemExit):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            # The parser's errors have this method; typer exports no name for their base class.
            format_message = getattr(error, "format_message", None)
            if format_message is not None:
                where = getattr(error, "ctx", None) or ctx
                _complain(f"{format_message()} (see: {where.command_path} --help)")
                raise typer.Exit(2) from None
            _complain(f"internal error: {type(error).__name__}: {error} (pendingctl --debug shows where)")
            raise typer.Exit(INTERNAL_ERROR) from error


def _complain(message: str) -> None:
    """Print an error on stderr; text in it that comes from a database or a file cannot steer the terminal."""
    sys.stderr.write(f"error: {printable(message)}\n")


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
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,  # noqa: ARG001
    version: Annotated[  # noqa: ARG001
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and exit.")
    ] = False,
) -> None:
    """Pending chat questions in Postgres: one click wins, only the right person can click, no answer is lost."""
    signal.signal(signal.SIGTERM, _terminate)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A stored text may hold characters that the terminal's encoding lacks.
        sys.stdout.reconfigure(errors="backslashreplace")


for name, command in (
    ("migrate", migrate.migrate),
    ("enqueue", enqueue.enqueue),
    ("ask", ask.ask),
    ("claim", claim.claim),
    ("withdraw", withdraw.withdraw),
    ("delete", delete.delete),
    ("list", list_command.list_rows),
    ("show", show.show),
    ("stats", stats.stats),
    ("redeliver", redeliver.redeliver),
    ("sweep", sweep.sweep),
    ("simulate-race", simulate_race.simulate_race),
    ("check-history", check_history.check_history),
    ("diff-schema", diff_schema.diff_schema),
):
    app.command(name)(command)
