"""The statements by which a pod follows streams. Returned columns have the names of the fields they fill.

Each finds its rows by an index, whatever number of streams it is given, and takes only the weakest lock of tables.
A number and a time together name an event of one history: a stream that was made anew, or a server that lost commits in
a failover, has another event there, or none.
"""

from .primary import at_the_primary
from .times import of_this_stream, readable

_STREAM_TIMES = f"""{readable("last_at")} as last_at, {readable("created_at")} as created_at,
               {readable("closed_at")} as closed_at"""

# The streams of these names; one that does not exist has no row. An organization sees none but its own.
OPEN = f"""
    select stream.*
    from unnest(%(organization_ids)s::text[], %(names)s::text[]) as wanted (organization_id, name)
    cross join lateral (
        select organization_id, name, id, last_seq, {_STREAM_TIMES}
        from pending_stream
        where organization_id = wanted.organization_id and name = wanted.name
        limit 1
    ) as stream
    where {at_the_primary()}
"""

# Which of the streams that are followed are not as they were seen last: appended to, closed, deleted (then `is_there`
# is false), or another history; and which of those that did not exist do now. One statement, since an idle pod sends
# it once a second.
MOVED = f"""
    select wanted.id, stream.last_seq is not null as is_there, null as organization_id, null as name
    from unnest(%(ids)s::bigint[], %(seqs)s::bigint[], %(ats)s::timestamptz[]) as wanted (id, seq, at)
    left join lateral (
        select last_seq, last_at, closed_at from pending_stream where id = wanted.id limit 1
    ) as stream on true
    where stream.last_seq is null
       or stream.closed_at is not null
       or stream.last_seq <> wanted.seq
       or {readable("stream.last_at")} <> wanted.at
    union all
    select stream.id, true, wanted.organization_id, wanted.name
    from unnest(%(organization_ids)s::text[], %(names)s::text[]) as wanted (organization_id, name)
    cross join lateral (
        select id from pending_stream where organization_id = wanted.organization_id and name = wanted.name limit 1
    ) as stream
"""

# The events behind each position, and the time of the event at it, by which the reader sees whether it is still in the
# same history. At most `page` events of a stream; as many bytes as the limits allow, and one event more, so that each
# call gets on. Each position has one row at least, with no event where there is none behind it and no `last_seq` where
# the stream is gone; those that the limit of the call leaves out have no row, and are to be read again. An id alone
# says nothing: a failover that has lost some of them gives them to other streams, of other organizations too; so events
# from before the stream was made are another's.
# (octet_length does not read what is stored out of line.)
READ = f"""
    select place, last_seq, last_at, created_at, closed_at, here_at, seq, at, type, data
    from (
        select wanted.place, stream.*, here.at as here_at, event.seq, event.at, event.type, event.data,
               coalesce(sum(event.size) over (order by wanted.place, event.seq) - event.size, 0) as bytes_before
        from unnest(%(organization_ids)s::text[], %(names)s::text[], %(ids)s::bigint[], %(seqs)s::bigint[])
             with ordinality as wanted (organization_id, name, id, seq, place)
        left join lateral (
            select last_seq, {_STREAM_TIMES}
            from pending_stream
            where id = wanted.id and organization_id = wanted.organization_id and name = wanted.name
            limit 1
        ) as stream on true
        left join lateral (
            select {readable("at")} as at
            from pending_stream_event
            where stream_id = wanted.id and seq = wanted.seq and {of_this_stream()}
            limit 1
        ) as here on true
        left join lateral (
            select * from (
                select *, sum(size) over (order by seq) - size as bytes_of_stream_before
                from (
                    select seq, {readable("at")} as at, type, data, octet_length(data) as size
                    from pending_stream_event
                    where stream_id = wanted.id and seq > wanted.seq and {of_this_stream()}
                    order by seq limit %(page)s
                ) as behind
            ) as summed
            where bytes_of_stream_before < %(stream_bytes)s
        ) as event on true
        where {at_the_primary()}
    ) as read
    where bytes_before < %(call_bytes)s
    order by place, seq
"""
