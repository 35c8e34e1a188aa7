"""The commands that mend what is wrong with a question, as a shell takes them."""

from __future__ import annotations

import shlex

from ..inspected import PendingSummary

DOCTOR = "pendingctl doctor"


def quoted(text: str) -> str:
    """Return a text as an argument of a shell's command.

    What does not print stands in it as the bytes of its UTF-8: it would be shown as an escape, or not at all, and the
    command that is copied would name another question (`$'…'`: POSIX.1-2024, XCU 2.2.4).
    """
    if text.isprintable():
        return shlex.quote(text)
    shown = (f"\\{each}" if each in "\\'" else each if each.isprintable() else _octal(each) for each in text)
    return f"$'{''.join(shown)}'"


def _octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode())


def why(id: str) -> str:
    """Return the command that explains a question."""
    return _command("why", id)


def show(id: str) -> str:
    """Return the command that shows all of a question."""
    return _command("show", id)


def withdraw(row: PendingSummary) -> str:
    """Return the command that withdraws a question."""
    return _command(
        "withdraw",
        row.id,
        *("--org", row.organization_id, "--connection", row.connection_id, "--user", row.expected_user_id),
    )


def redeliver(row: PendingSummary) -> str:
    """Return the command that has a question's ending delivered again."""
    return _command("redeliver", row.id, *_application(row))


def repair_card(row: PendingSummary) -> str:
    """Return the command that has a question's card posted or edited again."""
    return _command("repair-cards", row.id)


def presses_of(row: PendingSummary) -> str:
    """Return the command that lists the presses of the user whom a question asks, in its organization alone."""
    user, organization = _option("--user", row.expected_user_id), _option("--org", row.organization_id)
    return f"pendingctl why {user} {organization} --since 1h"


def start_pods(application: str) -> str:
    """Return what is to be done where no pod does the work of an application."""
    return f"start its pods, or see why they fail: PendingStore(pool, application={application!r})"


def _application(row: PendingSummary) -> tuple[str, ...]:
    return ("--application", row.application) if row.application else ()


def _command(name: str, id: str, *options: str) -> str:
    given = [_option(name, value) for name, value in zip(options[::2], options[1::2], strict=True)]
    # An id that begins with a dash would be taken for an option.
    words = [*given, "--", quoted(id)] if id.startswith("-") else [quoted(id), *given]
    return " ".join(["pendingctl", name, *words])


def _option(name: str, value: str) -> str:
    return f"{name}={quoted(value)}" if value.startswith("-") else f"{name} {quoted(value)}"
