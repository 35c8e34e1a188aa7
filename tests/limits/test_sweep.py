"""The sweep of keys that are free again."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from pendingctl.errors import InvalidInput
from pendingctl.limits import Limit, RateLimiter

LIMIT = Limit(1, timedelta(hours=1), burst=3)


def fill(connection: psycopg.Connection, keys: int, tat: str) -> None:
    connection.execute(
        f"insert into pending_rate_limit select 'acme', 'k' || lpad(i::text, 3, '0'), {tat} "
        f"from generate_series(1, {keys}) as i".encode()
    )


def left(connection: psycopg.Connection) -> list[str]:
    return [key for (key,) in connection.execute("select key from pending_rate_limit order by key").fetchall()]


@pytest.mark.law(8)
async def test_keys_that_are_free_are_deleted_in_batches_and_used_ones_stay(
    limiter: RateLimiter, connection: psycopg.Connection
) -> None:
    fill(connection, 25, "now() + case when i % 5 = 0 then interval '1 hour' else interval '-2 minutes' end")
    connection.execute("insert into pending_rate_limit values ('globex', 'k', now()), ('globex', 'odd', 'infinity')")

    assert [each async for each in limiter.sweep(batch_size=10)] == [8, 8, 5]
    assert left(connection) == ["k", "k005", "k010", "k015", "k020", "k025"]


@pytest.mark.law(8)
async def test_a_limit_ends_the_sweep_and_the_next_one_goes_on(
    limiter: RateLimiter, connection: psycopg.Connection
) -> None:
    fill(connection, 25, "'-infinity'")

    assert [each async for each in limiter.sweep(batch_size=10, limit=15)] == [10, 10]
    assert [each async for each in limiter.sweep(batch_size=10, limit=15)] == [5]
    with pytest.raises(InvalidInput):
        _ = [each async for each in limiter.sweep(batch_size=0)]


@pytest.mark.law(16)
async def test_a_key_that_is_being_taken_from_is_left_alone(
    limiter: RateLimiter, connection: psycopg.Connection, dsn: str
) -> None:
    fill(connection, 3, "now() - interval '1 hour'")
    with psycopg.connect(dsn) as taking:
        taking.execute("update pending_rate_limit set tat = now() + interval '1 hour' where key = 'k002'")

        assert [each async for each in limiter.sweep()] == [2]

    assert left(connection) == ["k002"]
