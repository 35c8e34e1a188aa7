"""Times of streams in SQL: one that Python, or a cursor, cannot hold must not break what reads the row."""


def readable(time: str) -> str:
    """Return a time between 1970 and 9999, the nearest one for any other: such as `infinity`, written by hand."""
    return f"""case when {time} is not null
                then least(greatest({time}, '1970-01-01 00:00+00'), '9999-12-30 00:00+00') end"""
