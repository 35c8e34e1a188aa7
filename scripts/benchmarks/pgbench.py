"""Scripts of pgbench: what a server does a second, with a client that costs next to nothing."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict


def run_pgbench(
    program: Path, dsn: str, script: str, *, connections: int, transactions: int, variables: Mapping[str, object]
) -> float:
    """Run a script so many times on each connection, with statements prepared, and return how often a second.

    Raises RuntimeError where a statement has failed.
    """
    said = subprocess.run(
        [
            *(str(program), "--no-vacuum", "--protocol=prepared", "--file=-", f"--transactions={transactions}"),
            *(f"--client={connections}", f"--jobs={min(connections, os.cpu_count() or 1)}"),
            *(f"--define={name}={value}" for name, value in variables.items()),
        ],
        input=script,
        env={**os.environ, **_libpq_variables(dsn)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"^tps = ([\d.]+)", said.stdout, re.MULTILINE)
    if said.returncode or found is None:
        raise RuntimeError(f"pgbench failed: {said.stderr.strip()}")
    return float(found[1])


def with_variables(statement: str) -> str:
    """Return a statement of psycopg's with its parameters as pgbench's variables."""
    return re.sub(r"%\((\w+)\)s", r":\1", statement.strip())


def _libpq_variables(dsn: str) -> dict[str, str]:
    """The connection string as libpq's variables: a command line is for everybody to read, passwords too."""
    variables = {each.keyword.decode(): each.envvar for each in psycopg.pq.Conninfo.get_defaults()}
    given = ((variables.get(keyword), value) for keyword, value in conninfo_to_dict(dsn).items())
    return {variable.decode(): str(value) for variable, value in given if variable is not None}
