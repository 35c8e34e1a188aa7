"""The statements of the rate limits. Every time is the database's clock, never a pod's.

A row's `tat` is when its key's whole burst is free again, GCRA's theoretical arrival time; without a row it is.

`whole` is the time in which a burst comes back, `paid` that of the cost, and `tolerance` the one without the other.
"""

# How much of the burst's time is used, in seconds; never more than all of it, whatever a row holds.
_USED = """extract(epoch from greatest(least(tat, clock_timestamp() + %(whole)s::interval), clock_timestamp())
                      - clock_timestamp())::float8"""

# A denial is read from a snapshot, and holds: `tat` only grows but for a reset, so that what is denied then would be
# denied now. It locks and writes nothing. An allowance is decided on the row's latest version, under its lock, and
# writes it in the same statement; the clock is read after the wait for that lock. No row is returned where two are the
# first at the same moment, or the row went in between; `is_certain` is false where the snapshot did not deny and the
# latest version did. Both are taken again. `is_ahead`: the row is further ahead than this limit leads.
TAKE = f"""
    with taken as (
        insert into pending_rate_limit as r (organization_id, key, tat)
        select %(organization_id)s, %(key)s, clock_timestamp() + %(paid)s::interval
        where not exists (
            select from pending_rate_limit
            where organization_id = %(organization_id)s and key = %(key)s
              and tat > clock_timestamp() + %(tolerance)s::interval
        ) and set_config('lock_timeout', %(lock_timeout)s, true) is not null
        on conflict (organization_id, key) do update
        set tat = greatest(r.tat, clock_timestamp()) + %(paid)s::interval
        where r.tat <= clock_timestamp() + %(tolerance)s::interval
        returning tat
    )
    select true as is_allowed, {_USED} as used_seconds, true as is_certain, false as is_ahead
    from taken
    union all
    select false, {_USED}, tat > clock_timestamp() + %(tolerance)s::interval,
           tat > clock_timestamp() + %(whole)s::interval
    from pending_rate_limit
    where organization_id = %(organization_id)s and key = %(key)s and not exists (select from taken)
"""

# A clock that was set back, a limit that was made smaller, or a stranger has left a time that this limit never leads
# to: it counts as a whole burst, from now on.
CLAMP = """
    update pending_rate_limit set tat = clock_timestamp() + %(whole)s::interval
    where organization_id = %(organization_id)s and key = %(key)s and tat > clock_timestamp() + %(whole)s::interval
      and set_config('lock_timeout', %(lock_timeout)s, true) is not null
"""

SHOW = f"""
    select {_USED} as used_seconds
    from pending_rate_limit
    where organization_id = %(organization_id)s and key = %(key)s
"""

RESET = """
    delete from pending_rate_limit
    where organization_id = %(organization_id)s and key = %(key)s
      and set_config('lock_timeout', %(lock_timeout)s, true) is not null
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
