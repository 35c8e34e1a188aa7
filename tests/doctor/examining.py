"""What doctor finds of a database, and its remedy applied."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from pendingctl.diagnosis.findings import Finding, Verdict
from pendingctl.doctor import Check, examine

QUESTION = """
    insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload)
    values ('q', 'acme', 'slack', 'U1', '{"question": {"text": "Deploy?"}}')
"""


def of(checks: list[Check], name: str) -> Finding:
    (check,) = [each for each in checks if each.name == name]
    return check.finding


async def finding(dsn: str, name: str) -> Finding:
    return of(await examine(dsn), name)


def failing(checks: list[Check]) -> list[str]:
    return [each.name for each in checks if each.finding.verdict is Verdict.FAIL]


def unread(checks: list[Check]) -> list[str]:
    return [f"{each.name}: {each.finding.sentence}" for each in checks if each.facts is None]


def run_remedy(connection: psycopg.Connection, remedy: str) -> None:
    connection.execute(remedy.encode())


@contextmanager
def role(connection: psycopg.Connection, *rights: str) -> Iterator[str]:
    """A role that owns nothing, and may do what the rights say."""
    name = f"{connection.info.dbname}_role"
    as_identifier = sql.Identifier(name)
    connection.execute(sql.SQL("create role {} login").format(as_identifier))
    try:
        for right in rights:
            connection.execute(sql.SQL("grant {} to {}").format(sql.SQL(right), as_identifier))
        yield name
    finally:
        connection.execute(sql.SQL("drop owned by {0}").format(as_identifier))
        connection.execute(sql.SQL("drop role {}").format(as_identifier))
