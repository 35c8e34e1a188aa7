"""Steps of the trail, as tests write them by themselves."""

from __future__ import annotations

import psycopg
from psycopg import sql


def write(
    connection: psycopg.Connection, question_id: str, step: str, *, seconds_ago: float = 0, **columns: object
) -> None:
    """Write one step that was taken so long ago, by the pod bot-1 unless another one is named."""
    fields = {"organization_id": "acme", "pod": "bot-1", "ask_number": 1, **columns}
    fields |= {"question_id": question_id, "step": step}
    names = sql.SQL(", ").join(map(sql.Identifier, fields))
    values = sql.SQL(", ").join(map(sql.Placeholder, fields))
    connection.execute(
        sql.SQL("insert into pending_trail (at, {}) values (now() - %(ago)s * interval '1 s', {})").format(
            names, values
        ),
        {**fields, "ago": seconds_ago},
    )
