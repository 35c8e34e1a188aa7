"""The pending interactions of one database, as applications call them.

A call borrows a connection, and `puts`, `claims`, `endings` or `deletions` do over it what is more than one statement.
"""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from itertools import islice
from typing import Unpack
from uuid import UUID

from psycopg.errors import NotNullViolation
from psycopg.rows import class_row

from ..errors import DatabaseFailed, InvalidInput
from ..model import (
    BATCH_SIZE,
    SWEEP_LIMIT,
    Claim,
    Click,
    NoAnswer,
    NotExtended,
    Operator,
    PutOutcome,
    Refusal,
    Scope,
    Stored,
    SweepTurn,
    Withdrawal,
)
from ..payload import MAX_PAYLOAD_BYTES, JsonObject, check_id, check_text, encode_payload
from ..postgres.connections import Borrowed, Connection, ConnectionSource, in_transaction
from ..postgres.shares import shares
from ..postgres.time_limits import Purpose
from ..schedule import LONGEST, MAX_AGE, Schedule, schedule_parameters
from . import ending_statements, statements
from .claims import claim
from .deletions import delete, delete_untouched, sweep
from .endings import extend, why_no_answer, withdraw
from .inspection import Inspection
from .leases import Leases
from .puts import IfAnswered, Put, put, put_batch
from .remedies import Remedies
from .statistics import Statistics
from .trail import Trail


