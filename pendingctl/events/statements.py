"""The statements of streams: appends, the end of a stream, lists, a page of events, the ring and the sweep.

Returned columns have the names of the fields they fill. Nothing names a schema: the search_path decides.

One row counts a stream's events and is locked until the commit: the order of the numbers is the order of the commits,
and none is left out. Where events go is read from the ring once in a statement, so an append that a turn overtakes
writes into the table before; a table's share of the time is longer than any such append, see `ring`.
"""

from ..store.statements import LIMITS
from .primary import at_the_primary
from .times import of_this_stream, readable

_OF_THE_NAME = "organization_id = %(organization_id)s and name = %(name)s"


def _stream(row: str = "stream") -> str:
    """The columns of `model.Stream`."""
    return f"""{row}.id, {row}.organization_id, {row}.name, {row}.last_seq,
           {readable(f"{row}.last_at")} as last_at, {readable(f"{row}.created_at")} as created_at,
           {readable(f"{row}.closed_at")} as closed_at"""


# Without the ring's row this is null, for which there is no table: then nothing is appended.
_SLOT = "(select slot from pending_stream_ring)"

_GIVEN = "unnest(%(types)s::text[], %(datas)s::text[]) with ordinality as event (type, data, place)"
_COUNT = "cardinality(%(datas)s::text[])"

_WRITTEN = f"""written as (
        insert into pending_stream_event (slot, stream_id, seq, at, type, data)
        select {_SLOT}, head.id, head.last_seq - {_COUNT} + event.place, head.last_at, event.type, event.data
        from head cross join {_GIVEN}
    )
    select last_seq, {readable("last_at")} as at
    from head"""

# No row: there is no such stream, it is closed, or it is at another position than the expected one. Whoever waited for
# the row looks at its new version, so of two appends that expect the same position one gets a row.
APPEND = f"""
    with head as (
        update pending_stream
        set last_seq = last_seq + {_COUNT}, last_at = greatest(last_at, clock_timestamp())
        where {_OF_THE_NAME}
          and closed_at is null
          and (%(expected)s::bigint is null or last_seq = %(expected)s)
          and {LIMITS}
        returning id, last_seq, last_at
    ), {_WRITTEN}
"""

# The first append creates its stream. No row: somebody else has just created it.
APPEND_FIRST = f"""
    with head as (
        insert into pending_stream (organization_id, name, last_seq, last_at, created_at)
        select %(organization_id)s, %(name)s, {_COUNT}, now, now
        from clock_timestamp() as now
        where {LIMITS}
        on conflict (organization_id, name) do nothing
        returning id, last_seq, last_at
    ), {_WRITTEN}
"""

# Before an append in a transaction of the caller's, whose wait for the row may be long: the append itself, a statement
# of its own, then finds the ring as it is. Under any other isolation it would find it as it was, and nothing is locked.
HOLD = f"""
    with held as materialized (
        select id
        from pending_stream
        where {_OF_THE_NAME}
          and current_setting('transaction_isolation') = 'read committed'
        for no key update
    )
    select current_setting('transaction_isolation') as isolation, (select count(*) from held) as held
"""

# In a transaction of the caller's the first append finds the stream already there, empty: whoever makes the same one at
# that moment may be waited for as long, see HOLD.
CREATE = """
    insert into pending_stream (organization_id, name, last_at, created_at)
    select %(organization_id)s, %(name)s, now, now
    from clock_timestamp() as now
    on conflict (organization_id, name) do nothing
"""

# Several streams in one commit: those that exist, are open and that nobody has locked. None of them waits.
APPEND_MANY = f"""
    with event as (
        select *
        from unnest(%(organization_ids)s::text[], %(names)s::text[], %(types)s::text[], %(datas)s::text[])
             with ordinality as event (organization_id, name, type, data, place)
    ), counted as materialized (
        select organization_id, name, count(*) as number
        from event
        group by organization_id, name
    ), held as materialized (
        select stream.id, counted.number
        from counted join pending_stream as stream using (organization_id, name)
        where stream.closed_at is null
          and {LIMITS}
        for no key update of stream skip locked
    ), head as (
        update pending_stream as stream
        set last_seq = stream.last_seq + held.number, last_at = greatest(stream.last_at, clock_timestamp())
        from held
        where stream.id = held.id
        returning stream.id, stream.organization_id, stream.name, stream.last_seq, stream.last_at, held.number
    ), written as (
        insert into pending_stream_event (slot, stream_id, seq, at, type, data)
        select {_SLOT}, head.id,
               head.last_seq - head.number + row_number() over (partition by head.id order by event.place),
               head.last_at, event.type, event.data
        from event join head using (organization_id, name)
    )
    select organization_id, name, last_seq, {readable("last_at")} as at
    from head
"""

# Why an append found no row.
LOOK = f"""
    select {_stream()}
    from pending_stream as stream
    where {_OF_THE_NAME}
"""

# The events that an append was given, if it has appended them before, right after the position that it expected: then
# this is when. Whatever differs, is missing or was appended at different times is none of its.
REPEATED = f"""
    select {readable("min(found.at)")} as at
    from {_GIVEN}
    left join pending_stream_event as found
        on found.stream_id = %(id)s
       and found.seq = %(expected)s::bigint + event.place
       and found.type = event.type
       and found.data = event.data
    where %(id)s is not null
    having count(*) = count(found.seq) and min(found.at) = max(found.at)
"""

