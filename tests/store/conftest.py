"""A database that is full, to see which indexes the statements read, and the streams that questions are appended to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from pendingctl.events.streams import Streams
from pendingctl.postgres.connections import Pool
from tests.conftest import migrated_database
from tests.patience import be_patient


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)


@pytest.fixture(scope="session")
def filled_template(server_dsn: str, template: str) -> Iterator[str]:
    """The name of a database with 20,000 rows, half of them stale, a trail of 40,000 steps, and statistics.

    Filling it takes five times as long as copying it.
    """
    with migrated_database(server_dsn, template) as dsn:
        _fill(dsn)
        yield str(conninfo_to_dict(dsn)["dbname"])


def _fill(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            """
            insert into pending_interactions
                (id, organization_id, connection_id, expected_user_id, entry_payload, created_at, claimed_at,
                 delivery_due_at, card_due_at, ending_due_at, expires_at, post_due_at)
            select 'q' || n, case n % 2 when 0 then 'acme' else 'globex' end, 'slack', 'U1', '{}',
                   now() - n * interval '8.64 seconds', case n % 3 when 0 then now() end,
                   case n % 30 when 0 then now() - interval '1 second' end, now() + (n - 10) * interval '1 hour',
                   case n % 30 when 15 then now() - interval '1 second' end,
                   case n % 5 when 0 then now() + (n - 10000) * interval '1 minute' end,
                   case when n % 7 = 0 then now() + (n - 100) * interval '1 hour' end
            from generate_series(1, 20000) as n
            """
        )
        connection.execute(
            """
            insert into pending_trail (question_id, organization_id, step, user_id)
            select 'q' || n % 2000, 'acme', 'refused', 'U' || n % 4000 from generate_series(1, 40000) as n
            """
        )
        connection.execute("alter table pending_interactions set (autovacuum_enabled = off)")
        connection.execute("alter table pending_trail set (autovacuum_enabled = off)")
        connection.execute("vacuum analyze pending_interactions, pending_trail")


@pytest.fixture
def filled(server_dsn: str, filled_template: str) -> Iterator[psycopg.Connection]:
    """A connection to a copy of the filled database."""
    with (
        migrated_database(server_dsn, filled_template) as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
    ):
        yield connection


@pytest.fixture
async def streams(pool: Pool) -> AsyncIterator[Streams]:
    made = Streams(pool, pod="pod-1")
    yield made
    await made.settled()
