"""The statements that count for the person on call. Returned columns have the names of the fields they fill.

What is counted exactly is read by an index and up to a cap; beyond it, by a sample of the table's pages.
"""

from typing import LiteralString

from ..counts import AGES, Part
from .read_statements import STATE, UNPOSTED
from .statements import EVENTS_WAIT, OUTCOME, readable

# A pod looks once a second: what has been due for so long has been let lie.
_LATE = "now() - interval '1 minute'"

_KEY = """case %(grouping)s::text
               when 'organization' then array[organization_id]
               when 'connection' then array[organization_id, connection_id]
               when 'user' then array[organization_id, expected_user_id]
               when 'application' then array[application]
           end"""
_OF_APPLICATION = "(%(application)s::text is null or application = %(application)s)"

_IS_OPEN = "claimed_at is null"
# By the index on the age, which is that of the end.
_HAS_ENDED = "coalesce(claimed_at, created_at) >= now() - interval '1 hour' and claimed_at is not null"


def _number(condition: LiteralString) -> LiteralString:
    return f"(count(*) filter (where {condition}) * (select scale from sampled))::bigint"


def _seconds(time: LiteralString, condition: LiteralString) -> LiteralString:
    return f"extract(epoch from now() - min({time}) filter (where {condition}))::float8"


def _ages() -> LiteralString:
    created = readable("created_at")
    edges: list[LiteralString] = [f"{created} > now() - interval '{edge} s'" for edge in AGES]
    classes: list[LiteralString] = []
    for place in range(len(AGES) + 1):
        younger: LiteralString = edges[place] if place < len(AGES) else "true"
        older: LiteralString = f"and not {edges[place - 1]}" if place else ""
        classes.append(_number(f"{younger} {older}"))
    return f"array[{', '.join(classes)}]"


_OPEN_NUMBERS = f"""{_number("state = 'pending'")} as pending,
           {_number("state = 'stale'")} as stale,
           {_ages()} as ages,
           {_number("expires_at <= now() + interval '1 hour'")} as due_within_the_hour,
           {_number("unposted = 'to_be_posted'")} as cards_to_post,
           {_seconds(readable("created_at"), "true")} as oldest_pending_seconds"""

# A row may be late for two reasons, and is read by the index of each.
_LATE_NUMBERS = f"""{_number("reason <> 'deadline' and unposted = 'given_up'")} as cards_never_posted,
           {_number(f"reason <> 'deadline' and post_due_at < {_LATE}")} as overdue_cards,
           {_number(f"reason <> 'card' and expires_at < {_LATE}")} as overdue_deadlines"""

# Here as well: its ending, and its stream.
_WAITING_NUMBERS = f"""{_number("reason <> 'stream' and state = 'undelivered'")} as undelivered,
           {_number("reason <> 'stream' and state = 'stuck'")} as stuck,
           {_number("reason <> 'stream' and ending_due_at is not null")} as endings_to_tell,
           {_number(f"reason <> 'stream' and coalesce(delivery_due_at, ending_due_at) < {_LATE}")} as overdue_endings,
           {_number("reason <> 'ending' and events_wait")} as events_to_append,
           {_number(f"reason <> 'ending' and events_wait and stream_due_at < {_LATE}")} as overdue_events,
           {_seconds(readable("claimed_at"), "state in ('undelivered', 'stuck')")} as oldest_undelivered_seconds"""

_ENDED_NUMBERS = f"""{_number("ending = 'answered'")} as answered,
           {_number("ending = 'defaulted'")} as defaulted,
           {_number("ending = 'expired'")} as expired,
           {_number("ending = 'withdrawn'")} as withdrawn"""

# Rows by the index of each kind of ending; an answer has no other one.
_COLUMNS = "pending.*, '' as reason"
_ALL_OPEN = f"select {_COLUMNS} from pending_interactions as pending where {_IS_OPEN} and {_OF_APPLICATION}"
_ALL_ENDED = f"select {_COLUMNS} from pending_interactions as pending where {_HAS_ENDED} and {_OF_APPLICATION}"
_ALL_WAITING = f"""
        select pending.*, 'ending' as reason
        from pending_interactions as pending where delivery_due_at is not null and {_OF_APPLICATION}
        union all
        select pending.*, 'ending' as reason
        from pending_interactions as pending where ending_due_at is not null and {_OF_APPLICATION}
        union all
        select pending.*, 'stream' as reason
        from pending_interactions as pending where {EVENTS_WAIT} and {_OF_APPLICATION}"""
