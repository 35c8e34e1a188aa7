"""serve's log: a line for each record, as text or as a JSON object, on stderr.

A line says which organization, question and press it is about (`pendingctl.logged`). Nothing in it starts a line of its
own or steers a terminal, an exception is part of its line, and no secret that is known is in it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from io import TextIOWrapper
from types import TracebackType
from typing import TextIO
from urllib.parse import quote

from ..logged import known
from ..printable import printable
from .settings import LogFormat, Logs

# A shorter one would blank out half of every line, and is no secret.
LEAST_CHARACTERS = 6
# The first places of a trace say who called, the last ones where it failed.
_FIRST_PLACES, _LAST_PLACES = 3, 12
_MOST_EXCEPTIONS = 10
# These begin a line of text without their names.
_HEAD = frozenset({"time", "level", "logger", "message"})

Write = Callable[[Mapping[str, str]], str]


def set_up(logs: Logs, *, secrets: Collection[str] = ()) -> None:
    """Have all that this process logs written to stderr, with `***` for each of the secrets of six characters or more.

    Below a warning only pendingctl and uvicorn are let through: other libraries log requests with all that is in them.
    """
    if isinstance(sys.stderr, TextIOWrapper):
        # Whatever the locale is: an escape of Python's is none of JSON's.
        sys.stderr.reconfigure(encoding="utf-8", errors="backslashreplace")
    handler = _Handler(sys.stderr)
    handler.setFormatter(_Formatter(_as_json if logs.format is LogFormat.JSON else _as_text, secrets))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logs.level, logging.WARNING))
    # Python would write them past all loggers.
    logging.captureWarnings(True)
    # For loggers that stand below no root, such as the one that a client is given.
    logging.lastResort = handler
    for name in ("pendingctl", "uvicorn"):
        logging.getLogger(name).setLevel(logs.level)
    # The pod reports each outage once; its driver warns at each attempt to connect, several times a second.
    logging.getLogger("psycopg").setLevel(logging.ERROR)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [], True
    # Its lines have query strings in them.
    logging.getLogger("uvicorn.access").disabled = True


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the name is logging's)
        """Lose the line: where stderr cannot be written to there is no other place, and clicks are worth more."""


class _Formatter(logging.Formatter):
    def __init__(self, write: Write, secrets: Collection[str]) -> None:
        super().__init__()
        self._write = write
        self._secrets = _pattern(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record, without a line end."""
        said = {"message": _message(record), **known()}
        if record.exc_info and record.exc_info[1] is not None:
            said["exception"] = exception_text(record.exc_info[1])
        head = {"time": _time(record.created), "level": record.levelname, "logger": record.name}
        return self._write({**head, **{name: self._blanked(text) for name, text in said.items()}})

    def _blanked(self, text: str) -> str:
        return text if self._secrets is None else self._secrets.sub("***", text)


def exception_text(error: BaseException) -> str:
    """Return an exception in one line, with its places but no values of variables, and those that led to it.

    Of a message the first line is there alone: psycopg's others quote rows and statements.
    """
    return _chain_text(error, [])


def _chain_text(error: BaseException, seen: list[BaseException]) -> str:
    """Write an exception and whatever it was raised from or during, as a traceback shows them, each once."""
    said = []
    following: BaseException | None = error
    while following is not None and len(seen) < _MOST_EXCEPTIONS and not any(following is each for each in seen):
        seen.append(following)
        said.append(_each_text(following, seen))
        hidden = following.__suppress_context__
        following = following.__cause__ or (None if hidden else following.__context__)
    return "; after ".join(said)


def _each_text(error: BaseException, seen: list[BaseException]) -> str:
    try:
        message = str(error).partition("\n")[0]
    except Exception:  # noqa: BLE001 (an exception's own code must not cost the line)
        message = "its message cannot be read"
    said = f"{type(error).__qualname__}: {message}" if message else type(error).__qualname__
    if places := _places(error.__traceback__):
        said = f"{said} (at {places})"
    if isinstance(error, BaseExceptionGroup):
        inner = (_chain_text(each, seen) for each in error.exceptions)
        said = f"{said} of {', '.join(f'[{each}]' for each in inner if each)}"
    return said


def _places(traceback: TracebackType | None) -> str:
    places = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places.append(f"{code.co_filename}:{traceback.tb_lineno} {code.co_qualname}")
        traceback = traceback.tb_next
    if len(places) > _FIRST_PLACES + _LAST_PLACES:
        left_out = len(places) - _FIRST_PLACES - _LAST_PLACES
        places[_FIRST_PLACES:-_LAST_PLACES] = [f"… {left_out} more …"]
    return " > ".join(places)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 (logging would print the arguments, whatever they are, on lines of their own)
        return f"{record.msg} (its arguments do not fit: {type(error).__name__})"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _as_text(said: Mapping[str, str]) -> str:
    head = [said[name] for name in ("time", "level", "logger")]
    rest = [f"{name}={_as_value(text)}" for name, text in said.items() if name not in _HEAD]
    return printable(" ".join([*head, said["message"], *rest]))


def _as_value(text: str) -> str:
    """Return a field's value, in quotes where it could be read as several fields."""
    return text if re.fullmatch(r"[^\s\"=]+", text) else json.dumps(text, ensure_ascii=False)


def _as_json(said: Mapping[str, str]) -> str:
    line = json.dumps(said, ensure_ascii=False)
    # What is left stands within strings.
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in line)


def _pattern(secrets: Collection[str]) -> re.Pattern[str] | None:
    """Return what finds the secrets, also as Python, JSON and URLs write them; None where there are none."""
    forms = {
        form
        for secret in secrets
        if len(secret) >= LEAST_CHARACTERS
        for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], quote(secret, safe=""), quote(secret))
    }
    # A secret that begins with another is blanked out whole.
    return re.compile("|".join(map(re.escape, sorted(forms, key=len, reverse=True)))) if forms else None
