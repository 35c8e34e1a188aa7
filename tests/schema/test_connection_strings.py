"""Migrations take any connection string that libpq takes."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pendingctl.errors import DatabaseFailed, InvalidInput
from pendingctl.schema import migrations
from tests.schema.migrated import OURS, tables


class TestAnyDsnThatLibpqTakes:
    """yoyo's own parser refuses most of these."""

    @pytest.fixture
    def parts(self, empty_dsn: str) -> dict[str, str]:
        given = {"port": "5432", "host": "localhost", **conninfo_to_dict(empty_dsn)}
        return {name: str(given[name]) for name in ("host", "port", "user", "password", "dbname") if given.get(name)}

    def test_key_and_value(self, parts: dict[str, str]) -> None:
        assert migrations.apply(make_conninfo(**parts)) == OURS

    def test_uri(self, parts: dict[str, str]) -> None:
        user = parts.get("user", "")
        password = ":" + quote(parts["password"], safe="") if "password" in parts else ""
        place = f"host={quote(parts['host'], safe='')}&port={parts['port']}"
        assert migrations.apply(f"postgresql://{user}{password}@/{parts['dbname']}?{place}") == OURS

    def test_uri_with_an_escaped_socket_folder(self, parts: dict[str, str]) -> None:
        if not parts["host"].startswith("/"):
            pytest.skip("the test server has no unix socket")
        host = quote(parts["host"], safe="")
        assert migrations.apply(f"postgres://{parts['user']}@{host}:{parts['port']}/{parts['dbname']}") == OURS

    def test_several_hosts(self, parts: dict[str, str], tmp_path: Path) -> None:
        hosts = f"{tmp_path},{parts['host']}"
        dsn = make_conninfo(**{**parts, "host": hosts, "port": f"5432,{parts['port']}"})
        assert migrations.apply(f"{dsn} target_session_attrs=read-write") == OURS

    def test_service(self, parts: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        lines = "\n".join(f"{name}={value}" for name, value in parts.items())
        (tmp_path / "services").write_text(f"[bot]\n{lines}\n", encoding="utf-8")
        monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
        assert migrations.apply("service=bot") == OURS

    def test_libpqs_own_variables(self, parts: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
        names = {"host": "PGHOST", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER", "password": "PGPASSWORD"}
        for name, value in parts.items():
            monkeypatch.setenv(names[name], value)
        assert migrations.apply("") == OURS

    def test_an_option_of_the_string_is_kept(self, parts: dict[str, str], empty: psycopg.Connection) -> None:
        empty.execute('create schema "Bot Tables"')
        dsn = make_conninfo(**parts, options='-c search_path="Bot\\ Tables"')
        assert migrations.apply(dsn) == OURS
        assert tables(empty) == set()
        assert migrations.status(dsn).pending == ()


def test_an_unreachable_server_and_a_malformed_dsn_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(DatabaseFailed, match="cannot be reached"):
        migrations.status(f"host={tmp_path} dbname=x")
    with pytest.raises(InvalidInput) as raised:
        migrations.status("postgresql://u:s3cret@h/d?nosuch=1")
    assert "s3cret" not in str(raised.value)
