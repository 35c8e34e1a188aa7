"""Pods that listen, and do nothing else with what they hear.

Run by `streams.py`. It reads a JSON object with the `dsn`, the number of `pods`, and the `channels` that each of them
listens to, prints `ready`, and goes on until it is killed.
"""

from __future__ import annotations

import json
import sys
from selectors import EVENT_READ, DefaultSelector

import psycopg
from psycopg import sql


def _main() -> None:
    given = json.loads(sys.stdin.readline())
    listen = sql.SQL(";").join(sql.SQL("listen {}").format(sql.Identifier(each)) for each in given["channels"])
    heard = DefaultSelector()
    for _ in range(given["pods"]):
        connection = psycopg.connect(given["dsn"], autocommit=True)
        connection.execute(listen)
        heard.register(connection, EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in heard.select():
            assert isinstance(key.fileobj, psycopg.Connection)
            # Below psycopg's own loop, which costs more than it costs the server to send them.
            key.fileobj.pgconn.consume_input()
            while key.fileobj.pgconn.notifies() is not None:
                pass


if __name__ == "__main__":
    _main()