CLOSE = f"""
    update pending_stream
    set closed_at = clock_timestamp()
    where {_OF_THE_NAME}
      and closed_at is null
      and {LIMITS}
    returning id, last_seq
"""

DELETE = f"""
    delete from pending_stream
    where {_OF_THE_NAME}
      and (%(id)s::bigint is null or id = %(id)s)
      and {LIMITS}
    returning id, last_seq
"""

PURGE = """
    delete from pending_stream_event
    where stream_id = %(id)s
      and seq = any (array(
          select seq
          from pending_stream_event
          where stream_id = %(id)s
          order by seq
          limit %(batch_size)s
      ))
"""

# A page of one stream, and what judges the position: the stream's row, and the time of the event at the position. All
# of one snapshot. Events from before the stream was made are another's, see `of_this_stream`. One is taken while those
# before it have fewer bytes than a page, so one always is; its length is known without reading it.
READ_PAGE = f"""
    select {_stream()},
           (
               select {readable("at")}
               from pending_stream_event
               where stream_id = stream.id and seq = %(seq)s and {of_this_stream()}
           ) as seq_at,
           event.seq as event_seq, {readable("event.at")} as event_at, event.type as event_type,
           event.data as event_data
    from pending_stream as stream
    left join lateral (
        select seq, at, type, data, sum(octet_length(data)) over (order by seq) - octet_length(data) as bytes_before
        from (
            select seq, at, type, data
            from pending_stream_event
            where stream_id = stream.id
              and seq > %(seq)s
              and {of_this_stream()}
            order by seq
            limit %(limit)s
        ) as following
    ) as event on event.bytes_before < %(max_bytes)s
    where {_OF_THE_NAME}
      and {at_the_primary()}
    order by event.seq
"""

_LIST = f"""
    select {_stream()}
    from pending_stream as stream
    where (organization_id, name) > (%(after_organization_id)s, %(after_name)s)"""

LIST_ALL = f"""{_LIST}
    order by organization_id, name
    limit %(limit)s
"""

LIST_OF_ORGANIZATION = f"""{_LIST}
      and organization_id = %(organization_id)s
    order by organization_id, name
    limit %(limit)s
"""

SHOW = f"""
    select {_stream()},
           (select min(seq) from pending_stream_event where stream_id = stream.id and {of_this_stream()}) as first_seq,
           (select extract(epoch from retention)::float8 from pending_stream_ring) as retention_seconds
    from pending_stream as stream
    where {_OF_THE_NAME}
"""

# A turn that a clock has noted in the future counts from now: events live longer by it, and none shorter.
TURN_DUE = """
    with mended as (
        update pending_stream_ring
        set turned_at = now()
        where turned_at > now()
          and set_config('lock_timeout', %(lock_timeout)s, true) is not null
    )
    select slot
    from pending_stream_ring
    where turned_at <= now() - (retention / 3 + %(longest_append)s::interval)
      and set_config('lock_timeout', %(lock_timeout)s, true) is not null
    for update skip locked
"""

TURNED = """
    update pending_stream_ring
    set slot = %(slot)s, turned_at = now(), pod = %(pod)s
"""

# The one that is truncated is named by its place: no table's name is a parameter.
TRUNCATE = (
    "truncate pending_stream_event_0",
    "truncate pending_stream_event_1",
    "truncate pending_stream_event_2",
    "truncate pending_stream_event_3",
)

# By then all that such a stream ever had is gone. Read by pages of its key, as an index of the time would have to be
# changed by each append. What is locked is in use, and so is what has a new event by the time that it is.
SWEEP = """
    with page as materialized (
        select id, last_at
        from pending_stream
        where id > %(after)s
        order by id
        limit %(batch_size)s
    ), ring as materialized (
        select now() - (retention * 4 / 3 + interval '1 minute') as idle_since
        from pending_stream_ring
    ), idle as materialized (
        select stream.id
        from pending_stream as stream
        where stream.id = any (array(select page.id from page cross join ring where page.last_at < ring.idle_since))
          and stream.last_at < (select idle_since from ring)
        for update skip locked
    ), gone as (
        delete from pending_stream as stream
        using idle
        where stream.id = idle.id
        returning 1
    )
    select (select max(id) from page) as after, (select count(*) from gone) as deleted
"""

COUNT_IDLE = """
    select count(*)
    from pending_stream
    where last_at < (select now() - (retention * 4 / 3 + interval '1 minute') from pending_stream_ring)
"""

# The streams by the last vacuum or analyze. A turn that a wrong clock has noted counts from now on.
STATE = """
    select (
               select case when reltuples >= 0 then reltuples::bigint end
               from pg_class
               where oid = 'pending_stream'::regclass
           ) as streams,
           (
               select coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint
               from pg_inherits
               where inhparent = 'pending_stream_event'::regclass
           ) as event_bytes,
           extract(epoch from retention)::float8 as retention_seconds,
           case when turned_at > '-infinity' and turned_at <= now()
                then extract(epoch from now() - turned_at)::float8 end as turned_seconds_ago,
           extract(epoch from retention / 3 + %(longest_append)s::interval)::float8 as turn_every_seconds
    from pending_stream_ring
"""

# A hint that may be lost: its commit waits for no disk.
WAKE = """
    select set_config('synchronous_commit', 'off', true), pg_notify('pendingctl_stream', %(keys)s)
"""
