"""Whatever an event holds, a browser reads back that one event and nothing else."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pendingctl.errors import InvalidInput
from pendingctl.events.model import Cursor, End, Event, Gap, NewEvent, Reset, StreamItem
from pendingctl.sse.encoding import COMMENT, encode, encode_event, encode_id, encode_in_pieces, encode_retry
from tests.sse.event_source import Dispatched, EventSource

AT = datetime(2026, 5, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HERE = Cursor(7, AT)
# What has a meaning between the fields of an event, much more often than chance would have it.
TEXT = st.lists(
    st.sampled_from(["\r", "\n", "\r\n", "\0", ":", " ", "data: x", "id: 9", "event: y", "retry: 1", "\ufeff", "\x85"])
    | st.text(max_size=5),
    max_size=8,
).map("".join)


def read(*parts: bytes) -> EventSource:
    source = EventSource()
    for part in parts:
        source.take(part)
    return source


@given(
    type=TEXT,
    data=TEXT.filter(bool),
    seq=st.integers(1, 2**63 - 1),
    at=st.integers(0, 2**54).map(lambda microseconds: EPOCH + timedelta(microseconds=microseconds)),
)
@settings(max_examples=150)
def test_an_event_is_read_back_as_one_event(type: str, data: str, seq: int, at: datetime) -> None:
    event = Event(seq, at, type, data)

    source = read(encode(event, HERE), encode(Event(1, AT, "next", "next"), HERE))

    received, following = source.dispatched
    assert received.id == str(event.cursor)
    assert Cursor.parse(received.id) == event.cursor
    assert received.type == (re.sub("[\r\n\0]", "\ufffd", type) or "message")
    assert received.data == re.sub("\r\n|\r", "\n", data)
    assert following == Dispatched(str(Cursor(1, AT)), "next", "next")
    assert source.retry is None


@given(type=TEXT, data=TEXT.filter(bool), characters=st.integers(1, 9))
@settings(max_examples=150)
def test_an_event_is_the_same_in_pieces(type: str, data: str, characters: int) -> None:
    event = Event(1, AT, type, data)
    assert b"".join(encode_in_pieces(event, characters)) == encode_event(event)


@pytest.mark.parametrize(
    ("item", "type", "data"),
    [
        (Gap(3, 7), "pendingctl.gap", '{"from": 3, "to": 7}'),
        (Reset(9), "pendingctl.reset", "{}"),
        (End(7), "pendingctl.end", "{}"),
    ],
)
def test_what_is_no_event_has_a_type_of_its_own(item: StreamItem, type: str, data: str) -> None:
    assert read(encode(item, HERE)).dispatched == [Dispatched(str(HERE), type, data)]


def test_no_event_imitates_them() -> None:
    with pytest.raises(InvalidInput, match="choose another"):
        NewEvent("pendingctl.end", "{}")
    # As a row may have it that was written by hand.
    assert read(encode(Event(1, AT, "pendingctl.end", "{}"), HERE)).dispatched[0].type == "\ufffdpendingctl.end"


def test_a_client_that_has_received_no_event_has_a_position() -> None:
    source = read(encode_retry(2_000), encode_id(HERE), COMMENT)
    assert (source.dispatched, source.last_event_id, source.retry, source.comments) == ([], str(HERE), 2_000, 1)


def test_when_to_come_back_leaves_the_position_as_it_is() -> None:
    source = read(encode(Event(7, AT, "said", "one"), HERE), encode_retry(300))
    assert (source.last_event_id, source.retry, len(source.dispatched)) == (str(HERE), 300, 1)
