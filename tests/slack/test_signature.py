"""Which requests are Slack's: those alone that it has signed a moment ago, and junk is refused without an error."""

from __future__ import annotations

import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pendingctl.platforms.slack import is_signed

from .presses import SECRET, signed

# docs.slack.dev, "Verifying requests from Slack": the example of the page.
BODY = (
    b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
    b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
    b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a1"
    b"4d10d2c447fce8b6703c"
)
SIGNATURE = b"v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
AT = 1531420618
SECRETS = [SECRET.encode()]


def test_the_example_of_the_documentation_is_signed() -> None:
    assert is_signed(BODY, timestamp=b"1531420618", signature=SIGNATURE, secrets=SECRETS, now=AT)


@pytest.mark.parametrize("late", [-300, 300])
def test_a_request_is_valid_for_five_minutes(late: int) -> None:
    headers = signed(BODY, at=AT)

    assert is_signed(BODY, **headers, secrets=SECRETS, now=AT + late)
    assert not is_signed(BODY, **headers, secrets=SECRETS, now=AT + late + (1 if late > 0 else -1))


def test_two_secrets_are_valid_while_one_is_replaced() -> None:
    headers = signed(BODY, secret="the old one", at=AT)

    assert is_signed(BODY, **headers, secrets=[*SECRETS, b"the old one"], now=AT)
    assert not is_signed(BODY, **headers, secrets=SECRETS, now=AT)
    assert not is_signed(BODY, **headers, secrets=[], now=AT)


@pytest.mark.parametrize("secret", [b"", b" "])
def test_an_empty_secret_signs_nothing(secret: bytes) -> None:
    signature = b"v0=" + hmac.new(secret, b"v0:1531420618:" + BODY, "sha256").hexdigest().encode()

    assert not is_signed(BODY, timestamp=b"1531420618", signature=signature, secrets=[secret], now=AT)


@pytest.mark.parametrize(
    ("timestamp", "signature"),
    [
        (None, SIGNATURE),
        (b"1531420618", None),
        (b"", SIGNATURE),
        (b"now", SIGNATURE),
        (b" 1531420618", SIGNATURE),
        (b"1531420618\n", SIGNATURE),
        (b"+1531420618", SIGNATURE),
        (b"1531420618.0", SIGNATURE),
        (b"9" * 5_000, SIGNATURE),
        ("١٥٣١٤٢٠٦١٨".encode(), SIGNATURE),
        (b"1531420618", b""),
        (b"1531420618", SIGNATURE[3:]),
        (b"1531420618", SIGNATURE.upper()),
        (b"1531420618", SIGNATURE + b"\n"),
        (b"1531420618", SIGNATURE[:-1] + b"\xff"),
        (b"1531420618", "v0=ä".encode()),
        (b"1531420619", SIGNATURE),
        (b"1531420618", b"v0=" + b"0" * 64),
    ],
)
def test_headers_that_are_not_slacks_are_refused(timestamp: bytes | None, signature: bytes | None) -> None:
    assert not is_signed(BODY, timestamp=timestamp, signature=signature, secrets=SECRETS, now=AT)


HEADERS = st.none() | st.binary(max_size=80) | st.text(st.characters(), max_size=80)


def test_headers_may_be_text() -> None:
    signature = SIGNATURE.decode()

    assert is_signed(BODY, timestamp="1531420618", signature=signature, secrets=SECRETS, now=AT)
    assert not is_signed(BODY, timestamp="1531420618", signature=signature[:-1] + "\udcff", secrets=SECRETS, now=AT)
    assert not is_signed(BODY, timestamp="١٥٣١٤٢٠٦١٨", signature=signature, secrets=SECRETS, now=AT)


@given(st.binary(max_size=40), HEADERS, HEADERS, st.floats())
def test_nothing_raises(body: bytes, timestamp: str | bytes | None, signature: str | bytes | None, now: float) -> None:
    assert not is_signed(body, timestamp=timestamp, signature=signature, secrets=SECRETS, now=now)


@given(st.text(max_size=100).map(str.encode), st.integers(0, 200))
def test_each_byte_is_signed(body: bytes, place: int) -> None:
    headers = signed(body, at=AT)
    changed = body[:place] + b"x" + body[place + 1 :]

    assert is_signed(body, **headers, secrets=SECRETS, now=AT)
    assert is_signed(changed, **headers, secrets=SECRETS, now=AT) is (changed == body)
