"""The database that the environment names. Without the driver, which a command that prints its help would pay for."""

from __future__ import annotations

from collections.abc import Mapping

DSN_VARIABLES = ("PENDINGCTL_DSN", "DATABASE_URL")
LIBPQ_VARIABLES = ("PGHOST", "PGSERVICE", "PGDATABASE")


def dsn_of(environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the connection string that a variable holds, untouched, with the variable's name; None where none does.

    The string is empty where libpq's own variables name the database. An empty variable counts as unset.
    """
    for variable in DSN_VARIABLES:
        if environ.get(variable, "").strip():
            return environ[variable], variable
    return next((("", variable) for variable in LIBPQ_VARIABLES if environ.get(variable)), None)
