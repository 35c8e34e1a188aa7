"""What a race does to the leases and pauses of its pods, one of which may hang with a row locked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import psycopg
import pytest

from pendingctl.postgres.connections import Connection, connect
from pendingctl.race.plan.operations import Names
from pendingctl.race.rows import Arrangement
from pendingctl.race.unsettled import run_out_of_appends, run_out_of_cards, run_out_of_posts

ARRANGEMENT = Arrangement(Names("run", "acme", "globex"), (), ["q"], [], [], ())

LEASED = """
    insert into pending_interactions (
        id, organization_id, connection_id, expected_user_id, entry_payload,
        retired_cards, card_due_at, post_due_at, posting_until, former_endings, stream_due_at
    )
    select 'q', 'acme', 'slack', 'U1', '{}', '[]', at, at, at, '[]', at
    from (select now() + interval '1 hour' as at) as lease
"""

IS_LEASED = "select {} > now() from pending_interactions"


@pytest.mark.parametrize(
    ("column", "run_out"),
    [
        ("card_due_at", lambda connection: run_out_of_cards(connection, ARRANGEMENT)),
        ("post_due_at", lambda connection: run_out_of_posts(connection, ARRANGEMENT.ids, leases=True)),
        ("stream_due_at", lambda connection: run_out_of_appends(connection, ARRANGEMENT.ids)),
    ],
    ids=["cards", "posts", "appends"],
)
async def test_a_row_that_a_pod_has_locked_is_left_to_the_next_time(
    dsn: str, connection: psycopg.Connection, column: str, run_out: Callable[[Connection], Awaitable[None]]
) -> None:
    connection.execute(LEASED)

    def is_leased() -> bool:
        return connection.execute(IS_LEASED.format(column)).fetchone() == (True,)

    async with await connect(dsn, application="race") as racing:
        await racing.execute("set lock_timeout = '10ms'")
        with psycopg.connect(dsn) as pod:
            pod.execute("select from pending_interactions for update")
            await run_out(racing)
        assert is_leased()
        await run_out(racing)
        assert not is_leased()
