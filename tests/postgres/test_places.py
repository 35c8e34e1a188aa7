"""Whatever a server, database, role or pooler has set: a question's life works byte for byte, or is refused by name."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pendingctl import Claim, Click, PendingStore, PutOutcome, Scope, Withdrawal, open_pool
from pendingctl.errors import DatabaseFailed, InvalidInput, NotFound, UnfitSetting
from pendingctl.leased import PostedCard
from pendingctl.payload import JsonObject
from pendingctl.postgres import durability
from pendingctl.postgres.connections import connect
from pendingctl.postgres.pool import StorePool
from pendingctl.schema import migrations
from tests.deliveries import readable, until
from tests.postgres.test_pooler import pgbouncer, pooled  # noqa: F401 (fixtures)

SCOPE = Scope("acme", "slack", "U1")
MINUTE = timedelta(minutes=1)
AT_ONCE = timedelta()
# A quote, a backslash, a line end, JSON's own escapes, and characters of two bytes that LATIN1 has.
TEXT = "Déploy \"it\"? \\ 'x' \n\t\x01 %s \\u00e9 ÿ"
WIDE = "€ 日本 🚀"

SETTINGS = [
    ("client_encoding", "SQL_ASCII"),
    ("client_encoding", "LATIN1"),
    ("client_encoding", "EUC_JP"),
    ("DateStyle", "German, DMY"),
    ("DateStyle", "SQL, DMY"),
    ("DateStyle", "Postgres, MDY"),
    ("IntervalStyle", "iso_8601"),
    ("IntervalStyle", "sql_standard"),
    ("IntervalStyle", "postgres_verbose"),
    ("TimeZone", "America/New_York"),
    ("TimeZone", "<+0545>-5:45"),
    ("TimeZone", "Asia/Kolkata"),
    ("bytea_output", "escape"),
    ("extra_float_digits", "0"),
    ("extra_float_digits", "3"),
    ("standard_conforming_strings", "off"),
    ("backslash_quote", "off"),
    ("transform_null_equals", "on"),
    ("xmloption", "document"),
    ("quote_all_identifiers", "on"),
    ("default_transaction_isolation", "serializable"),
    ("default_transaction_isolation", "repeatable read"),
    ("default_transaction_deferrable", "on"),
    ("lock_timeout", "10s"),
    ("statement_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "10s"),
    ("idle_session_timeout", "10s"),
    ("transaction_timeout", "10s"),
    ("search_path", "public, pg_catalog"),
    ("search_path", "nowhere, public"),
    ("row_security", "off"),
    ("jit", "off"),
    ("jit_above_cost", "0"),
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_indexscan", "off"),
    ("synchronous_commit", "off"),
    ("client_min_messages", "error"),
    ("check_function_bodies", "off"),
    ("lc_messages", "C"),
    ("lc_numeric", "C"),
    ("gin_fuzzy_search_limit", "1"),
    ("default_table_access_method", "heap"),
]
# What PgBouncer in transaction mode does not pass on, and a session of its own can have.
OWN_SESSION = [("extra_float_digits", "-15"), ("array_nulls", "off"), ("exit_on_error", "on")]
REFUSED = [("session_replication_role", "replica"), ("search_path", ""), ("search_path", "nowhere")]


def set_for_the_database(connection: psycopg.Connection, name: str, value: str) -> None:
    known = connection.execute("select from pg_settings where lower(name) = lower(%s)", (name,)).fetchone()
    if known is None:
        pytest.skip(f"this version of Postgres has no {name}")
    # A list is several values, and a name or none at all is one.
    values = sql.SQL(", ").join(sql.Literal(each) for each in value.split(", "))
    if name != "search_path":
        values = sql.Composed([sql.Literal(value)])
    connection.execute(
        sql.SQL("alter database {} set {} = {}").format(
            sql.Identifier(connection.info.dbname), sql.Identifier(name), values
        )
    )


def press(id: str, value: str, key: str = "key") -> Click:
    return Click(
        question_id=id,
        organization_id="acme",
        connection_id="slack",
        user_id="U1",
        delivery_key=key,
        value=value,
    )


async def a_questions_life(dsn: str, text: str) -> None:
    """Each statement that a question meets, with what it brings back."""
    payload: JsonObject = {"question": {"text": text, "options": [text, "no"]}, "half": 0.5, "nothing": None}
    async with open_pool(dsn, max_size=2) as pool:
        store = PendingStore(pool)
        assert (await store.put("q", SCOPE, payload)).outcome is PutOutcome.CREATED
        assert (await store.put("q", SCOPE, payload)).outcome is PutOutcome.REFRESHED
        assert await store.put_many([(id, SCOPE, payload) for id in ("r", "s", text[:3])]) == {PutOutcome.CREATED: 3}

        won = await store.claim(press("q", text), lease=AT_ONCE)
        again = await store.claim(press("q", text), lease=AT_ONCE)
        assert isinstance(won, Claim)
        assert isinstance(again, Claim)
        assert (won.payload, won.repeated, again.repeated) == (payload, False, True)
        assert again.claimed_at == won.claimed_at

        (leased,) = readable(await store.leases.lease(lease=MINUTE, limit=9, most_attempts=9))
        assert (leased.answer.value, leased.answer.payload, leased.answer.claimed_at) == (text, payload, won.claimed_at)
        assert await store.leases.mark_delivered(leased)
        numbers = {row.id: row.ask_number for row in await store.inspection.find()}
        cards = [PostedCard(question_id="r", ask_number=numbers["r"], card='"C1"')]
        cards += [PostedCard(question_id="s", ask_number=numbers["s"], card=None)]
        assert await store.leases.mark_posted(cards) == set()
        with pytest.raises(NotFound):
            await store.put("t", Scope("nowhere", "slack", "U1"), payload)
        assert await store.withdraw("r", SCOPE) is Withdrawal.WITHDRAWN
        assert await store.delete("s", SCOPE)

        row = await store.inspection.get("q")
        assert row is not None
        assert (row.answer, row.payload, row.claimed_at) == (text, payload, won.claimed_at)
        assert -1 < row.age_seconds < 60
        rows = await store.inspection.find()
        assert {row.id for row in rows} == {"q", "r", text[:3]}
        assert max(len(str(row.age_seconds)) for row in rows) >= len("0.0123"), "an age has all its digits"
        counts = (await store.statistics.counts()).total
        assert (counts.answered, counts.withdrawn, counts.pending) == (1, 1, 1)
        assert 59 < (await store.begin_sweep(MINUTE)).next_in_seconds <= 60
        assert {id async for ids in store.sweep(max_age=-MINUTE) for id in ids} >= {text[:3]}


@pytest.mark.parametrize(("name", "value"), SETTINGS + OWN_SESSION)
async def test_a_question_lives_whatever_the_database_has_set(
    dsn: str, connection: psycopg.Connection, name: str, value: str
) -> None:
    set_for_the_database(connection, name, value)
    await a_questions_life(dsn, TEXT + WIDE)


@pytest.mark.parametrize(("name", "value"), SETTINGS)
async def test_a_question_lives_behind_a_pooler_too(
    pooled: str,  # noqa: F811
    connection: psycopg.Connection,
    name: str,
    value: str,
) -> None:
    set_for_the_database(connection, name, value)
    drop_the_poolers_sessions(connection)
    await a_questions_life(pooled, TEXT + WIDE)


@pytest.mark.parametrize(("name", "value"), REFUSED)
async def test_a_setting_that_breaks_the_promises_is_refused_by_name(
    dsn: str, connection: psycopg.Connection, name: str, value: str
) -> None:
    set_for_the_database(connection, name, value)
    with pytest.raises(UnfitSetting, match=name) as raised:
        await connect(dsn, application="test")
    assert "\n" not in str(raised.value)
    # A pool connects in the background, and says so to whoever wants a connection.
    async with open_pool(dsn, timeout=0.5) as pool:
        assert isinstance(pool, StorePool)
        await until(lambda: pool.trouble is not None)
        with pytest.raises(UnfitSetting, match=name):
            await PendingStore(pool).put("q", SCOPE, {})


@pytest.mark.parametrize(("name", "value"), OWN_SESSION + REFUSED)
async def test_a_pooler_that_does_not_pass_a_setting_on_is_refused_by_name(
    pooled: str,  # noqa: F811
    connection: psycopg.Connection,
    name: str,
    value: str,
) -> None:
    set_for_the_database(connection, name, value)
    drop_the_poolers_sessions(connection)
    with pytest.raises(UnfitSetting, match=name):
        await connect(pooled, application="test")


def drop_the_poolers_sessions(connection: psycopg.Connection) -> None:
    """A database's setting is for the sessions that begin after it."""
    connection.execute(
        "select pg_terminate_backend(pid, 5000) from pg_stat_activity "
        "where datname = current_database() and pid <> pg_backend_pid()"
    )


