"""An error says what happened and what to do, in one line; unreachable only where the outcome may be unknown."""

from __future__ import annotations

import asyncio
import random
import select
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg import OperationalError, sql
from psycopg.conninfo import make_conninfo

from pendingctl import PendingStore, Scope
from pendingctl.embedded import find_binaries, throwaway_server
from pendingctl.errors import (
    DatabaseBusy,
    DatabaseFailed,
    DatabaseUnreachable,
    InvalidInput,
    NotConnected,
    NotMigrated,
    PendingctlError,
)
from pendingctl.payload import MAX_ID_BYTES, check_id
from pendingctl.postgres.connections import Borrowed, Pool, connect, in_transaction
from pendingctl.postgres.driver_errors import translate
from tests.faults.moments import came_true
from tests.locks import waiting_for_a_lock

ENDS_WITH = [
    # What a person or a server can have in the way of a statement: nothing was done, and the same may succeed.
    ("set lock_timeout = '50ms'; lock table pending_interactions", DatabaseBusy, "try again when it has ended"),
    ("set statement_timeout = '50ms'; select pg_sleep(5)", DatabaseBusy, "raise statement_timeout"),
    ("raise 40001", DatabaseBusy, "try again"),
    ("raise 40P01", DatabaseBusy, "two transactions waited for each other"),
    # What somebody has to see to first.
    ("raise 53100", DatabaseFailed, "make room"),
    ("raise 53200", DatabaseFailed, "no memory left"),
    ("set transaction read only; delete from pending_interactions", DatabaseFailed, "default_transaction_read_only"),
    ("select from nowhere", NotMigrated, "run: pendingctl migrate"),
    ("select repeat('[', 100000)::jsonb", InvalidInput, "nested too deeply"),
    ("select 1/0", DatabaseFailed, "the database refused: division by zero"),
    # What Postgres holds and Python does not.
    ("select 'infinity'::timestamptz", DatabaseFailed, "a row holds what cannot be read"),
    ("select '20000-01-01'::timestamptz", DatabaseFailed, "a row holds what cannot be read"),
    ("select '9999-12-31 23:59:59-12'::timestamptz", DatabaseFailed, "a row holds what cannot be read"),
    ("select ('[' || repeat('1', 5000) || ']')::jsonb", DatabaseFailed, "a row holds what cannot be read"),
    # What ends the session: it may have been done.
    ("select pg_terminate_backend(pg_backend_pid())", DatabaseUnreachable, "the server ended the connection"),
    ("raise 57P02", DatabaseUnreachable, "the server ended the connection"),
    ("raise 08006", DatabaseUnreachable, "was lost"),
]


@pytest.fixture
def raising(connection: psycopg.Connection) -> None:
    """A function that fails as a server does where a test has no way to bring it about."""
    connection.execute(
        "create function fail(code text) returns void language plpgsql as "
        "$$ begin raise exception 'as it happens' using errcode = code; end $$"
    )


@pytest.mark.usefixtures("raising")
@pytest.mark.parametrize(("statement", "kind", "remedy"), ENDS_WITH)
async def test_an_error_is_of_its_kind_with_its_remedy(
    pool: Pool, connection: psycopg.Connection, statement: str, kind: type[PendingctlError], remedy: str
) -> None:
    if statement.startswith("raise"):
        statement = f"select fail('{statement.split()[1]}')"
    with psycopg.connect(connection.info.dsn) as holder:
        holder.execute("select from pending_interactions")
        error = await the_error_of(pool, statement)

    assert type(error) is kind
    assert remedy in str(error)
    assert "\n" not in str(error)


async def the_error_of(pool: Pool, statements: str) -> PendingctlError:
    with pytest.raises(PendingctlError) as raised:
        await run_each(pool, statements)
    return raised.value


async def run_each(pool: Pool, statements: str) -> None:
    async with in_transaction(pool) as borrowed:
        for statement in statements.split("; "):
            cursor = await borrowed.execute(statement.encode())
            if cursor.description is not None:
                await cursor.fetchall()


