"""The store against a model of it: random puts, clicks, deletions, sweeps and passing time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pendingctl import Claim, Click, PendingStore, PutOutcome, Refusal, RefusalReason, Scope
from pendingctl.errors import ScopeMismatch
from pendingctl.postgres.connections import SingleConnection, connect
from pendingctl.store import IfAnswered

SCOPES = st.builds(
    Scope, st.sampled_from(["acme", "globex"]), st.sampled_from(["slack", "teams"]), st.sampled_from(["U1", "U2"])
)
IDS = ("a", "b", "c")
DAY = timedelta(hours=24)


@dataclass(frozen=True)
class Row:
    scope: Scope
    payload: int
    age: timedelta
    ask_number: int = 1
    answer: str | None = None
    delivery_key: str | None = None


class StoreMachine(RuleBasedStateMachine):
    dsn: str

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, Row] = {}
        self.runner = asyncio.Runner()
        self.connection = self.runner.run(connect(self.dsn, application="test"))
        self.store = PendingStore(SingleConnection(self.connection))
        self.runner.run(self.execute("truncate pending_interactions"))

    async def execute(self, statement: str, *parameters: object) -> list[tuple[object, ...]]:
        cursor = await self.connection.execute(statement, parameters)
        return [] if cursor.description is None else await cursor.fetchall()

    def teardown(self) -> None:
        self.runner.run(self.connection.close())
        self.runner.close()

    @rule(
        id=st.sampled_from(IDS),
        scope=SCOPES,
        payload=st.integers(0, 9),
        if_answered=st.sampled_from(["reopen", "keep"]),
    )
    def put(self, id: str, scope: Scope, payload: int, if_answered: IfAnswered) -> None:
        row = self.rows.get(id)
        storing = self.store.put(id, scope, {"n": payload}, if_answered=if_answered)
        if row is not None and row.scope != scope:
            with pytest.raises(ScopeMismatch):
                self.runner.run(storing)
            return
        outcome = self.runner.run(storing).outcome
        if row is None:
            assert outcome is PutOutcome.CREATED
            self.rows[id] = Row(scope, payload, timedelta(0))
        elif row.delivery_key is None:
            assert outcome is PutOutcome.REFRESHED
            self.rows[id] = replace(row, payload=payload)
        elif if_answered == "keep":
            assert outcome is PutOutcome.ALREADY_ANSWERED
        else:
            assert outcome is PutOutcome.REOPENED
            self.rows[id] = Row(scope, payload, timedelta(0), row.ask_number + 1)

    @rule(
        id=st.sampled_from(IDS),
        scope=SCOPES,
        key=st.sampled_from(["k1", "k2"]),
        value=st.sampled_from(["yes", "no"]),
        ask_number=st.none() | st.integers(1, 3),
    )
    def claim(self, id: str, scope: Scope, key: str, value: str, ask_number: int | None) -> None:
        click = Click(
            question_id=id,
            organization_id=scope.organization_id,
            connection_id=scope.connection_id,
            user_id=scope.expected_user_id,
            delivery_key=key,
            value=value,
            ask_number=ask_number,
        )
        result = self.runner.run(self.store.claim(click))
        row = self.rows.get(id)
        if row is None or (row.scope.organization_id, row.scope.connection_id) != (
            scope.organization_id,
            scope.connection_id,
        ):
            expected: RefusalReason | None = RefusalReason.UNKNOWN_OR_EXPIRED
        elif row.scope != scope:
            expected = RefusalReason.NOT_YOURS
        elif ask_number is not None and ask_number < row.ask_number:
            expected = RefusalReason.ALREADY_ANSWERED
        elif ask_number is not None and ask_number > row.ask_number:
            expected = RefusalReason.UNKNOWN_OR_EXPIRED
        elif row.delivery_key not in (None, key) or row.answer not in (None, value):
            expected = RefusalReason.ALREADY_ANSWERED
        else:
            expected = None
        if expected is not None:
            assert isinstance(result, Refusal)
            assert result.reason is expected
            return
        assert row is not None
        assert isinstance(result, Claim)
        assert result.repeated == (row.delivery_key is not None)
        assert (result.payload, result.ask_number) == ({"n": row.payload}, row.ask_number)
        self.rows[id] = replace(row, answer=value, delivery_key=key)

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), key=st.sampled_from(["k1", "k2"]), value=st.sampled_from(["yes", "no"]))
    def claim_by_the_right_person(self, data: st.DataObject, key: str, value: str) -> None:
        id = data.draw(st.sampled_from(sorted(self.rows)))
        self.claim(id, self.rows[id].scope, key, value, None)

    @rule(id=st.sampled_from(IDS), scope=SCOPES)
    def delete(self, id: str, scope: Scope) -> None:
        there = id in self.rows and self.rows[id].scope == scope
        assert self.runner.run(self.store.delete(id, scope)) == there
        if there:
            del self.rows[id]

    @initialize(scopes=st.fixed_dictionaries({id: SCOPES for id in IDS}))
    def some_wait(self, scopes: dict[str, Scope]) -> None:
        """Begun with an empty table, most runs would never see two rows at once."""
        for id in IDS:
            self.put(id, scopes[id], 0, "keep")

    @precondition(lambda self: self.rows)
    @rule(hours=st.fixed_dictionaries({id: st.sampled_from([0, 1, 25, 30]) for id in IDS}))
    def rows_get_older(self, hours: dict[str, int]) -> None:
        """Each by its own time, as if they had been stored one after the other: a sweep has an order to keep."""
        for id, row in self.rows.items():
            gone = timedelta(hours=hours[id])
            self.runner.run(
                self.execute("update pending_interactions set created_at = created_at - %s where id = %s", gone, id)
            )
            self.rows[id] = replace(row, age=row.age + gone)

    @precondition(lambda self: self.rows)
    @rule(limit=st.integers(1, 2), batch_size=st.integers(1, 2))
    def sweep(self, limit: int, batch_size: int) -> None:
        async def swept() -> list[str]:
            return [id async for batch in self.store.sweep(limit=limit, batch_size=batch_size) for id in batch]

        ids = self.runner.run(swept())
        stale = {id for id, row in self.rows.items() if row.age >= DAY}
        assert set(ids) <= stale
        assert len(ids) == min(limit, len(stale))
        taken = [self.rows.pop(id).age for id in ids]
        assert all(row.age <= age for age in taken for row in self.rows.values()), "the oldest go first"

    @invariant()
    def the_table_is_as_the_model_says(self) -> None:
        found = self.runner.run(
            self.execute(
                "select id, organization_id, connection_id, expected_user_id, entry_payload, ask_number, answer, "
                "delivery_key, claimed_at is not null from pending_interactions"
            )
        )
        expected = [
            (
                id,
                row.scope.organization_id,
                row.scope.connection_id,
                row.scope.expected_user_id,
                {"n": row.payload},
                row.ask_number,
                row.answer,
                row.delivery_key,
                row.delivery_key is not None,
            )
            for id, row in self.rows.items()
        ]
        assert sorted(found, key=str) == sorted(expected, key=str)


@pytest.fixture
def machine(dsn: str) -> type[StoreMachine]:
    return type("Machine", (StoreMachine,), {"dsn": dsn})


def test_the_store_behaves_as_its_model(machine: type[StoreMachine], connection: psycopg.Connection) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert connection.execute("select count(*) from organization").fetchone() == (2,)