async def test_a_database_that_is_to_be_read_only_is_read_and_each_write_refused_by_name(
    dsn: str, connection: psycopg.Connection
) -> None:
    set_for_the_database(connection, "default_transaction_read_only", "on")
    async with open_pool(dsn) as pool:
        store = PendingStore(pool)
        assert await store.inspection.find() == []
        with pytest.raises(DatabaseFailed, match="default_transaction_read_only"):
            await store.put("q", SCOPE, {})


@pytest.fixture
def encoded(server_dsn: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A migrated database of the encoding that the test names; an empty one where the driver knows no such."""
    name = f"pendingctl_test_{secrets.token_hex(6)}"
    with psycopg.connect(server_dsn, autocommit=True) as connection:
        connection.execute(
            sql.SQL("create database {} template template0 encoding {} lc_collate 'C' lc_ctype 'C'").format(
                sql.Identifier(name), sql.Literal(request.param)
            )
        )
        dsn = make_conninfo(server_dsn, dbname=name)
        try:
            if request.param != "MULE_INTERNAL":
                migrations.apply(dsn)
                with psycopg.connect(dsn) as organizations:
                    organizations.execute("insert into organization (id) values ('acme')")
            yield dsn
        finally:
            connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


@pytest.mark.parametrize("encoded", ["SQL_ASCII", "UTF8"], indirect=True)
async def test_a_database_that_holds_all_characters_holds_them_byte_for_byte(encoded: str) -> None:
    await a_questions_life(encoded, TEXT + WIDE)


@pytest.mark.parametrize("encoded", ["SQL_ASCII"], indirect=True)
async def test_it_holds_them_behind_a_pooler_too(encoded: str, pooled: str) -> None:  # noqa: F811
    through = make_conninfo(pooled, dbname=str(conninfo_to_dict(encoded)["dbname"]))
    await a_questions_life(through, TEXT + WIDE)


@pytest.mark.parametrize("encoded", ["LATIN1", "LATIN9", "WIN1252"], indirect=True)
async def test_a_database_of_few_characters_holds_these_byte_for_byte(encoded: str) -> None:
    await a_questions_life(encoded, TEXT)


@pytest.mark.parametrize("encoded", ["LATIN1", "WIN1252", "EUC_JP", "KOI8R"], indirect=True)
async def test_a_character_that_the_database_lacks_is_refused_whole(encoded: str) -> None:
    async with open_pool(encoded) as pool:
        store = PendingStore(pool)
        with pytest.raises(InvalidInput, match=r"encoding lacks a character: leave it out"):
            await store.put("q", SCOPE, {"question": {"text": "🚀"}})
        with pytest.raises(InvalidInput, match="encoding lacks a character"):
            await store.put("🚀", SCOPE, {})
        await store.put("q", SCOPE, {"question": {"text": "Deploy?"}})
        with pytest.raises(InvalidInput, match="encoding lacks a character"):
            await store.claim(press("q", "🚀"), lease=MINUTE)
        assert isinstance(await store.claim(press("q", "yes"), lease=MINUTE), Claim)


@pytest.mark.parametrize("encoded", ["MULE_INTERNAL"], indirect=True)
async def test_an_encoding_without_a_way_to_utf8_is_refused_at_the_start(encoded: str) -> None:
    with pytest.raises(DatabaseFailed, match=r"MULE_INTERNAL.*use a database whose encoding is UTF8"):
        await connect(encoded, application="test")


@pytest.mark.parametrize("encoded", ["SQL_ASCII"], indirect=True)
async def test_bytes_that_are_no_text_are_an_error_that_says_so(encoded: str) -> None:
    """As another program can store them where the database checks nothing."""
    async with open_pool(encoded) as pool:
        store = PendingStore(pool)
        await store.put("q", SCOPE, {})
        with psycopg.connect(encoded, autocommit=True) as connection:
            connection.execute("set client_encoding to 'SQL_ASCII'")
            connection.execute(rb"update pending_interactions set pod = E'\xe9'")
        with pytest.raises(DatabaseFailed, match="text that is not UTF-8"):
            await store.inspection.get("q")


async def test_the_users_own_encoding_does_not_change_what_is_stored(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGCLIENTENCODING", "LATIN1")
    monkeypatch.setenv("PGDATESTYLE", "German")
    monkeypatch.setenv("PGTZ", "Asia/Kolkata")
    await a_questions_life(make_conninfo(dsn, options="-c client_encoding=SQL_ASCII -c IntervalStyle=iso_8601"), WIDE)


async def test_a_server_that_does_not_write_to_its_disk_is_reported_once(
    dsn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The tests' own server is one, which says that nothing of it is to last."""
    durability.report_fsync_off.cache_clear()
    await (await connect(dsn, application="test")).close()
    assert _said(caplog) == []

    monkeypatch.setattr("pendingctl.postgres.sessions.THROWAWAY_CLUSTER", "another")
    for _ in range(2):
        await (await connect(dsn, application="test")).close()
    assert _said(caplog) == ["the server has fsync = off: a crash of its machine loses accepted answers; turn it on"]


def _said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged by pendingctl: what another test has left may be reported at any time."""
    return [record.message for record in caplog.records if record.name.startswith("pendingctl")]
