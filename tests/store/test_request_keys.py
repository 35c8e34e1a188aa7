"""A request key names one request: with another body it is refused, whatever has become of the question (law 3)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import psycopg
import pytest

from pendingctl import PendingStore, PutOutcome, Scope
from pendingctl.errors import InvalidInput, KeyReused, ScopeMismatch
from pendingctl.payload import question_payload
from pendingctl.postgres.connections import Pool
from tests.deliveries import LEASE, lease
from tests.locks import until_waiting_for_a_lock
from tests.questions import PAYLOAD, SCOPE, click

OTHER = question_payload("Deploy to production?", ["yes", "no"], {"conversation_id": "C1"})


async def _arrange(store: PendingStore, connection: psycopg.Connection, state: str) -> None:
    await store.put("q", SCOPE, PAYLOAD, request_key="k", request_digest="d")
    match state:
        case "withdrawn":
            await store.withdraw("q", SCOPE)
        case "answered":
            await store.claim(click())
        case "undelivered":
            await store.claim(click(), lease=LEASE)
        case "past its deadline":
            connection.execute("update pending_interactions set expires_at = now() - interval '1 minute'")


def _row(connection: psycopg.Connection) -> object:
    return connection.execute("select to_jsonb(pending), xmin::text from pending_interactions as pending").fetchone()


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize("state", ["open", "withdrawn", "answered", "undelivered", "past its deadline"])
@pytest.mark.law(3)
async def test_a_key_that_comes_with_another_digest_is_refused_and_changes_nothing(
    store: PendingStore, connection: psycopg.Connection, state: str, keeps: bool
) -> None:
    await _arrange(store, connection, state)
    before = _row(connection)

    for payload in (PAYLOAD, OTHER):
        with pytest.raises(KeyReused, match="'k' has asked question 'q' in another request; nothing was changed"):
            await store.put(
                "q",
                SCOPE,
                payload,
                request_key="k",
                request_digest="another",
                if_answered="keep" if keeps else "reopen",
            )

    assert _row(connection) == before


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        ("open", PutOutcome.REFRESHED),
        ("withdrawn", PutOutcome.WITHDRAWN),
        ("answered", PutOutcome.ALREADY_ANSWERED),
        ("undelivered", PutOutcome.ALREADY_ANSWERED),
        ("past its deadline", PutOutcome.EXPIRED),
    ],
)
async def test_the_same_digest_is_a_retry_and_so_is_one_without(
    store: PendingStore, connection: psycopg.Connection, state: str, outcome: PutOutcome
) -> None:
    await _arrange(store, connection, state)

    assert (await store.put("q", SCOPE, PAYLOAD, request_key="k", request_digest="d")).outcome is outcome
    assert (await store.put("q", SCOPE, PAYLOAD, request_key="k")).outcome is outcome
    # The retry without a digest has not taken the row's away.
    with pytest.raises(KeyReused):
        await store.put("q", SCOPE, PAYLOAD, request_key="k", request_digest="another")


async def test_another_content_under_the_same_key_is_refused_without_digests_as_well(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, request_key="k")

    with pytest.raises(KeyReused, match="with another content"):
        await store.put("q", SCOPE, OTHER, request_key="k")


async def test_another_key_or_none_is_not_held_to_the_digest(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, request_key="k1", request_digest="d")

    assert (await store.put("q", SCOPE, PAYLOAD)).outcome is PutOutcome.REFRESHED
    anew = await store.put("q", SCOPE, PAYLOAD, request_key="k2", request_digest="another")
    assert anew.outcome is PutOutcome.SUPERSEDED
    with pytest.raises(KeyReused):
        await store.put("q", SCOPE, PAYLOAD, request_key="k2", request_digest="d")


async def test_a_row_that_has_no_digest_takes_the_first_one_that_comes(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD)
    await store.put("q", SCOPE, PAYLOAD, request_key="k", request_digest="d")

    with pytest.raises(KeyReused):
        await store.put("q", SCOPE, PAYLOAD, request_key="k", request_digest="another")


async def test_a_digest_without_a_key_says_nothing_and_is_refused(store: PendingStore) -> None:
    with pytest.raises(InvalidInput, match="a request digest needs a request key"):
        await store.put("q", SCOPE, PAYLOAD, request_digest="d")
    assert await store.inspection.get("q") is None


@pytest.mark.parametrize("scope", [replace(SCOPE, expected_user_id="U2"), replace(SCOPE, connection_id="teams")])
async def test_another_user_or_connection_is_another_request_of_the_same_organization(
    store: PendingStore, connection: psycopg.Connection, scope: Scope
) -> None:
    await store.put("q", SCOPE, PAYLOAD, request_key="k", request_digest="d")
    before = _row(connection)

    with pytest.raises(KeyReused):
        await store.put("q", scope, PAYLOAD, request_key="k", request_digest="another")
    for key, digest in (("k", "d"), ("k", None), ("k2", "another")):
        with pytest.raises(ScopeMismatch):
            await store.put("q", scope, PAYLOAD, request_key=key, request_digest=digest)

    assert _row(connection) == before


@pytest.mark.law(3)
async def test_another_tenant_cannot_tell_a_key_that_is_in_use_from_one_that_is_not(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    await store.create_organization("globex")
    await store.put("q", SCOPE, PAYLOAD, request_key="k", request_digest="d")
    before = _row(connection)

    said = set()
    for key, digest in (("k", "d"), ("k", "another"), ("unused", "d")):
        with pytest.raises(ScopeMismatch) as refused:
            await store.put(
                "q", replace(SCOPE, organization_id="globex"), PAYLOAD, request_key=key, request_digest=digest
            )
        said.add(str(refused.value))

    assert len(said) == 1
    assert _row(connection) == before


async def test_another_application_of_the_tenant_has_keys_of_its_own(store: PendingStore, pool: Pool) -> None:
    await store.put("q", SCOPE, PAYLOAD, request_key="k", request_digest="d")

    with pytest.raises(ScopeMismatch, match="another application"):
        await PendingStore(pool, application="billing").put(
            "q", SCOPE, PAYLOAD, request_key="k", request_digest="another"
        )


@pytest.mark.law(3)
async def test_of_requests_at_once_under_one_key_the_first_one_asks_and_the_others_are_refused(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    for round in range(10):
        puts = [
            store.put(f"q{round}", SCOPE, PAYLOAD, request_key="k", request_digest=f"d{number % 4}")
            for number in range(12)
        ]
        done = await asyncio.gather(*puts, return_exceptions=True)

        stored = connection.execute(
            "select entry_payload ->> 'request_digest' from pending_interactions where id = %s", (f"q{round}",)
        ).fetchone()
        assert stored is not None
        for number, each in enumerate(done):
            assert isinstance(each, KeyReused) is (stored != (f"d{number % 4}",)), (number, stored, each)
        outcomes = [each.outcome for each in done if not isinstance(each, BaseException)]
        assert outcomes.count(PutOutcome.CREATED) == 1
        assert len(outcomes) == 3


def _ask(connection: psycopg.Connection) -> None:
    connection.execute(
        "update pending_interactions set request_key = 'k', "
        "entry_payload = entry_payload || jsonb_build_object('request_digest', 'd')"
    )


def _end(connection: psycopg.Connection) -> None:
    connection.execute("update pending_interactions set claimed_at = now(), answer = 'yes', delivered_at = now()")


@pytest.mark.parametrize("meanwhile", [[_ask], [_ask, _end]])
@pytest.mark.law(3)
async def test_a_put_that_has_waited_for_another_one_is_held_to_its_digest(
    dsn: str,
    store: PendingStore,
    connection: psycopg.Connection,
    meanwhile: list[Callable[[psycopg.Connection], None]],
) -> None:
    """What it saw before it waited, a row without a key, allowed it to take the row for its own."""
    await store.put("q", SCOPE, PAYLOAD)
    with psycopg.connect(dsn) as other:
        for change in meanwhile:
            change(other)
        waiting = asyncio.create_task(
            store.put("q", SCOPE, PAYLOAD, request_key="k", request_digest="another", if_answered="keep")
        )
        await until_waiting_for_a_lock(connection)
        other.commit()
        before = _row(connection)
        with pytest.raises(KeyReused):
            await waiting

    assert _row(connection) == before


async def test_the_worker_gets_the_digest_beside_the_question(store: PendingStore) -> None:
    await store.put("q", SCOPE, PAYLOAD, request_key="k", request_digest="d")
    await store.claim(click(), lease=LEASE * 0)

    (answer,) = await lease(store)

    assert answer.answer.payload == {**PAYLOAD, "request_digest": "d"}
