"""What a log line is about: its organization, question and press, known to whatever logs below. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_known: ContextVar[Mapping[str, str]] = ContextVar("what a log line is about", default={})  # noqa: B039 (never changed)


@contextmanager
def about(*, organization: str | None = None, question: str | None = None, press: str | None = None) -> Iterator[None]:
    """Have every line that is logged within, also by tasks that are started there, say that it is about this."""
    added = {"organization": organization, "question": question, "press": press}
    token = _known.set({**_known.get(), **{name: value for name, value in added.items() if value is not None}})
    try:
        yield
    finally:
        _known.reset(token)


def known() -> Mapping[str, str]:
    """Return what the line that is logged now is about."""
    return _known.get()
