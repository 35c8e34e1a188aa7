"""The question that a destructive command asks before it begins."""

from __future__ import annotations

import sys

import typer

from ..errors import InvalidInput


def check_terminal(*, yes: bool) -> None:
    """Raise InvalidInput where a confirmation is needed and there is no terminal to ask on."""
    if not yes and not _is_terminal():
        raise InvalidInput("this needs a confirmation, and there is no terminal to ask on; repeat with --yes")


def confirm(question: str, *, yes: bool, off_terminal: bool = False) -> None:
    """Ask on a terminal, unless `yes` is given; off a terminal go on only if `off_terminal` allows it.

    Raises InvalidInput when the answer is no, and when there is no terminal to ask on.
    """
    if yes or (off_terminal and not _is_terminal()):
        return
    check_terminal(yes=yes)
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        raise InvalidInput("not confirmed; nothing was done")


def _is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()
