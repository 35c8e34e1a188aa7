"""What can go wrong, each error named by its fact.

The message of every error is one line that says what happened and what to do. `exit_code` is what the
command line ends with; README.md explains the numbers.
"""

from __future__ import annotations


class PendingctlError(Exception):
    """Base of every failure that a caller can expect."""

    exit_code = 70


class InvalidInput(PendingctlError):
    """An argument, an option or a file cannot be used as it is."""

    exit_code = 2


class ExtraMissing(InvalidInput):
    """The command needs an optional part that is not installed."""

    def __init__(self, command: str, extra: str) -> None:
        super().__init__(f"{command} needs an optional part; install it with: pip install 'pendingctl[{extra}]'")


class CursorInvalid(InvalidInput):
    """A text is no position in a stream."""


class Unbounded(InvalidInput):
    """A list would have to look at too many rows; nothing was read."""


class Refused(PendingctlError):
    """The request is well formed and the answer is no."""

    exit_code = 1


class NotFound(Refused):
    """Nothing of that name exists."""


class StreamMissing(NotFound):
    """There is no stream of that name; nothing was changed."""


class StreamClosed(Refused):
    """The stream is closed; nothing was appended."""


class StreamMoved(Refused):
    """The stream has other events after the expected position; nothing was appended. `last_seq` is its last event."""

    def __init__(self, message: str, *, last_seq: int) -> None:
        super().__init__(message)
        self.last_seq = last_seq


class ScopeMismatch(Refused):
    """The id belongs to another scope; nothing was changed."""


class RequestRefused(Refused):
    """This request may not ask under this id, now or at all; nothing was changed."""


class KeyReused(RequestRefused):
    """The request key has asked this id with another content, or in another request; nothing was changed."""


class AnswerTaken(PendingctlError):
    """The answer that an asker waited for goes to the pods' worker instead: the asker was away for too long."""

    exit_code = 3


class Undelivered(Refused):
    """An answer that was accepted is not delivered yet; nothing was done that would lose it."""


class DatabaseFailed(PendingctlError):
    """The database answered with an error that is not the caller's mistake."""

    exit_code = 3


class DatabaseBusy(DatabaseFailed):
    """Nothing was done, since another transaction or a time-out was in the way; the same may succeed when repeated."""


class TookTooLong(DatabaseBusy):
    """A read was ended at its time limit."""


class UnfitSetting(DatabaseFailed):
    """A setting of the server, database or role with which nothing would be done right; nothing was done."""


class DatabaseUnreachable(DatabaseFailed):
    """The connection was lost, or could not be made. What was under way may have been done, or not."""


class NotConnected(DatabaseUnreachable):
    """No connection could be had, so that surely nothing was done; the same may succeed when repeated."""


class NotMigrated(DatabaseFailed):
    """A table or a column that pendingctl needs does not exist yet."""


class MigrationFailed(DatabaseFailed):
    """A migration could not be applied or rolled back; it left no trace."""


class UnreadablePayload(PendingctlError):
    """A row holds a payload that pendingctl would not have stored."""
