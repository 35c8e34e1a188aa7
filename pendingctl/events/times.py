"""Times of streams in SQL: one that Python, or a cursor, cannot hold must not break what reads the row."""


def readable(time: str) -> str:
    """Return a time between 1970 and 9999, the nearest one for any other: such as `infinity`, written by hand."""
    return f"""case when {time} is not null
                then least(greatest({time}, '1970-01-01 00:00+00'), '9999-12-30 00:00+00') end"""


def of_this_stream() -> str:
    """Whether an event is of the row `stream`, and not of a former stream that has had its id.

    Ids come back where their sequence was set back, as by a truncation that restarts it or on a server to which it was
    not copied; and events outlive their stream.
    """
    return f"{readable('at')} >= {readable('stream.created_at')}"