async def test_a_deadlock_is_no_unreachable_database(pool: Pool) -> None:
    async def lock(first: str, second: str) -> None:
        async with in_transaction(pool) as borrowed:
            await borrowed.execute("select from organization where id = %s for update", (first,))
            locked.add(first)
            assert await came_true(lambda: len(locked) == 2)
            await borrowed.execute("select from organization where id = %s for update", (second,))

    locked: set[str] = set()
    ended = await asyncio.gather(lock("acme", "globex"), lock("globex", "acme"), return_exceptions=True)

    (error,) = [each for each in ended if each is not None]
    assert type(error) is DatabaseBusy
    assert str(error) == "deadlock detected; two transactions waited for each other, this one was undone; try again"


async def test_a_statement_that_a_person_cancels_was_not_done(pool: Pool, connection: psycopg.Connection) -> None:
    with psycopg.connect(connection.info.dsn) as holder:
        holder.execute("select from organization where id = 'acme' for update")
        waiting = asyncio.create_task(the_error_of(pool, "select from organization where id = 'acme' for update"))
        assert await came_true(lambda: waiting_for_a_lock(connection) == 1)
        connection.execute(
            "select pg_cancel_backend(pid) from pg_locks where not granted "
            "and pid in (select pid from pg_stat_activity where datname = current_database())"
        )
        error = await waiting

    assert type(error) is DatabaseBusy
    assert "user request; nothing was done" in str(error)


async def test_a_transaction_that_idled_too_long_names_the_setting(pool: Pool) -> None:
    with pytest.raises(DatabaseUnreachable, match="raise idle_in_transaction_session_timeout"):
        await idle_in_a_transaction(pool)


async def idle_in_a_transaction(pool: Pool) -> None:
    async with in_transaction(pool) as borrowed:
        await borrowed.execute("set idle_in_transaction_session_timeout = '20ms'")
        assert await came_true(lambda: bool(select.select([borrowed.fileno()], [], [], 0)[0]))
        await borrowed.execute("select 1")


async def test_a_transaction_that_took_too_long_names_the_setting(pool: Pool) -> None:
    async with Borrowed(pool) as borrowed:
        if borrowed.info.server_version < 170000:
            pytest.skip("PostgreSQL 17 is the first with transaction_timeout")
    error = await the_error_of(pool, "set transaction_timeout = '50ms'; select pg_sleep(5)")

    assert type(error) is DatabaseUnreachable
    assert "raise transaction_timeout" in str(error)


def test_a_full_queue_of_notifications_names_who_keeps_it() -> None:
    if (major := find_binaries().major) < 17:
        pytest.skip(f"PostgreSQL {major} has a queue of 8 GB, which 17 lets be smaller")
    with (
        throwaway_server(settings={"max_notify_queue_pages": "64"}) as server,
        psycopg.connect(server.dsn) as listening,
        psycopg.connect(server.dsn, autocommit=True) as notifying,
    ):
        listening.execute("listen something")
        listening.commit()
        listening.execute("select")
        error: psycopg.Error | None = None
        for number in range(200):
            try:
                notifying.execute("select pg_notify('x', %s || repeat('x', 7900))", [str(number)])
            except psycopg.Error as full:
                error = full
                break
    assert error is not None
    assert type(translate(error)) is DatabaseFailed
    assert "a session that listens has had a transaction open for long; end it" in str(translate(error))


@pytest.fixture
def role(connection: psycopg.Connection) -> Iterator[str]:
    name = f"bot_{connection.info.dbname}"
    connection.execute(sql.SQL("create role {} login connection limit 0").format(sql.Identifier(name)))
    yield name
    connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


