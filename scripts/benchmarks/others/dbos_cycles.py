"""Cycles of DBOS: a workflow receives what is sent to it.

Run by `contenders.py` with an interpreter that has DBOS: it reads where and how many, prints its version, and for each
further line runs so many cycles and prints how many a second that were.
"""

import sys
from importlib.metadata import version
from time import perf_counter
from urllib.parse import quote

from dbos import DBOS
from psycopg.conninfo import conninfo_to_dict


@DBOS.workflow()
def ask() -> str:
    """Wait for the answer and return it."""
    return str(DBOS.recv("answer", timeout_seconds=60))


def url_of(dsn: str) -> str:
    """The connection string as SQLAlchemy wants it."""
    parts = {name: quote(str(value), safe="") for name, value in conninfo_to_dict(dsn).items()}
    who = parts.get("user", "") + (f":{parts['password']}" if "password" in parts else "")
    where = "&".join(f"{name}={parts[name]}" for name in ("host", "port") if name in parts)
    return f"postgresql://{who}@/{parts['dbname']}?{where}"


def main() -> None:
    url, cycles = url_of(sys.stdin.readline().strip()), int(sys.stdin.readline())
    DBOS(config={"name": "bench", "system_database_url": url, "log_level": "ERROR", "run_admin_server": False})
    DBOS.launch()
    print(version("dbos"), flush=True)
    for _ in sys.stdin:
        started = perf_counter()
        for _ in range(cycles):
            workflow = DBOS.start_workflow(ask)
            DBOS.send(workflow.workflow_id, "yes", "answer")
            if workflow.get_result() != "yes":
                raise RuntimeError("the answer was lost")
        print(cycles / (perf_counter() - started), flush=True)
    DBOS.destroy()


main()
