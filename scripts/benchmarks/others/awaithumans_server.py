"""The server of awaithumans, as its manual runs it on Postgres.

Run by `contenders.py` with an interpreter that has awaithumans: it reads a database and a token, prints its version and
its port, and serves until its standard input ends.
"""

import asyncio
import base64
import os
import secrets
import sys
import tempfile
from importlib.metadata import version
from typing import TextIO
from urllib.parse import quote

from psycopg.conninfo import conninfo_to_dict


def url_of(dsn: str) -> str:
    """The connection string as SQLAlchemy wants it; awaithumans 0.1.12 does not start with a `%` in it."""
    parts = {name: quote(str(value), safe="/") for name, value in conninfo_to_dict(dsn).items()}
    who = parts.get("user", "") + (f":{parts['password']}" if "password" in parts else "")
    where = "&".join(f"{name}={parts[name]}" for name in ("host", "port") if name in parts)
    return f"postgresql://{who}@/{parts['dbname']}?{where}"


async def serve(answers: TextIO) -> None:
    import uvicorn
    from awaithumans.server.app import create_app

    # As `awaithumans dev` runs it, without its log of each request.
    config = uvicorn.Config(create_app(serve_dashboard=False), port=0, log_level="error", access_log=False)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        if serving.done():
            await serving
            raise RuntimeError("the server of awaithumans has ended")
        await asyncio.sleep(0.05)
    print(version("awaithumans"), server.servers[0].sockets[0].getsockname()[1], file=answers, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.should_exit = True
    await serving


def main() -> None:
    # It logs to the standard output.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    dsn, token = sys.stdin.readline().strip(), sys.stdin.readline().strip()
    os.environ |= {
        "AWAITHUMANS_DATABASE_URL": url_of(dsn),
        "AWAITHUMANS_ADMIN_API_TOKEN": token,
        "AWAITHUMANS_PAYLOAD_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AWAITHUMANS_LOG_LEVEL": "ERROR",
    }
    # Where no .env of anybody's is.
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        asyncio.run(serve(answers))


main()
