"""A database that lets nobody in, as one does that is away."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from tests.embedded.servers import until

_ALLOW = "alter database {} allow_connections {}"
# A session that is about to begin may have been let in before, and is not seen yet; it holds this lock until it is.
_BEGINS = """
    select from pg_locks
    where locktype = 'object' and classid = 'pg_database'::regclass
      and objid = (select oid from pg_database where datname = %s)
"""
# Those of pods; a test goes on to look and to write over its own.
_END = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = %s and application_name like 'pendingctl%%'
"""


@contextmanager
def away(dsn: str) -> Iterator[None]:
    """All of pendingctl's connections to a database are ended, and no new one is made before the end of the block."""
    name = str(psycopg.conninfo.conninfo_to_dict(dsn)["dbname"])
    with psycopg.connect(dsn, dbname="template1", autocommit=True) as elsewhere:
        elsewhere.execute(sql.SQL(_ALLOW).format(sql.Identifier(name), sql.SQL("false")))
        try:
            until(lambda: elsewhere.execute(_BEGINS, [name]).fetchone() is None)
            assert elsewhere.execute(_END, [name]).fetchall()
            yield
        finally:
            elsewhere.execute(sql.SQL(_ALLOW).format(sql.Identifier(name), sql.SQL("true")))
