"""pendingctl stream"""

from __future__ import annotations

import typer

from .stream_follow import follow

stream = typer.Typer(
    name="stream",
    help="Read event streams.",
    epilog="Example: pendingctl stream follow chat-42 --org acme",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
)
stream.command("follow")(follow)
