"""PgBouncer in transaction mode before the race's server: what listens through it hears nothing, and notices.

Another process ends it: were the coordinator killed, it would stay for ever.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from psycopg.conninfo import make_conninfo

from ...errors import DatabaseUnreachable, InvalidInput
from ...postgres.connections import Connection, connect
from ..rows import APPLICATION

START_SECONDS = 10.0
POLL_SECONDS = 0.05
SESSIONS = 20
_TRANSACTION_MODE = """[databases]
* = {backend}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 1000
query_wait_timeout = 5
server_connect_timeout = 3
server_login_retry = 1
"""
# Its stdin ends when the race does, or the coordinator; a line has it read its configuration again.
_WATCHED = (
    'pgbouncer=$1; shift; "$pgbouncer" -q "$@" & while read -r line; do kill -HUP "$!"; done; kill "$!"; wait "$!"'
)


def find_pgbouncer() -> str | None:
    """Return where PgBouncer is on this machine; Debian's is where only root looks."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin")


class Pooler:
    """A PgBouncer that runs. `dsn` leads through it."""

    def __init__(self, dsn: str, file: Path, port: int, process: asyncio.subprocess.Process) -> None:
        self.dsn = dsn
        self._file = file
        self._port = port
        self._process = process

    async def follow(self, dsn: str) -> None:
        """Have it lead to where this connection string does now, as after a failover. Raises DatabaseUnreachable."""
        async with await connect(dsn, application=APPLICATION) as connection:
            self._file.write_text(_configuration(connection, self._port))
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(b"again\n")
        await stdin.drain()


@asynccontextmanager
async def pooler_before(dsn: str) -> AsyncIterator[Pooler]:
    """Run a PgBouncer before the server to which a connection string leads.

    Raises InvalidInput where there is none on this machine, and DatabaseUnreachable when it does not start.
    """
    program = find_pgbouncer()
    if program is None:
        raise InvalidInput("the fault pooler needs PgBouncer, which is not here; install it (Debian: pgbouncer)")
    with _folder() as folder:
        file, port = folder / "pgbouncer.ini", _free_port()
        async with await connect(dsn, application=APPLICATION) as connection:
            file.write_text(_configuration(connection, port))
            through = make_conninfo(dsn, host="127.0.0.1", hostaddr="", port=port, target_session_attrs="any")
        process = await _start(program, file)
        try:
            await _until_it_accepts(port)
            yield Pooler(through, file, port, process)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            await process.wait()


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder that the pooler's account can read."""
    with tempfile.TemporaryDirectory(prefix="pendingctl-pooler-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def _configuration(connection: Connection, port: int) -> str:
    info = connection.info
    parts = {
        "host": info.hostaddr or info.host,
        "port": info.port,
        "user": info.user,
        "password": info.password,
    }
    backend = " ".join(f"{name}={value}" for name, value in parts.items() if value)
    return _TRANSACTION_MODE.format(backend=backend, port=port, sessions=SESSIONS)


async def _start(program: str, file: Path) -> asyncio.subprocess.Process:
    from ...embedded.account import server_account

    # It does not run as root, and a local server lets in whoever it runs as.
    account = server_account()
    changes = ("-u", account.name) if account.switch else ()
    return await asyncio.create_subprocess_exec(
        *("/bin/sh", "-c", _WATCHED, "sh", program, *changes, str(file)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )


async def _until_it_accepts(port: int) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError as error:
            if time.monotonic() > until:
                raise DatabaseUnreachable(f"PgBouncer did not start within {START_SECONDS:g} s") from error
            await asyncio.sleep(POLL_SECONDS)
        else:
            writer.close()
            return


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
