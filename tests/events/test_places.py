"""Streams as other roles, in another schema, and through a pooler."""

from __future__ import annotations

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from pendingctl import open_pool
from pendingctl.events.model import StreamName
from pendingctl.events.ring import Turn
from pendingctl.events.streams import Streams
from pendingctl.postgres.connections import Connection
from pendingctl.schema import migrations
from tests.events.streaming import TALK, said, texts
from tests.events.writers import datas, given
from tests.schema.migrated import steps_back_to, tables


async def everything(streams: Streams) -> None:
    """All that pods do with streams."""
    await streams.append(TALK, said("a"))
    await streams.append(TALK, said("b"), expected=1)
    await streams.append(TALK, said("b"), expected=1)
    await streams.append_many({TALK: said("c"), StreamName("acme", "other"): said("d")})
    assert await texts(streams) == ["a", "b", "c"]
    assert await streams.ring.turn() is Turn.TURNED
    assert [deleted async for deleted in streams.ring.sweep()] == []
    assert await streams.ring.state() is not None
    await streams.close(TALK)
    assert len(await streams.list()) == 2
    await streams.delete(TALK, purge=True)
    await streams.show(StreamName("acme", "other"))
    await streams.settled()


async def test_whoever_may_change_questions_may_do_all_with_streams(dsn: str, connection: psycopg.Connection) -> None:
    migrations.rollback(dsn, steps_back_to(dsn, "0014_streams"))
    pod, reader = (f"{connection.info.dbname}_{role}" for role in ("pod", "reader"))
    connection.execute(f"create role {pod} login; create role {reader} login".encode())
    try:
        connection.execute(
            f"grant select, update on pending_interactions to {pod}; "
            f"grant select on pending_interactions to {reader}".encode()
        )
        migrations.apply(dsn)
        connection.execute("update pending_stream_ring set turned_at = now() - interval '9 hours'")

        async with open_pool(make_conninfo(dsn, user=pod)) as pool:
            await everything(Streams(pool))
        async with open_pool(make_conninfo(dsn, user=reader)) as pool:
            assert await Streams(pool).ring.state() is None
    finally:
        connection.execute(f"drop owned by {pod}, {reader}; drop role {pod}, {reader}".encode())


async def test_readers_have_the_role_that_the_pool_has_set(dsn: str, connection: psycopg.Connection) -> None:
    login, owner = (f"{connection.info.dbname}_{role}" for role in ("login", "owner"))
    connection.execute(f"create role {owner}; create role {login} login noinherit in role {owner}".encode())
    try:
        connection.execute(f"grant all on all tables in schema public to {owner}".encode())

        async def set_role(each: Connection) -> None:
            await each.execute(f"set role {owner}".encode())

        async with open_pool(make_conninfo(dsn, user=login), configure=set_role) as pool:
            streams = Streams(pool)
            await streams.append(TALK, said("a"))
            assert datas(await given(streams.subscribe(TALK), 1)) == ["a"]
            await streams.drain()
    finally:
        connection.execute(f"drop owned by {login}, {owner}; drop role {login}, {owner}".encode())


async def test_a_second_copy_in_another_schema_is_another_place(dsn: str, connection: psycopg.Connection) -> None:
    connection.execute("create schema app")
    other = make_conninfo(dsn, options="-c search_path=app")
    migrations.apply(other)
    with psycopg.connect(other, autocommit=True) as of_the_copy:
        of_the_copy.execute("insert into organization (id) values ('acme')")
        of_the_copy.execute("update pending_stream_ring set turned_at = now() - interval '9 hours'")
    async with open_pool(dsn) as pool, open_pool(other) as other_pool:
        await Streams(pool).append(TALK, said("here"))
        await everything(Streams(other_pool))

        assert await texts(Streams(pool)) == ["here"]
    assert connection.execute("select slot from public.pending_stream_ring").fetchone() == (0,)


async def test_a_role_with_other_settings_appends_and_reads_the_same(dsn: str, connection: psycopg.Connection) -> None:
    name = connection.info.dbname
    for setting in (
        "timezone = 'Pacific/Kiritimati'",
        "datestyle = 'German'",
        "intervalstyle = 'sql_standard'",
        "default_transaction_isolation = 'serializable'",
        "synchronous_commit = off",
        "plan_cache_mode = force_generic_plan",
        "enable_indexscan = off",
    ):
        connection.execute(sql.SQL("alter database {} set ").format(sql.Identifier(name)) + sql.SQL(setting))
    connection.execute("update pending_stream_ring set turned_at = now() - interval '9 hours'")
    async with open_pool(dsn) as pool:
        await everything(Streams(pool))


def test_a_rollback_takes_the_streams_and_nothing_else(dsn: str, connection: psycopg.Connection) -> None:
    before = tables(connection)
    connection.execute("insert into pending_stream (organization_id, name) values ('acme', 'talk')")
    back = steps_back_to(dsn, "0014_streams")
    for _ in range(2):
        migrations.rollback(dsn, back)
        left = tables(connection)
        assert {name for name in before - left if "stream" in name} == {
            name for name in before if name.startswith("pending_stream")
        }
        migrations.apply(dsn)
    assert tables(connection) == before