_IS_LATE_CARD = f"claimed_at is null and (post_due_at < {_LATE} or post_due_at = 'infinity')"
_IS_LATE_DEADLINE = f"claimed_at is null and expires_at < {_LATE}"
_ALL_LATE = f"""
        select pending.*, 'card' as reason
        from pending_interactions as pending where {_IS_LATE_CARD} and {_OF_APPLICATION}
        union all
        select pending.*, 'deadline' as reason
        from pending_interactions as pending where {_IS_LATE_DEADLINE} and {_OF_APPLICATION}"""
_IS_WAITING = f"(delivery_due_at is not null or ending_due_at is not null or {EVENTS_WAIT})"


def _counted(rows: LiteralString, numbers: LiteralString, scale: LiteralString) -> LiteralString:
    return f"""
    with sampled (scale) as materialized (select {scale}),
    counted as (
        select {_KEY} as key, created_at, claimed_at, expires_at, post_due_at, delivery_due_at, ending_due_at, reason,
               stream_due_at, {EVENTS_WAIT} as events_wait, {STATE} as state, {UNPOSTED} as unposted,
               {OUTCOME} as ending
        from ({rows}) as pending
    )
    select grouping(key) = 1 as is_total, key, count(*) as rows_read,
           {numbers}
    from counted
    group by grouping sets ((), (key))
"""


def _exact(rows: LiteralString, numbers: LiteralString) -> LiteralString:
    return _counted(f"select * from ({rows}) as pending limit %(cap)s + 1", numbers, "1")


# Of a thousand pages, the same ones each time.
_PAGES = "greatest(1, pg_relation_size('pending_interactions') / 8192)"


def _by_sample(condition: LiteralString, numbers: LiteralString) -> LiteralString:
    rows = f"""
        select {_COLUMNS}
        from pending_interactions as pending
            tablesample system (least(100, 100000.0 / {_PAGES})) repeatable (1)
        where {condition} and {_OF_APPLICATION}"""
    return _counted(rows, numbers, f"greatest(1, {_PAGES} / 1000.0)")


COUNT_OPEN = _exact(_ALL_OPEN, _OPEN_NUMBERS)
COUNT_LATE = _exact(_ALL_LATE, _LATE_NUMBERS)
COUNT_WAITING = _exact(_ALL_WAITING, _WAITING_NUMBERS)
COUNT_ENDED = _exact(_ALL_ENDED, _ENDED_NUMBERS)
SAMPLE_OPEN = _by_sample(_IS_OPEN, _OPEN_NUMBERS)
SAMPLE_LATE = _by_sample(f"({_IS_LATE_CARD} or {_IS_LATE_DEADLINE})", _LATE_NUMBERS)
SAMPLE_WAITING = _by_sample(_IS_WAITING, _WAITING_NUMBERS)
SAMPLE_ENDED = _by_sample(_HAS_ENDED, _ENDED_NUMBERS)

OF_PART = {
    Part.OPEN: (COUNT_OPEN, SAMPLE_OPEN),
    Part.LATE: (COUNT_LATE, SAMPLE_LATE),
    Part.WAITING: (COUNT_WAITING, SAMPLE_WAITING),
    Part.ENDED: (COUNT_ENDED, SAMPLE_ENDED),
}


def _durations(name: LiteralString, seconds: LiteralString, condition: LiteralString) -> LiteralString:
    percentile = f"within group (order by {seconds}) filter (where {condition})"
    return f"""percentile_cont(0.5) {percentile} as {name}_p50_seconds,
           percentile_cont(0.95) {percentile} as {name}_p95_seconds"""


# Of the last entries; what came before each of them is found by the question's index, and not beyond so many entries.
# An ending that was delivered again took as long as that time.
_ANSWERED = "step = 'answered' and asked_at is not null"
_DELIVERED = "step = 'delivered' and ended_at is not null"
TIMES = f"""
    with recent as materialized (
        select id, question_id, ask_number, organization_id, step, at
        from pending_trail
        order by id desc
        limit %(most_entries)s
    ),
    timed as (
        select step, {_KEY} as key, asked_at, ended_at, at
        from recent
        cross join lateral (
            select max(at) filter (where step = 'asked') as asked_at,
                   max(at) filter (where step in ('answered', 'defaulted', 'expired', 'withdrawn', 'redelivered'))
                       as ended_at,
                   max(connection_id) filter (where step = 'asked') as connection_id,
                   max(user_id) filter (where step = 'asked') as expected_user_id,
                   max(application) filter (where step = 'asked') as application
            from (
                select *
                from pending_trail as entry
                where entry.question_id collate "C" = recent.question_id and entry.id < recent.id
                order by entry.question_id collate "C" desc, entry.id desc
                limit 100
            ) as entry
            where entry.ask_number = recent.ask_number
        ) as before
        where step in ('answered', 'delivered') and at >= now() - interval '1 hour' and {_OF_APPLICATION}
    )
    select grouping(key) = 1 as is_total, key,
           count(*) filter (where {_ANSWERED}) as answers,
           {_durations("answer", "extract(epoch from at - asked_at)::float8", _ANSWERED)},
           count(*) filter (where {_DELIVERED}) as deliveries,
           {_durations("delivery", "extract(epoch from at - ended_at)::float8", _DELIVERED)}
    from timed
    group by grouping sets ((), (key))
"""


