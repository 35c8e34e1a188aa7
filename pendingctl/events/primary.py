"""Readers are served by the primary: to a standby that is behind, what they have read is yet to come."""


def at_the_primary() -> str:
    """Return what raises at a standby, by a setting that nobody makes, before a row is read.

    There a stream that was just made, or the event at a reader's position, may be missing, which is what a deletion and
    a lost commit look like. In a select of its own it is evaluated once, and not by the planner.
    """
    return "(select case when pg_is_in_recovery() then current_setting('pendingctl.primary') end) is null"
