"""The store against a model of it: random puts, clicks, withdrawals, deliveries, deletions, sweeps and passing time.

Time brings escalations, too.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
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

from pendingctl import Claim, Click, PendingStore, PutOutcome, Refusal, RefusalReason, Scope, Withdrawal
from pendingctl.errors import Undelivered
from pendingctl.postgres.connections import SingleConnection, connect
from pendingctl.store import IfAnswered
from tests.deliveries import LEASE, readable
from tests.store.modelled_rows import DAY, SECOND, Before, Ending, Row, expected_claim, expected_put

SCOPES = st.builds(
    Scope, st.sampled_from(["acme", "globex"]), st.sampled_from(["slack", "teams"]), st.sampled_from(["U1", "U2"])
)
APPLICATIONS = ("", "deployer")
IDS = ("a", "b", "c")
REQUESTS = st.none() | st.sampled_from(["r1", "r2", "r3"])
KEYS = st.sampled_from(["k1", "k2"])
VALUES = st.sampled_from(["yes", "no"])


class StoreMachine(RuleBasedStateMachine):
    dsn: str

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, Row] = {}
        self.numbers: list[int] = []
        self.runner = asyncio.Runner()
        self.connection = self.runner.run(connect(self.dsn, application="test"))
        source = SingleConnection(self.connection)
        self.stores = {application: PendingStore(source, application=application) for application in APPLICATIONS}
        self.store = self.stores[""]
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
        application=st.sampled_from(APPLICATIONS),
        text=st.integers(0, 2),
        detail=st.integers(0, 9),
        request=REQUESTS,
        if_answered=st.sampled_from(["reopen", "keep"]),
        escalates=st.booleans(),
    )
    def put(
        self,
        id: str,
        scope: Scope,
        application: str,
        text: int,
        detail: int,
        request: str | None,
        if_answered: IfAnswered,
        escalates: bool = False,
    ) -> None:
        row = self.rows.get(id)
        asked = Row(scope, application, text, detail, 0, request, is_shown=escalates, has_escalation=escalates)
        storing = self.stores[application].put(
            id,
            scope,
            asked.payload,
            request_key=request,
            if_answered=if_answered,
            show=escalates,
            escalate_after=DAY / 2 if escalates else None,
            escalate_to=SECOND if escalates else None,
        )
        expected = expected_put(row, asked, keeps=if_answered == "keep")
        if not isinstance(expected, PutOutcome):
            with pytest.raises(expected):
                self.runner.run(storing)
            return
        stored = self.runner.run(storing)
        assert stored.outcome is expected
        if row is None or stored.outcome in (PutOutcome.SUPERSEDED, PutOutcome.REOPENED):
            assert all(stored.ask_number > number for number in self.numbers)
            self.numbers.append(stored.ask_number)
            asked = replace(asked, ask_number=stored.ask_number)
            if row is not None:
                displaced = row.displaced if row.request is None else (row.request, *row.displaced)
                before = Before(row.ask_number, row.ending or Ending.SUPERSEDED, row.press, row.may_answer)
                asked = replace(asked, displaced=displaced, before=before)
            self.rows[id] = asked
        elif stored.outcome is PutOutcome.REFRESHED:
            self.rows[id] = replace(
                row, detail=detail, request=row.request or request, is_shown=row.is_shown or escalates
            )
        assert stored.ask_number == self.rows[id].ask_number

    @precondition(lambda self: self.rows)
    @rule(
        data=st.data(),
        text=st.integers(0, 2),
        request=REQUESTS,
        if_answered=st.sampled_from(["reopen", "keep"]),
        escalates=st.booleans(),
    )
    def put_by_its_owner(
        self, data: st.DataObject, text: int, request: str | None, if_answered: IfAnswered, escalates: bool
    ) -> None:
        id = data.draw(st.sampled_from(sorted(self.rows)))
        self.put(id, self.rows[id].scope, self.rows[id].application, text, 0, request, if_answered, escalates)

    @precondition(lambda self: any(row.has_escalation and row.ending is None for row in self.rows.values()))
    @rule(data=st.data())
    def the_time_of_an_escalation_comes(self, data: st.DataObject) -> None:
        open_ones = [id for id, row in self.rows.items() if row.has_escalation and row.ending is None]
        id = data.draw(st.sampled_from(sorted(open_ones)))
        self.runner.run(self.execute("update pending_interactions set escalate_at = '-infinity' where id = %s", id))
        self.rows[id] = replace(self.rows[id], is_escalated=True)

    @rule(
        id=st.sampled_from(IDS),
        scope=SCOPES,
        application=st.sampled_from(APPLICATIONS),
        key=KEYS,
        value=VALUES,
        data=st.data(),
        leases=st.booleans(),
        by_the_second=st.booleans(),
    )
    def claim(
        self,
        id: str,
        scope: Scope,
        application: str,
        key: str,
        value: str,
        data: st.DataObject,
        leases: bool,
        by_the_second: bool,
    ) -> None:
        row = self.rows.get(id)
        # The card's number: of the present asking, the one before, an older one, or one that nobody has drawn.
        known = sorted(self.numbers)
        number = data.draw(st.none() | st.sampled_from([*known, (known or [0])[-1] + 1]))
        click = Click(
            question_id=id,
            organization_id=scope.organization_id,
            connection_id=scope.connection_id,
            user_id=SECOND if by_the_second else scope.expected_user_id,
            delivery_key=key,
            value=value,
            ask_number=number,
        )
        result = self.runner.run(self.stores[application].claim(click, lease=LEASE if leases else None))
        expected = expected_claim(row, click, application)
        if isinstance(expected, RefusalReason):
            assert isinstance(result, Refusal)
            assert result.reason is expected
            return
        assert row is not None
        assert isinstance(result, Claim)
        assert (result.ask_number, result.repeated) == expected
        if result.repeated:
            return
        assert (result.payload, result.expected_user_id) == (row.payload, row.scope.expected_user_id)
        self.rows[id] = replace(
            row, ending=Ending.ANSWERED, press=(key, value, click.user_id), is_undelivered=leases, age=timedelta(0)
        )

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), key=KEYS, value=VALUES, leases=st.booleans(), by_the_second=st.booleans())
    def claim_by_the_right_person(
        self, data: st.DataObject, key: str, value: str, leases: bool, by_the_second: bool
    ) -> None:
        id = data.draw(st.sampled_from(sorted(self.rows)))
        self.claim(id, self.rows[id].scope, self.rows[id].application, key, value, data, leases, by_the_second)

    @rule(application=st.sampled_from(APPLICATIONS), fails=st.booleans())
    def deliver(self, application: str, fails: bool) -> None:
        """A pod takes over what is due, after the leases of those that claimed it have run out."""
        leases = self.stores[application].leases
        self.runner.run(
            self.execute("update pending_interactions set delivery_due_at = now() where delivery_due_at is not null")
        )
        leased = readable(self.runner.run(leases.lease(lease=LEASE, limit=10, most_attempts=1_000)))
        waiting = {id for id, row in self.rows.items() if row.is_undelivered and row.application == application}
        assert {each.answer.question_id for each in leased} == waiting
        for each in leased:
            row = self.rows[each.answer.question_id]
            assert row.press is not None
            assert (each.answer.ask_number, each.answer.value) == (row.ask_number, row.press[1])
            assert (each.answer.user_id, each.answer.answered_by) == (row.scope.expected_user_id, row.press[2])
            if fails:
                assert self.runner.run(leases.release(each))
            else:
                assert self.runner.run(leases.mark_delivered(each))
                self.rows[each.answer.question_id] = replace(row, is_undelivered=False)

    @rule(id=st.sampled_from(IDS), scope=SCOPES)
    def withdraw(self, id: str, scope: Scope) -> None:
        became = self.runner.run(self.store.withdraw(id, scope))
        row = self.rows.get(id)
        if row is None or row.scope != scope:
            assert became is Withdrawal.UNKNOWN
        elif row.ending is None:
            assert became is Withdrawal.WITHDRAWN
            self.rows[id] = replace(row, ending=Ending.WITHDRAWN, age=timedelta(0))
        elif row.ending is Ending.WITHDRAWN:
            assert became is Withdrawal.ALREADY_WITHDRAWN
        else:
            assert became is Withdrawal.ALREADY_ANSWERED

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def withdraw_by_its_owner(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from(sorted(self.rows)))
        self.withdraw(id, self.rows[id].scope)

    @rule(id=st.sampled_from(IDS), scope=SCOPES)
    def delete(self, id: str, scope: Scope) -> None:
        row = self.rows.get(id)
        there = row is not None and row.scope == scope
        if there and row is not None and row.is_undelivered:
            with pytest.raises(Undelivered):
                self.runner.run(self.store.delete(id, scope))
            return
        assert self.runner.run(self.store.delete(id, scope)) == there
        if there:
            del self.rows[id]

    @initialize(scopes=st.fixed_dictionaries({id: SCOPES for id in IDS}))
    def some_wait(self, scopes: dict[str, Scope]) -> None:
        """Begun with an empty table, most runs would never see two rows at once."""
        for id in IDS:
            self.put(id, scopes[id], "", 0, 0, None, "keep")

    @precondition(lambda self: self.rows)
    @rule(hours=st.fixed_dictionaries({id: st.sampled_from([0, 1, 25, 30]) for id in IDS}))
    def rows_get_older(self, hours: dict[str, int]) -> None:
        """Each by its own time, as if they had been stored one after the other: a sweep has an order to keep."""
        for id, row in self.rows.items():
            gone = timedelta(hours=hours[id])
            self.runner.run(
                self.execute(
                    "update pending_interactions set created_at = created_at - %s, claimed_at = claimed_at - %s "
                    "where id = %s",
                    gone,
                    gone,
                    id,
                )
            )
            self.rows[id] = replace(row, age=row.age + gone)

    @precondition(lambda self: self.rows)
    @rule(limit=st.integers(1, 2), batch_size=st.integers(1, 2))
    def sweep(self, limit: int, batch_size: int) -> None:
        async def swept() -> list[str]:
            return [id async for batch in self.store.sweep(limit=limit, batch_size=batch_size) for id in batch]

        ids = self.runner.run(swept())
        stale = {id for id, row in self.rows.items() if row.is_stale}
        assert set(ids) <= stale
        assert len(ids) == min(limit, len(stale))
        taken = [self.rows.pop(id).age for id in ids]
        left = [row.age for row in self.rows.values() if row.is_stale]
        assert all(other <= age for age in taken for other in left), "the oldest go first"

    @invariant()
    def the_table_is_as_the_model_says(self) -> None:
        found = self.runner.run(
            self.execute(
                "select id, organization_id, connection_id, expected_user_id, application, entry_payload, ask_number, "
                "request_key, coalesce(displaced_keys, '{}'), delivery_key, answer, answered_by, "
                "claimed_at is not null, withdrawn_at is not null, delivery_due_at is not null, previous ->> 'ending', "
                "post_due_at is not null, escalate_to "
                "from pending_interactions"
            )
        )
        expected = [
            (
                id,
                row.scope.organization_id,
                row.scope.connection_id,
                row.scope.expected_user_id,
                row.application,
                row.payload,
                row.ask_number,
                row.request,
                list(row.displaced),
                *(row.press or (None, None, None)),
                row.ending is not None,
                row.ending is Ending.WITHDRAWN,
                row.is_undelivered,
                row.before and row.before.ending.value,
                row.is_shown,
                SECOND if row.has_escalation else None,
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
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert connection.execute("select count(*) from organization").fetchone() == (2,)
