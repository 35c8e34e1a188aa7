"""Which database is meant: --dsn, then PENDINGCTL_DSN, then DATABASE_URL, then libpq's own variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import InvalidInput

DSN_VARIABLES = ("PENDINGCTL_DSN", "DATABASE_URL")
LIBPQ_VARIABLES = ("PGHOST", "PGSERVICE", "PGDATABASE")
EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Dsn:
    """A connection string as it was given, and where it came from."""

    conninfo: str
    source: str

    @property
    def is_embedded(self) -> bool:
        """Whether the kept local server is meant, rather than a libpq string."""
        return self.conninfo == EMBEDDED or self.conninfo.startswith(EMBEDDED + ":")

    @property
    def embedded_directory(self) -> str | None:
        """The folder of `embedded:DIR`, or None for the usual one."""
        return self.conninfo.partition(":")[2] or None


def resolve_dsn(option: str | None, environ: Mapping[str, str]) -> Dsn:
    """Return the database that the caller means; the string itself is left untouched for libpq.

    An empty variable counts as unset. An empty `--dsn` is refused: it is nearly always a shell variable that
    was not set, and falling through to another database would be worse than stopping.

    Raises InvalidInput when no database is named.
    """
    if option is not None:
        if not option.strip():
            raise InvalidInput("--dsn is empty; give a connection string, or leave the option out")
        return Dsn(option, "--dsn")
    for variable in DSN_VARIABLES:
        if environ.get(variable, "").strip():
            return Dsn(environ[variable], variable)
    for variable in LIBPQ_VARIABLES:
        if environ.get(variable):
            return Dsn("", variable)
    raise InvalidInput(
        "no database given; use --dsn, PENDINGCTL_DSN, DATABASE_URL or libpq's PGHOST, PGSERVICE or PGDATABASE "
        "(--dsn embedded is a local server that is kept)"
    )