def _alike(error: LiteralString) -> LiteralString:
    # UUIDs and long hexadecimal words first, which have parts without a digit; then each word with a digit in it. The
    # status of a reply (4xx, 5xx) says more than a number does.
    ids = r"\m[0-9a-fA-F]{8}-[0-9a-fA-F-]{20,}\M|\m(?=\w*\d)[0-9a-fA-F]{8,}\M"
    numbers = r"\m(?![45]\d\d(?![\w.,]))\w*\d\w*([.,:]\w*\d\w*)*"
    return f"left(regexp_replace(regexp_replace({error}, '{ids}', '#', 'g'), '{numbers}', '#', 'g'), 300)"


def _failed(
    trouble: LiteralString, error: LiteralString, due_at: LiteralString, since: LiteralString, condition: LiteralString
) -> LiteralString:
    return f"""(
            select '{trouble}' as trouble, {_alike(error)} as error, {due_at} as due_at, {readable(since)} as since, id
            from pending_interactions
            where {condition} and {error} is not null and {_OF_APPLICATION}
            limit %(cap)s
        )"""


# The longest that a platform may ask the pods to wait: what is due later was posted, and reminds.
_IS_POSTED_AGAIN = """claimed_at is null and posted_at is null
                  and (post_due_at <= now() + interval '1 hour' or post_due_at = 'infinity')"""

ERRORS = f"""
    with failed as (
        {_failed("delivery", "delivery_error", "delivery_due_at", "claimed_at", "delivery_due_at is not null")}
        union all
        {_failed("delivery", "delivery_error", "ending_due_at", "claimed_at", "ending_due_at is not null")}
        union all
        {_failed("card", "post_error", "post_due_at", "created_at", _IS_POSTED_AGAIN)}
        union all
        {_failed("append", "stream_error", "stream_due_at", "coalesce(claimed_at, created_at)", EVENTS_WAIT)}
    )
    select trouble, error, count(*)::integer as rows,
           (count(*) filter (where due_at = 'infinity'))::integer as given_up,
           extract(epoch from now() - min(since))::float8 as oldest_seconds,
           extract(epoch from min({readable("due_at")}) filter (where due_at < 'infinity') - now())::float8
               as next_attempt_seconds,
           (array_agg(id order by since, id))[1] as example
    from failed
    group by trouble, error
    order by rows desc, trouble, error
    limit %(limit)s
"""

PODS = f"""
    select pod, application, version, extract(epoch from now() - started_at)::float8 as up_seconds,
           greatest(extract(epoch from now() - seen_at), 0)::float8 as seen_seconds_ago,
           connections, claims, cards, answers
    from pending_pods
    where seen_at > now() - interval '1 hour' and seen_at < now() + interval '1 hour' and {_OF_APPLICATION}
    order by pod, application, started_at
    limit %(limit)s
"""

STORAGE = """
    select case when reltuples >= 0 then reltuples::bigint end as rows, pg_total_relation_size(oid) as bytes,
           pg_total_relation_size(to_regclass('pending_trail')) as trail_bytes
    from pg_class
    where oid = 'pending_interactions'::regclass
"""

LIMIT_KEYS = """
    select case when number <= %(cap)s then number else greatest(number, reltuples::bigint) end as keys,
           number > %(cap)s as is_estimate, pg_total_relation_size(oid) as bytes
    from pg_class
    cross join (select count(*) as number from (select from pending_rate_limit limit %(cap)s + 1) as few) as counted
    where oid = 'pending_rate_limit'::regclass
"""

LAST_SWEEP = """
    select case when began_at > '-infinity' then greatest(extract(epoch from now() - began_at), 0)::float8 end
               as seconds_ago, pod
    from sweep_cycle
"""
