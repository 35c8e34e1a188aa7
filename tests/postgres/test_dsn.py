"""Connection strings: the malformed are refused, descriptions have no password, and the user's options stand."""

from __future__ import annotations

import pytest

from pendingctl.errors import InvalidInput
from pendingctl.postgres.dsn import check_dsn, connect_parameters, describe

MALFORMED = [
    "postgresql://u:s3cret@host/db?nosuch=1",
    "postgresql://u:s3cret@host:port/db",
    "host=h password=s3cret dbname",
    "host=h password='s3cret",
    "postgresql://u:%zzs3cret@host/db",
    "postgresql://u:pass@s3cret@host/db",
    "postgresql://u:s3cret/more@host/db",
    "s3cret",
]


@pytest.mark.parametrize("dsn", ["host=db password=\udcffsecret", "postgresql://u:secret\udcff@db/d"])
def test_a_string_of_a_variable_that_is_no_utf8_is_refused_without_its_password(dsn: str) -> None:
    with pytest.raises(InvalidInput, match="not UTF-8") as raised:
        check_dsn(dsn)

    assert "secret" not in f"{raised.value!r} {raised.value.__cause__!r}"


@pytest.mark.parametrize("dsn", MALFORMED)
def test_a_malformed_string_is_refused_without_its_password(dsn: str) -> None:
    with pytest.raises(InvalidInput, match="malformed") as raised:
        check_dsn(dsn)

    assert "s3cret" not in f"{raised.value!r} {raised.value.__cause__!r}"


def test_a_description_has_no_password() -> None:
    assert describe("postgresql://u:s3cret@db1,db2:5433/bot?passfile=/x") == "host=db1,db2 port=,5433 dbname=bot user=u"
    assert describe("") == "libpq's defaults"
    assert "s3cret" not in describe("host=h password='s3cret")


def test_what_the_user_gave_is_not_overridden(monkeypatch: pytest.MonkeyPatch) -> None:
    assert connect_parameters("host=h", "pendingctl list") == {
        "fallback_application_name": "pendingctl list",
        "client_encoding": "UTF8",
        "connect_timeout": 10,
        "keepalives_idle": 10,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": 10_000,
    }
    given = connect_parameters("host=h connect_timeout=3 tcp_user_timeout=0 keepalives_idle=60", "pendingctl")
    assert given.keys().isdisjoint({"connect_timeout", "tcp_user_timeout", "keepalives_idle"})
    monkeypatch.setenv("PGCONNECT_TIMEOUT", "3")
    assert "connect_timeout" not in connect_parameters("host=h", "pendingctl")
