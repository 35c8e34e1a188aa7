"""Which database a command works on."""

from __future__ import annotations

import pytest

from pendingctl.cli.database import Dsn, resolve_dsn
from pendingctl.errors import InvalidInput


@pytest.mark.parametrize(
    ("option", "environ", "expected"),
    [
        ("dbname=a", {"PENDINGCTL_DSN": "dbname=b"}, Dsn("dbname=a", "--dsn")),
        (None, {"PENDINGCTL_DSN": "dbname=b", "DATABASE_URL": "dbname=c"}, Dsn("dbname=b", "PENDINGCTL_DSN")),
        (None, {"PENDINGCTL_DSN": " ", "DATABASE_URL": "dbname=c"}, Dsn("dbname=c", "DATABASE_URL")),
        (None, {"PGHOST": "db1"}, Dsn("", "PGHOST")),
        (None, {"PGSERVICE": "bot"}, Dsn("", "PGSERVICE")),
        (None, {"PGDATABASE": "bot", "DATABASE_URL": ""}, Dsn("", "PGDATABASE")),
    ],
)
def test_the_first_one_given_is_used(option: str | None, environ: dict[str, str], expected: Dsn) -> None:
    assert resolve_dsn(option, environ) == expected


@pytest.mark.parametrize("environ", [{}, {"PGUSER": "me"}, {"PENDINGCTL_DSN": "", "PGHOST": ""}])
def test_no_database_is_an_error_that_names_the_ways_to_give_one(environ: dict[str, str]) -> None:
    with pytest.raises(InvalidInput, match=r"--dsn, PENDINGCTL_DSN, DATABASE_URL or libpq's PGHOST"):
        resolve_dsn(None, environ)


def test_an_empty_option_never_falls_through_to_another_database() -> None:
    with pytest.raises(InvalidInput, match="empty"):
        resolve_dsn("", {"DATABASE_URL": "dbname=production"})


@pytest.mark.parametrize(
    ("text", "directory"), [("embedded", None), ("embedded:", None), ("embedded:/srv/a b:c", "/srv/a b:c")]
)
def test_the_local_server_may_be_in_a_folder_of_its_own(text: str, directory: str | None) -> None:
    dsn = resolve_dsn(text, {})
    assert dsn.is_embedded
    assert dsn.embedded_directory == directory


def test_a_database_named_embedded_is_no_local_server() -> None:
    assert not resolve_dsn("dbname=embedded", {}).is_embedded
