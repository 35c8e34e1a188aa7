"""What the store has acknowledged is on the disk, whatever a role, a database or a pooler say of that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from pendingctl import PendingStore, open_pool
from pendingctl.leased import RetiredCard
from pendingctl.model import Outcome, Withdrawal
from tests.deliveries import LEASE, SHORT, claimed
from tests.posts import fails, posts
from tests.questions import PAYLOAD, SCOPE, click

ASKER = UUID(int=7)


async def _put(store: PendingStore) -> None:
    await store.put("new", SCOPE, PAYLOAD)


async def _put_again(store: PendingStore) -> None:
    await store.put("open", SCOPE, PAYLOAD)


async def _supersede(store: PendingStore) -> None:
    await store.put("open", SCOPE, {})


async def _put_many(store: PendingStore) -> None:
    await store.put_many([("new", SCOPE, PAYLOAD), ("open", SCOPE, PAYLOAD)])


async def _claim(store: PendingStore) -> None:
    await store.claim(click("open"))


async def _withdraw(store: PendingStore) -> None:
    await store.withdraw("open", SCOPE)


async def _delete(store: PendingStore) -> None:
    await store.delete("open", SCOPE)


async def _take_back(store: PendingStore) -> None:
    assert await store.delete_untouched(await store.put("new", SCOPE, PAYLOAD))


async def _deliver(store: PendingStore) -> None:
    assert await store.leases.mark_delivered(await claimed(store, "new"))


async def _fail(store: PendingStore) -> None:
    await store.leases.mark_failed(await claimed(store, "new"), "no", retry_in=SHORT, most_attempts=3)


async def _release(store: PendingStore) -> None:
    assert await store.leases.release(await claimed(store, "new"))


async def _redeliver(store: PendingStore) -> None:
    await store.claim(click("open"))
    assert await store.leases.redeliver(["open"]) == ["open"]


async def _await(store: PendingStore) -> None:
    stored = await store.put("new", SCOPE, PAYLOAD, awaited_by=ASKER)
    assert await store.leases.keep_waiting("new", stored.ask_number, ASKER, awaited_for=SHORT)
    await store.claim(click("new"), lease=timedelta(0))
    assert await store.leases.lease_awaited("new", stored.ask_number, ASKER, lease=LEASE) is not None
    assert await store.leases.stop_waiting("new", ASKER)


async def _retire(store: PendingStore) -> None:
    card = RetiredCard(ask_number=1, card="1", text=None, ending="superseded", answer=None, answered_by=None, at=None)
    assert await store.leases.mark_retired("retired", [card])


async def _expire(store: PendingStore) -> None:
    await store.put("new", SCOPE, PAYLOAD, expires_in=timedelta(microseconds=1))
    assert await store.leases.expire(limit=10) == 1


async def _expire_one(store: PendingStore) -> None:
    await store.put("new", SCOPE, PAYLOAD, expires_in=timedelta(microseconds=1))
    assert await store.withdraw("new", SCOPE) is Withdrawal.ALREADY_EXPIRED


async def _expire_stale(store: PendingStore) -> None:
    await store.leases.hear(frozenset(Outcome))
    assert [batch async for batch in store.sweep(max_age=timedelta(microseconds=1))] == []


async def _extend(store: PendingStore) -> None:
    await store.put("new", SCOPE, PAYLOAD, expires_in=LEASE)
    assert isinstance(await store.extend("new", SCOPE, by=LEASE), datetime)


async def _lease_posts(store: PendingStore) -> None:
    await store.put("new", SCOPE, PAYLOAD, show=True)
    (post,) = await posts(store)
    assert await fails(store, post) is False


async def _in_its_own_transaction(store: PendingStore) -> None:
    async with store.transaction() as mine:
        await store.put("new", SCOPE, PAYLOAD, connection=mine)


WRITES: list[Callable[[PendingStore], Awaitable[None]]] = [
    _put,
    _put_again,
    _supersede,
    _put_many,
    _claim,
    _withdraw,
    _delete,
    _take_back,
    _deliver,
    _fail,
    _release,
    _redeliver,
    _await,
    _retire,
    _expire,
    _expire_one,
    _expire_stale,
    _extend,
    _lease_posts,
    _in_its_own_transaction,
]


@pytest.fixture
async def level(request: pytest.FixtureRequest) -> str:
    """How long a commit waits, as the database's owner would have it."""
    assert isinstance(request.param, str)
    return request.param


@pytest.fixture
async def lax(dsn: str, connection: psycopg.Connection, store: PendingStore, level: str) -> AsyncIterator[PendingStore]:
    """A store on a database of that level, which writes down the level at each commit."""
    await store.put("open", SCOPE, PAYLOAD)
    await store.put("retired", SCOPE, PAYLOAD)
    connection.execute("update pending_interactions set retired_cards = '[{\"ask_number\": 1}]' where id = 'retired'")
    connection.execute(
        """
        create table committed (level text);
        create function note() returns trigger language plpgsql as $$
        begin
            insert into committed values (current_setting('synchronous_commit'));
            return null;
        end $$;
        create constraint trigger note after insert or update or delete on pending_interactions
            deferrable initially deferred for each row execute function note();
        """
    )
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("alter database {} set synchronous_commit = {}").format(database, level))
    async with open_pool(dsn) as pool:
        yield PendingStore(pool)


def _levels(connection: psycopg.Connection) -> list[str]:
    return [level for (level,) in connection.execute("select distinct level from committed").fetchall()]


@pytest.mark.parametrize("level", ["off"], indirect=True)
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.law(6)
async def test_what_is_acknowledged_is_durable(
    lax: PendingStore, connection: psycopg.Connection, write: Callable[[PendingStore], Awaitable[None]]
) -> None:
    await write(lax)

    assert _levels(connection) == ["on"]


@pytest.mark.parametrize("level", ["local", "remote_write", "remote_apply"], indirect=True)
async def test_what_the_owner_has_chosen_is_kept(lax: PendingStore, connection: psycopg.Connection, level: str) -> None:
    for write in (_claim, _put, _supersede):
        await write(lax)

    assert _levels(connection) == [level]


@pytest.mark.parametrize("level", ["off"], indirect=True)
async def test_what_the_caller_does_after_it_is_as_the_caller_has_it(
    lax: PendingStore, connection: psycopg.Connection
) -> None:
    """The level is the transaction's, and the next one's is the owner's again."""
    async with lax.transaction() as mine:
        await lax.put("new", SCOPE, PAYLOAD, connection=mine)
        shown = await (await mine.execute("show synchronous_commit")).fetchone()
        assert shown == ("on",)
    async with lax.transaction() as mine:
        shown = await (await mine.execute("show synchronous_commit")).fetchone()
    assert shown == ("off",)
    assert _levels(connection) == ["on"]