class PendingStore:
    """The pending interactions of one database.

    `leases` is what a pod's loop works with, `inspection` what the person on call reads, `statistics` what is counted,
    `remedies` what that person does about it, and `trail` takes and sweeps what has happened. `source` lends
    connections: a pool of `pendingctl.open_pool`, or another whose connections
    `postgres.connections.prepare_connection` has prepared. Methods that take `connection` run inside the caller's
    transaction and leave its end to the caller; without it, what they did is durable when they return.

    `pod` is this pod's name for the person on call, by default the host's: the rows have it, and the trail.

    All methods raise DatabaseUnreachable, NotMigrated or DatabaseFailed when the database cannot do its part, and
    InvalidInput, before any SQL, for ids and payloads that it cannot hold.
    """

    def __init__(
        self,
        source: ConnectionSource,
        *,
        application: str = "",
        pod: str | None = None,
        max_payload_bytes: int = MAX_PAYLOAD_BYTES,
    ) -> None:
        if application:
            check_id(application, "application")
        if pod is None:
            pod = socket.gethostname()
        check_text(pod, "pod")
        requests, loop, sinks = shares(source)
        self.leases = Leases(loop, application, pod=pod, sinks=sinks)
        self.trail = Trail(loop, application, pod=pod)
        self.inspection = Inspection(source)
        self.remedies = Remedies(requests, pod=pod)
        self.statistics = Statistics(source)
        self._source = requests
        self._application = application
        self._pod = pod
        self._max_payload_bytes = max_payload_bytes

    async def put(
        self,
        id: str,
        scope: Scope,
        payload: JsonObject,
        *,
        show: bool = False,
        request_key: str | None = None,
        request_digest: str | None = None,
        if_answered: IfAnswered = "reopen",
        awaited_by: UUID | None = None,
        posting: timedelta | None = None,
        stream: str | None = None,
        connection: Connection | None = None,
        **schedule: Unpack[Schedule],
    ) -> Stored:
        """Store a question, or store it again.

        An open question of the same scope: where both the row and this put have a `request_key` the key decides, else
        what the card shows (text, options, conversation). Equal is a retry: the payload is refreshed and the row keeps
        its age. Otherwise another question takes its place: under a new ask number, its age from now, and the buttons
        of the card before are refused.

        `request_digest` stands for the whole request that `request_key` names, a hash of it for instance: a request
        that comes again under its key with another digest is refused, also one whose card shows the same, and whatever
        has become of the question. It is kept in the row's payload as `request_digest`, beside `question`, and the
        worker gets it from there.

        A question that has ended is asked again under a new ask number, or left alone and its ending reported: with
        `keep`, while its ending is undelivered, and for the request that asked it.

        With `show` some pod that serves the connection posts its card, whoever else dies, also where this put is part
        of the caller's transaction. Without it the caller shows the question. `posting` is how long this caller may
        take to post the card itself, also of a question without a conversation, whose place its platform knows;
        `Stored.is_to_be_posted` then says whether it is the one to do so.

        What happens to the question in time is its `schedule` (see `Schedule`); a retry moves no deadline.

        `awaited_by` is a caller that waits to read the answer (see `asking.ask`): for 15 s from now, and as long as it
        renews that, no pod delivers the answer.

        `stream` names a stream of the organization (see `events.streams.Streams`). The pods append to it that the card
        was posted and how the question has ended, once for each asking; a retry keeps the stream that its row has.

        Raises, changing nothing: ScopeMismatch when the id belongs to another scope or application, KeyReused for a
        request key that comes with another content or digest, RequestRefused for one that comes too late and for an id
        that somebody else waits for, NotFound when the organization does not exist. InvalidInput also for a digest
        without a key.
        """
        if request_key is not None:
            check_id(request_key, "request key")
        if request_digest is not None:
            if request_key is None:
                raise InvalidInput("a request digest needs a request key")
            check_id(request_digest, "request digest")
            payload = {**payload, "request_digest": request_digest}
        question = Put(
            id=id,
            scope=scope,
            payload=payload,
            encoded=encode_payload(payload, self._max_payload_bytes),
            schedule=schedule_parameters(
                schedule, payload, scope.expected_user_id, show=show, is_placed=posting is not None
            ),
            application=self._application,
            pod=self._pod,
            show=show,
            request_key=request_key,
            request_digest=request_digest,
            if_answered=if_answered,
            awaited_by=awaited_by,
            posting=posting,
            stream=stream,
            lock_timeout=_lock_timeout(connection),
        )
        async with Borrowed(self._source, connection, purpose=Purpose.PUT) as borrowed:
            return await put(borrowed, question)

    async def put_many(
        self,
        questions: Iterable[tuple[str, Scope, JsonObject]],
        *,
        show: bool = False,
        if_answered: IfAnswered = "reopen",
        create_organizations: bool = False,
        stream: str | None = None,
        on_stored: Callable[[int], None] | None = None,
        connection: Connection | None = None,
        **schedule: Unpack[Schedule],
    ) -> dict[PutOutcome, int]:
        """Store many questions in one transaction and return how many had which outcome.

        All have the same schedule and stream. All or none: whatever fails, an error that `questions` raises included,
        nothing is stored. `on_stored` is called with the size of each batch as it is written. Raises as `put` and, with
        `create_organizations`, as `create_organization` does.
        """
        outcomes = Counter[PutOutcome]()
        known = set[str]()
        waiting = iter(questions)
        borrowing = Borrowed(self._source, connection, purpose=Purpose.BULK)
        async with borrowing as borrowed, borrowed.transaction():
            while batch := {
                id: Put(
                    id=id,
                    scope=scope,
                    payload=payload,
                    encoded=encode_payload(payload, self._max_payload_bytes),
                    schedule=schedule_parameters(schedule, payload, scope.expected_user_id, show=show),
                    application=self._application,
                    pod=self._pod,
                    show=show,
                    if_answered=if_answered,
                    stream=stream,
                )
                for id, scope, payload in islice(waiting, BATCH_SIZE)
            }:
                if create_organizations:
                    for organization in sorted({each.scope.organization_id for each in batch.values()} - known):
                        await self.create_organization(organization, connection=borrowed)
                        known.add(organization)
                outcomes.update(await put_batch(borrowed, batch))
                borrowing.go_on()
                if on_stored is not None:
                    on_stored(len(batch))
        return outcomes

    async def claim(
        self,
        click: Click,
        *,
        lease: timedelta | None = None,
        lease_token: UUID | None = None,
    ) -> Claim | Refusal:
        """Make the click the winner, or return why it is not.

        A claim is durable, with its answer, when this returns. Without a `lease` the answer is the caller's and counts
        as delivered. With one the row stays undelivered until it is marked: the claim has the token for that, unless
        somebody waits to read the answer, and once the lease has run out any pod of the application may deliver it. A
        lease of no length leaves the answer to the pods.

        The same press delivered again (the delivery key and value that won) is answered by the win, with `repeated`
        set, however often it comes: that is how to learn what became of a claim whose reply was lost. Whoever tries
        again itself passes the same `lease_token`, and may deliver if the row has it.

        A click gives up after a second that somebody else holds the row, with DatabaseFailed.
        """
        async with Borrowed(self._source, purpose=Purpose.CLAIM) as borrowed:
            return await claim(
                *(borrowed, click, lease), pod=self._pod, application=self._application, lease_token=lease_token
            )

    async def answer(self, click: Click, operator: Operator) -> Claim | Refusal:
        """Answer in the place of the user whom the click names: a claim by the same conditions, left to the pods.

        Who has answered is the operator, for the row, the card, the worker and later clicks; the trail has the reason.
        """
        async with Borrowed(self._source, purpose=Purpose.CLAIM) as borrowed:
            return await claim(
                *(borrowed, click, timedelta()), pod=self._pod, application=self._application, operator=operator
            )

    async def withdraw(
        self, id: str, scope: Scope, *, awaited_by: UUID | None = None, connection: Connection | None = None
    ) -> Withdrawal:
        """Withdraw a question nobody needs answered; it races with clicks, and the first one wins.

        A later click is refused. To another scope the question is unknown, and with `awaited_by` to an asker that no
        longer waits for it, since it was asked anew or somebody else waits.
        """
        check_id(id, "question id")
        async with Borrowed(self._source, connection, purpose=Purpose.PUT) as borrowed:
            return await withdraw(
                *(borrowed, id, scope, awaited_by), pod=self._pod, lock_timeout=_lock_timeout(connection)
            )

    async def extend(
        self, id: str, scope: Scope, *, by: timedelta, connection: Connection | None = None
    ) -> datetime | NotExtended:
        """Move the deadline of an open question by so much, and return the new one, or why it cannot be moved.

        Raises InvalidInput for a time that is not above 0.
        """
        check_id(id, "question id")
        if not timedelta() < by <= LONGEST:
            raise InvalidInput(f"the deadline is moved by {by}; that must be more than 0 and at most 10 years")
        async with Borrowed(self._source, connection, purpose=Purpose.PUT) as borrowed:
            return await extend(*(borrowed, id, scope, by), pod=self._pod, lock_timeout=_lock_timeout(connection))

    async def read_answer(self, id: str, scope: Scope, ask_number: int) -> NoAnswer | None:
        """Return why there is no answer to this asking; None when there is one, or was.

        A question whose deadline has passed is ended, if no pod has done that yet.
        """
        async with Borrowed(self._source, purpose=Purpose.LOOP) as borrowed:
            return await why_no_answer(
                *(borrowed, id, scope, ask_number), pod=self._pod, lock_timeout=Purpose.LOOP.lock_timeout
            )

    async def delete(
        self, id: str, scope: Scope, *, include_undelivered: bool = False, connection: Connection | None = None
    ) -> bool:
        """Delete the row of exactly this id and scope, claimed or not; return whether there was one.

        Raises Undelivered, deleting nothing, when its answer is not delivered yet, or its ending not on its stream,
        unless told to take it too.
        """
        check_id(id, "question id")
        async with Borrowed(self._source, connection, purpose=Purpose.PUT) as borrowed:
            return await delete(
                *(borrowed, id, scope),
                include_undelivered=include_undelivered,
                pod=self._pod,
                lock_timeout=_lock_timeout(connection),
            )

    async def delete_untouched(self, stored: Stored, *, connection: Connection | None = None) -> bool:
        """Delete the row that a `put` created, if nobody has claimed it or put it again since.

        For a question whose card the caller surely did not show (law 4). Returns whether the row was deleted; a put
        that created no row, or left the card to the pods, deletes none.
        """
        if stored.outcome is not PutOutcome.CREATED:
            return False
        async with Borrowed(self._source, connection, purpose=Purpose.PUT) as borrowed:
            return await delete_untouched(borrowed, stored, pod=self._pod, lock_timeout=_lock_timeout(connection))

    def sweep(
        self,
        *,
        max_age: timedelta = MAX_AGE,
        limit: int | None = SWEEP_LIMIT,
        batch_size: int = BATCH_SIZE,
        include_undelivered: bool = False,
    ) -> AsyncGenerator[list[str], None]:
        """Delete stale rows, claimed or not, oldest first, yielding the ids of each batch as it is gone.

        An open question of an application whose worker hears of what expires is not deleted: it expires. So does one
        with a stream, on which its ending is to stand.

        Undelivered and stuck answers stay, and for 7 days other endings of which no worker has heard, unless
        `include_undelivered` takes them too. Never more than `limit` rows in all (None: until nothing stale is left),
        each batch a short transaction of its own that leaves rows alone that somebody has locked. Raises InvalidInput
        for a limit or a batch size below 1.
        """
        return sweep(
            self._source,
            pod=self._pod,
            max_age=max_age,
            limit=limit,
            batch_size=batch_size,
            include_undelivered=include_undelivered,
        )

    async def begin_sweep(self, every: timedelta) -> SweepTurn:
        """Begin the cluster's next sweep cycle if the last one began `every` ago; of any number of pods one does."""
        async with Borrowed(self._source, purpose=Purpose.SWEEP) as borrowed:
            cursor = borrowed.cursor(row_factory=class_row(SweepTurn))
            turn = await (
                await cursor.execute(ending_statements.BEGIN_SWEEP, {"every": every, "pod": self._pod})
            ).fetchone()
        if turn is None:
            raise DatabaseFailed("the row of table sweep_cycle is gone; insert into sweep_cycle values (true, now())")
        return turn

    async def create_organization(self, id: str, *, connection: Connection | None = None) -> bool:
        """Create an organization that does not exist yet; return whether it was created.

        Raises InvalidInput when the application's own table has further columns that must be filled.
        """
        check_id(id, "organization_id")
        async with Borrowed(self._source, connection, purpose=Purpose.PUT) as borrowed:
            try:
                cursor = await borrowed.execute(statements.CREATE_ORGANIZATION, {"id": id})
            except NotNullViolation as error:
                raise InvalidInput(
                    f"table organization has a further column that must be filled ({error.diag.column_name}); "
                    "create the organization in the application that owns the table"
                ) from error
            return await cursor.fetchone() is not None

    async def delete_organization(self, id: str, *, connection: Connection | None = None) -> bool:
        """Delete an organization and, with it, all its rows; return whether there was one."""
        check_id(id, "organization_id")
        async with Borrowed(self._source, connection, purpose=Purpose.PUT) as borrowed:
            cursor = await borrowed.execute(statements.DELETE_ORGANIZATION, {"id": id})
            return await cursor.fetchone() is not None

    def transaction(self) -> AbstractAsyncContextManager[Connection]:
        """A connection in a transaction, for methods that take `connection` beside an application's own statements."""
        return in_transaction(self._source)


def _lock_timeout(given: Connection | None) -> str | None:
    """A statement in the caller's transaction leaves the caller's own limits alone."""
    return None if given is not None else Purpose.PUT.lock_timeout
