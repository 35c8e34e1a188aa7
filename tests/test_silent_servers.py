"""A server that says nothing, hangs or is away is given up in time, and used again when it is back."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

import psycopg
import pytest
from psycopg_pool.base import AttemptWithBackoff

from pendingctl import open_pool
from pendingctl.embedded import throwaway_server
from pendingctl.errors import DatabaseUnreachable, NotConnected
from pendingctl.postgres.connections import connect
from tests.hanging_server import paused
from tests.statements import run, taking


async def test_a_server_that_accepts_and_says_nothing_is_given_up() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        dsn = f"host=127.0.0.1 port={listening.getsockname()[1]} connect_timeout=2"
        with taking(1.5), pytest.raises(NotConnected, match="timeout"):
            await connect(dsn, application="test")
        async with open_pool(dsn) as pool:
            with taking(0), pytest.raises(NotConnected):
                await run(pool)


@pytest.mark.once
async def test_a_server_that_hangs_is_given_up_and_used_again_when_it_goes_on() -> None:
    with throwaway_server() as server:
        async with open_pool(server.dsn, max_size=3) as pool:
            await run(pool)
            with paused(server.dsn):
                for _ in range(2):
                    with taking(0), pytest.raises(DatabaseUnreachable):
                        await run(pool)
            with taking(0):
                while True:
                    try:
                        await run(pool)
                    except DatabaseUnreachable:
                        continue
                    break


@pytest.mark.once
async def test_a_server_that_comes_back_is_found_within_seconds_however_long_it_was_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A pool that waits longer after each attempt would wait for minutes after the second one.
    monkeypatch.setattr(AttemptWithBackoff, "DELAY_BACKOFF", 100.0)
    with throwaway_server() as server:
        async with open_pool(server.dsn, min_size=3) as pool:
            await run(pool)
            await asyncio.to_thread(server.stop)
            # Long enough for a second attempt.
            until = time.monotonic() + 3
            while time.monotonic() < until:
                with pytest.raises(DatabaseUnreachable):
                    await run(pool)
            await asyncio.to_thread(_start_again, server.dsn, server.data_directory, server.binaries.directory)
            try:
                with taking(0):
                    while True:
                        try:
                            await run(pool)
                        except DatabaseUnreachable:
                            continue
                        break
            finally:
                _end(server.data_directory)


def _as_its_owner(data: Path, command: list[str]) -> None:
    owner = data.stat().st_uid
    subprocess.run(command, user=owner if os.geteuid() == 0 else None, check=True, stdout=subprocess.DEVNULL, cwd="/")


def _start_again(dsn: str, data: Path, binaries: Path) -> None:
    sockets = psycopg.conninfo.conninfo_to_dict(dsn)["host"]
    options = f"-c listen_addresses= -c unix_socket_directories='{sockets}' -c fsync=off"
    _as_its_owner(
        data, [str(binaries / "pg_ctl"), "-w", "-s", "-D", str(data), "-l", "/dev/null", "-o", options, "start"]
    )


def _end(data: Path) -> None:
    os.kill(int((data / "postmaster.pid").read_text().splitlines()[0]), signal.SIGQUIT)
