"""Rows that somebody has written by hand: what they hold is text of their event, never a field or another event."""

from __future__ import annotations

import psycopg
import pytest

from tests.events.writers import append

from .pods import Pods
from .tabs import TYPES, Tab

pytestmark = [pytest.mark.once, pytest.mark.asyncio(loop_scope="session")]

# Postgres stores no NUL; `tests/sse/test_encoding.py` has one.
ENDS = ("\r", "\n", "\r\n")
HOSTILE = [
    end.join(["said", "id: 9-9", "event: message", "data: injected", "retry: 0", "", "data: injected", "", ""])
    for end in ENDS
]


@pytest.mark.parametrize("reader", ["EventSource", "client"])
async def test_line_ends_in_a_type_or_in_data_begin_no_field(
    tab: Tab, pods: Pods, connection: psycopg.Connection, reader: str
) -> None:
    positions = []
    for text in HOSTILE:
        positions.append(append(connection, text))
        connection.execute("update pending_stream_event set type = data where seq = %s", [positions[-1].seq])
    positions.append(append(connection, "the last"))
    types = [text.replace("\r", "\ufffd").replace("\n", "\ufffd") for text in HOSTILE]

    if reader == "client":
        await tab.read(pods.url)
    else:
        await tab.listen(pods.url(), [*TYPES, *set(types)])

    items = await tab.taken(len(positions))
    data = [HOSTILE[1]] * 3
    assert [(item["id"], item["type"], item["data"]) for item in items] == list(
        zip(map(str, positions), [*types, "said"], [*data, "the last"], strict=True)
    )


@pytest.mark.parametrize("reader", ["EventSource", "client"])
async def test_a_type_that_only_pendingctl_has_ends_nothing(
    tab: Tab, pods: Pods, connection: psycopg.Connection, reader: str
) -> None:
    append(connection, "{}")
    connection.execute("update pending_stream_event set type = 'pendingctl.end'")
    if reader == "client":
        await tab.read(pods.url)
    else:
        await tab.listen(pods.url(), [*TYPES, "\ufffdpendingctl.end"])
    (item,) = await tab.taken(1)
    assert (item["type"], tab.ending) == ("\ufffdpendingctl.end", None)
