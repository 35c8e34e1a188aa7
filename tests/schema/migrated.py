"""Our migrations, folders of others, and what a migrated database holds."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import psycopg

from pendingctl.schema import migrations

OURS = [
    "0001_organization",
    "0002_pending_interactions",
    "0003_answer",
    "0004_delivery",
    "0005_delivery_indexes",
    "0006_askings",
    "0007_asking_indexes",
    "0008_endings",
    "0009_ending_indexes",
    "0010_posts",
    "0011_post_indexes",
    "0012_trail",
    "0013_pods",
    "0014_streams",
    "0015_rate_limits",
    "0016_question_streams",
    "0017_question_stream_indexes",
]

# For a lock that is let go while a run waits for it, by pods or by the test itself, however busy the machine is.
PATIENT = timedelta(minutes=1)


def folder(path: Path, **files: str) -> Path:
    """A folder of migrations; `a__rollback` becomes a.rollback.sql."""
    for name, text in files.items():
        suffix = "" if name.endswith("_py") else ".sql"
        file = name.replace("__rollback", ".rollback").replace("_py", ".py").lstrip("m") + suffix
        (path / file).write_text(text, encoding="utf-8")
    return path


def steps_back_to(dsn: str, id: str) -> int:
    """How many migrations a rollback must take back to end before this one."""
    applied = migrations.status(dsn).applied
    return len(applied) - applied.index(id)


def tables(connection: psycopg.Connection) -> set[str]:
    rows = connection.execute(
        "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')"
    )
    return {name for (name,) in rows.fetchall()}


def write(path: Path, **files: str) -> Path:
    """Write files of these names and texts, with the line ends that they have."""
    for name, text in files.items():
        (path / name).write_text(text, encoding="utf-8", newline="")
    return path
