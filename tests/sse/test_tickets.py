"""A ticket opens one stream until its time; none can be made without the secrets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendingctl.errors import InvalidInput
from pendingctl.events.model import StreamName
from pendingctl.sse.access import Authorized
from pendingctl.sse.tickets import Tickets

OLD, NEW = b"the secret of before, of 36 characters", b"the secret of now, of 33 characters"
CHAT = StreamName("acme", "chat")
NOW = datetime(2026, 5, 1, tzinfo=UTC)
UNTIL = NOW + timedelta(minutes=10)
ID = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=150)
NAME = st.text("azAZ09._:~-", min_size=1, max_size=255)


@given(organization_id=ID, name=NAME)
def test_a_ticket_opens_its_stream_until_its_time(organization_id: str, name: str) -> None:
    stream = StreamName(organization_id, name)
    ticket = Tickets([NEW]).sign(stream, UNTIL)
    assert set(ticket) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.")
    assert Tickets([NEW]).verify(ticket, UNTIL - timedelta(microseconds=1)) == Authorized(stream, UNTIL)
    assert Tickets([NEW]).verify(ticket, UNTIL) is None


@pytest.mark.parametrize("step", list(pairwise([[OLD], [OLD, NEW], [NEW, OLD], [NEW]])))
def test_a_secret_is_replaced_in_steps_in_which_pods_believe_each_other(step: tuple[list[bytes], list[bytes]]) -> None:
    for here, there in permutations(map(Tickets, step)):
        assert here.verify(there.sign(CHAT, UNTIL), NOW) == Authorized(CHAT, UNTIL)
    assert Tickets([NEW]).verify(Tickets([OLD]).sign(CHAT, UNTIL), NOW) is None


def test_a_ticket_that_is_changed_anywhere_opens_nothing() -> None:
    tickets = Tickets([NEW])
    ticket = tickets.sign(CHAT, UNTIL)
    for place, character in enumerate(ticket):
        changed = ticket[:place] + ("A" if character != "A" else "B") + ticket[place + 1 :]
        assert tickets.verify(changed, NOW) is None
        assert tickets.verify(ticket[:place], NOW) is None


@given(st.text(max_size=80) | st.binary(max_size=80).map(lambda data: data.decode("latin-1")))
def test_whatever_stands_for_a_ticket_opens_nothing(text: str) -> None:
    tickets = Tickets([NEW, OLD])
    ticket = tickets.sign(CHAT, UNTIL)
    for forged in (text, f"{text}.{text}", ticket + text if text else "", f"{ticket.partition('.')[0]}.{text}"):
        assert tickets.verify(forged, NOW) is None
    assert tickets.verify("x" * 100_000, NOW) is None


@pytest.mark.parametrize("keys", [[], [NEW, OLD, NEW], [b"too short"], [NEW, b"x" * 31]])
def test_secrets_that_are_none_are_refused(keys: list[bytes]) -> None:
    with pytest.raises(InvalidInput):
        Tickets(keys)


def test_a_permission_has_no_time_without_a_zone() -> None:
    with pytest.raises(InvalidInput, match="no time zone"):
        Authorized(CHAT, UNTIL.replace(tzinfo=None))
