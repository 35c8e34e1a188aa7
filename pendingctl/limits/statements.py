"""The statements of the rate limits. Every time is the database's clock, never a pod's.

A row's `tat` is when its key's whole burst is free again, GCRA's theoretical arrival time; without a row it is.

`whole` is the time in which a burst comes back, `paid` that of the cost, and `tolerance` the one without the other: in
whole microseconds, each as a double, which is exact for 285 years. (As a text Postgres 14 takes 35 minutes of them, and
as whole numbers they are of three types, and each mixture of these is a statement to prepare.)
"""

from ..postgres.time_limits import Purpose

# Within the statement, which also holds behind a pooler in transaction mode.
_WITHIN = f"set_config('lock_timeout', '{Purpose.LIMIT.lock_timeout}', true) is not null"

# No row is a denial, and certain, whichever condition has failed. The first reads a snapshot, and a key's time only
# grows but for a reset; it locks and writes nothing. The second reads the row's latest version under its lock, also
# where two are the first at the same moment, and the clock after the wait for it. Returns what of the burst's time is
# used.
TAKE = f"""
    insert into pending_rate_limit as r (organization_id, key, tat)
    select %(organization_id)s, %(key)s, clock_timestamp() + %(paid)s * interval '1 microsecond'
    where not exists (
        select from pending_rate_limit
        where organization_id = %(organization_id)s and key = %(key)s
          and tat > clock_timestamp() + %(tolerance)s * interval '1 microsecond'
    ) and {_WITHIN}
    on conflict (organization_id, key) do update
    set tat = greatest(r.tat, clock_timestamp()) + %(paid)s * interval '1 microsecond'
    where r.tat <= clock_timestamp() + %(tolerance)s * interval '1 microsecond'
    returning date_part('epoch', tat - clock_timestamp()) as used_seconds
"""

# Takes from several keys, each once, in one commit: from those that have a row, whose limit surely allows it, and that
# nobody has locked. None of them waits. The rows are locked in the order given, and found again by their place. (Of
# parameters in JSON the planner expects as many rows whatever they are, and so makes no new plan for each call; and by
# the array it finds the places one by one.)
TAKE_TOGETHER = """
    with held as materialized (
        select found.ctid, asked.place, asked.paid
        from rows from (
            json_to_recordset(%(asked)s::json)
            as (organization_id text, key text, paid double precision, tolerance double precision)
        ) with ordinality as asked (organization_id, key, paid, tolerance, place)
        cross join lateral (
            select ctid
            from pending_rate_limit
            where organization_id = asked.organization_id and key = asked.key
              and tat <= clock_timestamp() + asked.tolerance * interval '1 microsecond'
            limit 1
            for no key update skip locked
        ) as found
    )
    update pending_rate_limit as r
    set tat = greatest(r.tat, clock_timestamp()) + held.paid * interval '1 microsecond'
    from held
    where r.ctid = any (array(select ctid from held)) and r.ctid = held.ctid
    returning held.place, date_part('epoch', r.tat - clock_timestamp()) as used_seconds
"""

# Never more than all of the burst's time, whatever a row holds. `is_ahead`: the row leads beyond it.
USED = """
    select date_part('epoch', greatest(least(tat, clock_timestamp() + %(whole)s * interval '1 microsecond'),
                                       clock_timestamp()) - clock_timestamp()) as used_seconds,
           tat > clock_timestamp() + %(whole)s * interval '1 microsecond' as is_ahead
    from pending_rate_limit
    where organization_id = %(organization_id)s and key = %(key)s
"""

# A clock that was set back, a limit that was made smaller, or a stranger has left a time that this limit never leads
# to: it counts as a whole burst, from now on. A row that somebody has locked is left to the next denial, since this one
# is certain.
CLAMP = """
    with ahead as materialized (
        select organization_id, key
        from pending_rate_limit
        where organization_id = %(organization_id)s and key = %(key)s
          and tat > clock_timestamp() + %(whole)s * interval '1 microsecond'
        for no key update skip locked
    )
    update pending_rate_limit as r set tat = clock_timestamp() + %(whole)s * interval '1 microsecond'
    from ahead
    where (r.organization_id, r.key) = (ahead.organization_id, ahead.key)
"""

RESET = f"""
    delete from pending_rate_limit
    where organization_id = %(organization_id)s and key = %(key)s
      and {_WITHIN}
"""

# Keys that are free again, a page of the primary key at a time. A row that somebody has locked is being taken from; one
# that was taken from since is looked at again under its lock. No limit leads further than ten years.
SWEEP = """
    with page as (
        select organization_id, key
        from pending_rate_limit
        where (organization_id, key) > (%(organization_id)s, %(key)s)
        order by organization_id, key
        limit %(batch_size)s
    ), free as (
        select r.organization_id, r.key
        from page join pending_rate_limit as r using (organization_id, key)
        where r.tat < now() - interval '1 minute' or r.tat > now() + interval '10 years'
        for update of r skip locked
    ), gone as (
        delete from pending_rate_limit as r using free
        where (r.organization_id, r.key) = (free.organization_id, free.key)
        returning 1
    )
    select organization_id, key, (select count(*) from gone) as deleted
    from page
    order by organization_id desc, key desc
    limit 1
"""