async def test_a_server_without_a_free_connection_says_so(dsn: str, role: str) -> None:
    with pytest.raises(NotConnected, match=r"the server has no connection left: too many connections for role"):
        await connect(make_conninfo(dsn, user=role), application="test")


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ({"dbname": "nowhere"}, "create it, or name another"),
        ({"user": "nobody_at_all"}, "check the user"),
    ],
)
async def test_a_login_that_is_refused_is_no_unreachable_database(dsn: str, wrong: dict[str, str], remedy: str) -> None:
    with pytest.raises(DatabaseFailed, match=remedy) as raised:
        await connect(make_conninfo(dsn, **wrong), application="test")
    assert not isinstance(raised.value, DatabaseUnreachable)


@pytest.mark.parametrize(
    ("said", "kind", "meaning"),
    [
        ('FATAL:  password authentication failed for user "bot"', DatabaseFailed, "refused the login"),
        ("fe_sendauth: no password supplied", DatabaseFailed, "refused the login"),
        ('FATAL:  no pg_hba.conf entry for host "::1", user "bot"', DatabaseFailed, "refused the login"),
        ("FATAL:  the database system is starting up", NotConnected, "starting or stopping"),
        ("FATAL:  the database system is not yet accepting connections", NotConnected, "starting or stopping"),
        ("FATAL:  sorry, too many clients already", NotConnected, "no connection left"),
        ("FATAL:  no more connections allowed (max_client_conn)", NotConnected, "no connection left"),
        ("Connection refused", NotConnected, "cannot be reached"),
    ],
)
def test_why_no_connection_could_be_made(said: str, kind: type[PendingctlError], meaning: str) -> None:
    """What libpq says, without a code."""
    error = translate(OperationalError(f'connection failed: connection to server at "h", port 5432 failed: {said}'))

    assert type(error) is kind
    assert meaning in str(error)


def test_a_text_that_is_none_is_the_callers_mistake() -> None:
    with pytest.raises(UnicodeEncodeError) as raised:
        "\ud800".encode()
    assert isinstance(translate(raised.value), InvalidInput)


def incompressible(characters: str, bytes_in_all: int) -> Callable[[], str]:
    """Returns ids of so many bytes, of which an index can make no fewer."""

    def one() -> str:
        id = ""
        while len(id.encode()) < bytes_in_all - 3:
            id += random.choice(characters)
        return id + "x" * (bytes_in_all - len(id.encode()))

    return one


CJK = "".join(map(chr, range(0x4E00, 0x9FFF)))
EMOJI = "".join(map(chr, range(0x1F300, 0x1F600)))


@pytest.mark.parametrize("characters", [CJK, EMOJI], ids=["CJK", "emoji"])
async def test_four_ids_of_the_most_bytes_fit_their_index(store: PendingStore, characters: str) -> None:
    id = incompressible(characters, MAX_ID_BYTES)
    scope = Scope(id(), id(), id())
    await store.create_organization(scope.organization_id)

    await store.put(id(), scope, {})
    with pytest.raises(InvalidInput, match=f"{MAX_ID_BYTES + 1} bytes as UTF-8; at most {MAX_ID_BYTES} are allowed"):
        await store.put(id() + "x", scope, {})


async def test_with_a_few_bytes_more_they_do_not_and_the_error_names_the_limit(
    pool: Pool, connection: psycopg.Connection
) -> None:
    id = incompressible(CJK, MAX_ID_BYTES + 4)
    organization = id()
    connection.execute("insert into organization values (%s)", (organization,))
    row = (id(), organization, id(), id())
    with pytest.raises(InvalidInput, match=f"an id is too long for the index .*at most {MAX_ID_BYTES} bytes"):
        await insert(pool, row)


async def insert(pool: Pool, row: tuple[str, str, str, str]) -> None:
    async with Borrowed(pool) as borrowed:
        await borrowed.execute(
            "insert into pending_interactions (id, organization_id, connection_id, expected_user_id, entry_payload) "
            "values (%s, %s, %s, %s, '{}')",
            row,
        )


def test_an_id_of_255_letters_is_still_one() -> None:
    check_id("x" * 255, "question id")
    check_id("ä" * 255, "question id")
