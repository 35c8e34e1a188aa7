"""Lists: filters, order, pages, how many there are, and which are refused since no index serves them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from pendingctl import Filters, PendingStore, Scope, State
from pendingctl.errors import InvalidInput, TookTooLong, Unbounded
from pendingctl.inspected import CardState
from pendingctl.postgres.connections import Pool
from pendingctl.store import inspection as inspection_module
from pendingctl.store import read_statements
from pendingctl.store.filters import Cursor, Found, Sort, counted_from
from pendingctl.store.inspection import Inspection
from tests.questions import PAYLOAD, SCOPE, age, click

HOUR = timedelta(hours=1)


async def ids(inspection: Inspection, sort: Sort = Sort.OLDEST, **filters: object) -> list[str]:
    return [row.id for row in await inspection.find(Filters(**filters), sort=sort)]  # type: ignore[arg-type]


async def all_pages(inspection: Inspection, filters: Filters, sort: Sort, limit: int) -> list[list[str]]:
    pages: list[list[str]] = []
    after = None
    while len(pages) < 10:
        page = await inspection.page(filters, sort=sort, after=after, limit=limit)
        pages.append([row.id for row in page.rows])
        if page.after is None:
            return pages
        # As it is printed and given back.
        after = Cursor.parse(str(page.after))
    raise AssertionError(f"the pages go on: {pages}")


async def test_filters_by_when_it_was_asked(store: PendingStore, connection: psycopg.Connection) -> None:
    for hours in (1, 3, 5):
        await store.put(f"{hours} h", SCOPE, PAYLOAD)
        age(connection, hours=hours, id=f"{hours} h")
    three_hours_ago = datetime.now(UTC) - 3.5 * HOUR

    assert await ids(store.inspection, since=4 * HOUR) == ["3 h", "1 h"]
    assert await ids(store.inspection, until=2 * HOUR) == ["5 h", "3 h"]
    assert await ids(store.inspection, since=4 * HOUR, until=2 * HOUR) == ["3 h"]
    assert await ids(store.inspection, since=three_hours_ago) == ["3 h", "1 h"]
    assert await ids(store.inspection, until=three_hours_ago) == ["5 h"]


def test_filters_count_from_one_moment_however_late_they_are_used() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)

    assert counted_from(Filters(), noon) == Filters(until=noon)
    assert counted_from(Filters(since=HOUR, organization_id="acme"), noon) == Filters(
        since=noon - HOUR, until=noon, organization_id="acme"
    )
    assert counted_from(Filters(since=noon, until=2 * HOUR), noon) == Filters(since=noon, until=noon - 2 * HOUR)
    assert counted_from(Filters(older_than=2 * HOUR, until=HOUR), noon) == Filters(until=noon - 2 * HOUR)
    assert counted_from(Filters(older_than=HOUR, until=noon - 2 * HOUR), noon) == Filters(until=noon - 2 * HOUR)
    assert counted_from(Filters(until=noon + HOUR), noon) == Filters(until=noon)


async def test_filters_by_who_answered_by_conversation_and_by_error(
    store: PendingStore, connection: psycopg.Connection
) -> None:
    question = {"question": {"text": "Deploy?", "options": ["yes", "no"], "conversation_id": "C7"}}
    for id in ("answered", "failed", "not posted"):
        await store.put(id, SCOPE, question if id == "answered" else PAYLOAD)
    await store.claim(click("answered"))
    connection.execute(
        "update pending_interactions set delivery_error = 'The worker answered 500: 100%' where id = 'failed'"
    )
    connection.execute("update pending_interactions set post_error = 'no such channel' where id = 'not posted'")

    assert await ids(store.inspection, answered_by="U1") == ["answered"]
    assert await ids(store.inspection, answered_by="U2") == []
    assert await ids(store.inspection, conversation_id="C7") == ["answered"]
    assert await ids(store.inspection, error="worker ANSWERED 500") == ["failed"]
    assert await ids(store.inspection, error="such channel") == ["not posted"]
    assert await ids(store.inspection, error="1_0%") == []
    row = await store.inspection.get("answered")
    assert row is not None
    assert (row.conversation_id, row.answered_by) == ("C7", "U1")


async def test_what_a_row_waits_for_has_its_attempts_and_the_next_one(
    pool: Pool, connection: psycopg.Connection
) -> None:
    store = PendingStore(pool, pod="pod-7")
    for id in ("undelivered", "stuck"):
        await store.put(id, SCOPE, PAYLOAD)
        await store.claim(click(id), lease=timedelta(seconds=30))
    connection.execute(
        "update pending_interactions set delivery_due_at = 'infinity', delivery_attempts = 20, card_attempts = 3, "
        "card_due_at = now() where id = 'stuck'"
    )

    undelivered, stuck = await store.inspection.find()

    assert (undelivered.pod, undelivered.delivery_attempts, undelivered.card_due_at) == ("pod-7", 1, None)
    assert undelivered.delivery_due_at is not None
    assert (stuck.delivery_attempts, stuck.delivery_due_at, stuck.card_attempts) == (20, None, 3)
    assert stuck.card_due_at is not None


@pytest.fixture
async def seven(store: PendingStore, connection: psycopg.Connection) -> Inspection:
    """Seven questions, the last ones asked together; the odd ones have a deadline, q1 the latest."""
    await store.put_many((f"q{number}", SCOPE, PAYLOAD) for number in range(7))
    for number in range(4):
        age(connection, hours=10 - number, id=f"q{number}")
    for number in (1, 3, 5):
        connection.execute(
            "update pending_interactions set expires_at = now() + %s where id = %s", [10 * HOUR / number, f"q{number}"]
        )
    return store.inspection


@pytest.mark.parametrize(
    ("sort", "sorted"),
    [
        (Sort.OLDEST, ["q0", "q1", "q2", "q3", "q4", "q5", "q6"]),
        (Sort.NEWEST, ["q6", "q5", "q4", "q3", "q2", "q1", "q0"]),
        (Sort.DUE, ["q5", "q3", "q1"]),
    ],
)
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
async def test_pages_hold_each_row_once_in_the_order_of_the_list(
    seven: Inspection, sort: Sort, sorted: list[str], limit: int
) -> None:
    pages = await all_pages(seven, Filters(), sort, limit)

    assert [id for page in pages for id in page] == sorted
    assert {len(page) for page in pages[:-1]} <= {limit}
    assert pages[-1]


async def test_the_next_page_begins_in_its_place_though_the_last_row_is_gone(
    seven: Inspection, connection: psycopg.Connection
) -> None:
    page = await seven.page(limit=3)
    connection.execute("delete from pending_interactions where id = 'q2'")

    assert [row.id for row in (await seven.page(after=page.after, limit=2)).rows] == ["q3", "q4"]


async def test_pages_end_though_a_time_is_one_that_no_calendar_has(
    seven: Inspection, connection: psycopg.Connection
) -> None:
    connection.execute("update pending_interactions set created_at = 'infinity' where id in ('q1', 'q2')")
    connection.execute("update pending_interactions set created_at = '-infinity' where id in ('q3', 'q4')")
    connection.execute("update pending_interactions set created_at = '0044-03-15 BC' where id = 'q5'")

    pages = await all_pages(seven, Filters(), Sort.OLDEST, 1)

    assert [id for page in pages for id in page] == ["q3", "q4", "q5", "q0", "q6", "q1", "q2"]


@pytest.mark.parametrize("id", ["q 1/2%", "ä\n", "q"])
def test_a_cursor_is_read_as_it_was_written(id: str) -> None:
    cursor = Cursor("2026-01-01T12:00:00.000001+05:30", id)

    assert Cursor.parse(str(cursor)) == cursor
    assert str(cursor).isascii()


@pytest.mark.parametrize("text", ["", "q1", "2026-01-01/q", "2026-01-01T12:00:00+00/", "2026-01-01T12:00:00+00/%00"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        Cursor.parse(text)


# How many there are.


async def test_rows_are_counted_exactly_while_there_are_few(seven: Inspection) -> None:
    assert await seven.count_found() == Found(7, is_exact=True)
    assert await seven.count_found(sort=Sort.DUE) == Found(3, is_exact=True)
    assert await seven.count_found(Filters(state=State.CLAIMED)) == Found(0, is_exact=True)


def fill(connection: psycopg.Connection, rows: int) -> None:
    connection.execute(
        "insert into pending_interactions"
        " (id, organization_id, connection_id, expected_user_id, entry_payload, created_at, claimed_at)"
        " select 'n' || n, case n %% 1000 when 0 then 'globex' else 'acme' end, 'slack', 'U' || n %% 1000, '{}',"
        " now() - n * interval '1 second', case n %% 2 when 0 then now() end from generate_series(1, %s) as n",
        [rows],
    )
    connection.execute("analyze pending_interactions")


async def test_many_rows_are_counted_about(store: PendingStore, connection: psycopg.Connection) -> None:
    fill(connection, 40_000)

    assert await store.inspection.count_found() == Found(40_000, is_exact=False)
    half = await store.inspection.count_found(Filters(state=State.PENDING))
    assert half.number == pytest.approx(20_000, rel=0.2)
    assert not half.is_exact
    assert await store.inspection.count_found(Filters("globex")) == Found(40, is_exact=True)


async def test_a_count_that_takes_too_long_is_an_estimate(
    store: PendingStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(connection, 5_000)
    monkeypatch.setattr("pendingctl.store.reading.QUICK_TIMEOUT", timedelta(milliseconds=1))
    monkeypatch.setattr(read_statements, "COUNT_FOUND", "select count(*) from pending_interactions, pg_sleep(1)")

    assert await store.inspection.count_found() == Found(5_000, is_exact=False)


# What no index serves.


async def test_lists_that_would_look_at_many_rows_are_refused_with_what_to_add(
    store: PendingStore, connection: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(connection, 5_000)
    connection.execute("update pending_interactions set application = 'shop' where organization_id = 'acme'")
    connection.execute("analyze pending_interactions")
    monkeypatch.setattr(inspection_module, "MOST_READ", 2_000)

    for refused in (
        Filters(expected_user_id="U7"),
        Filters(answered_by="U7"),
        Filters(application="nobody's"),
        Filters(conversation_id="C7"),
        Filters(error="500"),
        Filters(state=State.CLAIMED),
        Filters(state=State.EXPIRED),
        Filters("acme", expected_user_id="U7"),
        Filters(expected_user_id="U7", since=2 * HOUR),
    ):
        with pytest.raises(Unbounded, match=r"about \d,\d00 rows would be looked at; add --org and --since"):
            await store.inspection.find(refused, limit=3)
    for served in (
        Filters(),
        Filters("acme"),
        Filters(since=HOUR),
        Filters(application="shop"),
        Filters(connection_id="slack"),
        Filters(state=State.PENDING),
        Filters(state=State.STUCK, error="500"),
        Filters(card=CardState.BEHIND, expected_user_id="U7"),
        Filters(due_within=HOUR, conversation_id="C7"),
        Filters("globex", expected_user_id="U7"),
        Filters("acme", expected_user_id="U7", since=HOUR / 2),
    ):
        await store.inspection.find(served, limit=3)


async def test_a_list_that_takes_too_long_says_what_to_add(
    store: PendingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(read_statements, "FIND", "select pg_sleep(10)")
    monkeypatch.setattr("pendingctl.store.reading.READ_TIMEOUT", timedelta(milliseconds=50))

    with pytest.raises(TookTooLong, match=r"within 0\.05 s; narrow them, by an organization and a time"):
        await store.inspection.find()


# Names that nothing has.


async def test_names_that_nothing_has_are_unknown(store: PendingStore, connection: psycopg.Connection) -> None:
    async def unknown(**filters: str) -> set[str]:
        return set(await store.inspection.unknown(Filters(**filters)))  # type: ignore[arg-type]

    await store.put("q", SCOPE, PAYLOAD)
    await store.put("other", Scope("globex", "teams", "U1"), PAYLOAD)
    connection.execute("insert into pending_applications (application, outcomes) values ('idle', '{answered}')")

    assert await unknown() == set()
    assert await unknown(organization_id="acme", connection_id="slack", application="") == set()
    assert await unknown(organization_id="acmee") == {"organization_id"}
    assert await unknown(application="idle") == set()
    assert await unknown(application="idel") == {"application"}
    assert await unknown(connection_id="teams") == set()
    assert await unknown(connection_id="teams", organization_id="acme") == {"connection_id"}


async def test_ids_are_found_by_how_they_begin(store: PendingStore) -> None:
    await store.put_many((id, SCOPE, PAYLOAD) for id in ("deploy-1", "deploy-12", "deploy_1", "Deploy-1", "d%"))

    assert await store.inspection.with_prefix("deploy-") == ["deploy-1", "deploy-12"]
    assert len(await store.inspection.with_prefix("deploy", limit=2)) == 2
    assert await store.inspection.with_prefix("d%") == ["d%"]
    assert await store.inspection.with_prefix("x") == []
