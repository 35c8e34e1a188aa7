"""The statements of what the person on call reads. Returned columns have the names of the fields they fill."""

from typing import LiteralString

from .statements import EVENTS_WAIT, OUTCOME, REMIND_EVERY, readable

STATE = """
    case
        when delivery_due_at = 'infinity' or ending_due_at = 'infinity' then 'stuck'
        when delivery_due_at is not null or ending_due_at is not null and outcome = 'defaulted' then 'undelivered'
        when claimed_at is not null and outcome in ('defaulted', 'expired') then outcome
        when claimed_at is not null and withdrawn_at is not null then 'withdrawn'
        when claimed_at is not null then 'claimed'
        when expires_at is null and created_at < now() - %(max_age)s::interval then 'stale'
        else 'pending'
    end
"""

UNPOSTED = """
    case
        when claimed_at is not null or posted_at is not null then null
        when post_due_at is null then 'by_caller'
        when post_due_at = 'infinity' then 'given_up'
        else 'to_be_posted'
    end
"""

# Of a question that has ended nothing is posted any more; of a card that was given up nothing is due.
_POST_DUE_AT = f"case when claimed_at is null and post_due_at < 'infinity' then {readable('post_due_at')} end"

# Of an ending that is stuck no attempt is due.
_DELIVERY_DUE_AT = f"""
    case when coalesce(delivery_due_at, ending_due_at) < 'infinity'
         then {readable("coalesce(delivery_due_at, ending_due_at)")} end
"""

_SUMMARY_COLUMNS = f"""
    id, organization_id, connection_id, expected_user_id, application, ask_number,
    {readable("created_at")} as created_at, {readable("claimed_at")} as claimed_at,
    {readable("expires_at")} as expires_at,
    {STATE} as state,
    extract(epoch from now() - {readable("created_at")})::float8 as age_seconds,
    entry_payload #>> '{{question,text}}' as question,
    entry_payload #>> '{{question,conversation_id}}' as conversation_id,
    answered_by, pod,
    delivery_attempts, {_DELIVERY_DUE_AT} as delivery_due_at, delivery_error,
    {UNPOSTED} as unposted, post_attempts, {_POST_DUE_AT} as post_due_at, post_error,
    card_attempts, {readable("card_due_at")} as card_due_at,
    stream, stream_attempts, case when {EVENTS_WAIT} then {readable("stream_due_at")} end as stream_due_at, stream_error
"""

GET = f"""
    select {_SUMMARY_COLUMNS}, entry_payload::text as payload, answer, delivery_key, {readable("delivered_at")} as
           delivered_at,
           case when outcome is null then {readable("withdrawn_at")} end as withdrawn_at, {OUTCOME} as outcome,
           default_answer, {readable("posted_at")} as posted_at, card::text as card, request_key,
           {REMIND_EVERY} as remind_every, reminders_left,
           {readable("escalate_at")} as escalate_at, escalate_to, {readable("escalated_at")} as escalated_at
    from pending_interactions as pending
    where id = %(id)s
"""

GET_SUMMARIES = f"select {_SUMMARY_COLUMNS} from pending_interactions where id = any (%(ids)s) order by created_at, id"

# What pods have leased of these rows. Which pod it is the trail has, found by its index (see trail_reads); of the lease
# that a claim begins, the row. A post keeps its time where the pods give up, and where a person has it posted again.
LEASES = f"""
    select pending.id as question_id, what, coalesce(begun.pod, pending.pod) as pod,
           {readable("coalesce(begun.at, claimed_at)")} as since, {readable("until")} as until,
           extract(epoch from {readable("until")} - clock_timestamp())::float8 as seconds_left
    from pending_interactions as pending
    cross join lateral (
        values ('post', posting_until, '{{asked,posting}}'::text[],
                claimed_at is null and post_attempts > 0 and post_due_at is distinct from 'infinity'),
               ('delivery', coalesce(delivery_due_at, ending_due_at), '{{leased}}', lease_token is not null)
    ) as lease (what, until, steps, is_held)
    left join lateral (
        select pod, at
        from pending_trail
        where question_id collate "C" between pending.id and pending.id
          and ask_number = pending.ask_number and step = any (steps)
        order by question_id collate "C" desc, id desc
        limit 1
    ) as begun on true
    where pending.id = any (%(ids)s) and is_held and until < 'infinity'
    order by until
"""

# Looks at every id, unless the database sorts as C does.
WITH_PREFIX = "select id from pending_interactions where starts_with(id, %(prefix)s) order by id limit %(limit)s"

# What narrows the rows to a part of an index.
_IN_RANGE = """(%(organization_id)s::text is null or organization_id = %(organization_id)s)
      and (%(older_than)s::interval is null or created_at < now() - %(older_than)s::interval)
      and (%(since)s::timestamptz is null or created_at >= %(since)s::timestamptz)
      and (%(since_ago)s::interval is null or created_at >= now() - %(since_ago)s::interval)
      and (%(until)s::timestamptz is null or created_at < %(until)s::timestamptz)
      and (%(until_ago)s::interval is null or created_at < now() - %(until_ago)s::interval)
      and (%(state)s::text is null or %(state)s not in ('pending', 'stale') or claimed_at is null)"""

_OF_COLUMNS = """(%(application)s::text is null or application = %(application)s)
      and (%(connection_id)s::text is null or connection_id = %(connection_id)s)
      and (%(expected_user_id)s::text is null or expected_user_id = %(expected_user_id)s)
      and (%(answered_by)s::text is null or answered_by = %(answered_by)s)"""

# A card that is to be edited now, or again within the hour that a failed edit waits at most. Of an open question what
# is due later is that it goes stale.
_IS_BEHIND = """(card_due_at <= now() + interval '1 hour'
           and (card_due_at <= now()
                or card_attempts > 0
                   and (claimed_at is not null or retired_cards is not null
                        or expires_at is null and created_at <= now() - %(max_age)s::interval)))"""

# Planned with its parameters, a condition that is not asked for vanishes from the plan. The states of few rows are
# named once more beside the expression, so that their index serves them.
_FILTERS = f"""{_IN_RANGE}
      and {_OF_COLUMNS}
      and (%(conversation_id)s::text is null
           or entry_payload #>> '{{question,conversation_id}}' = %(conversation_id)s)
      and (%(error)s::text is null or strpos(lower(delivery_error), lower(%(error)s)) > 0
           or strpos(lower(post_error), lower(%(error)s)) > 0
           or strpos(lower(stream_error), lower(%(error)s)) > 0)
      and (%(state)s::text is null or {STATE} = %(state)s)
      and (%(state)s::text is null or %(state)s not in ('stuck', 'undelivered')
           or delivery_due_at is not null or ending_due_at is not null)
      and (%(due_within)s::interval is null
           or claimed_at is null and expires_at <= now() + %(due_within)s::interval)
      and (%(card)s::text is distinct from 'behind' or {_IS_BEHIND})
      and (%(card)s::text is distinct from 'gone' or (posted_at is not null and post_error is not null))
      and (%(card)s::text is distinct from 'never-posted' or (posted_at is null and claimed_at is null))"""


def _find(
    key: LiteralString, direction: LiteralString, beyond: LiteralString, only: LiteralString = ""
) -> LiteralString:
    """Return the statement that lists rows in the order of a key and then of their ids.

    A page begins behind the last row of the one before, which may be gone by then. The page is found first and its rows
    are read one by one (`limit` keeps it so), so that no column is computed of a row that is only sorted.
    """
    return f"""
    select found.*, page.{key}::text as key
    from (
        select id, {key}
        from pending_interactions
        where {_FILTERS}
          and (%(after_key)s::timestamptz is null
               or ({key}, id) {beyond} (%(after_key)s::timestamptz, %(after_id)s::text))
          {only}
        order by {key} {direction}, id {direction}
        limit %(limit)s
    ) as page
    cross join lateral (select {_SUMMARY_COLUMNS} from pending_interactions where id = page.id limit 1) as found
    order by page.{key} {direction}, page.id {direction}
"""


FIND = _find("created_at", "asc", ">")
FIND_NEWEST = _find("created_at", "desc", "<")
FIND_DUE = _find("expires_at", "asc", ">", only="and claimed_at is null and expires_at is not null")

_HAS_DEADLINE = "(not %(with_deadline)s or claimed_at is null and expires_at is not null)"

COUNT_FOUND = f"""
    select count(*)
    from (select from pending_interactions where {_FILTERS} and {_HAS_DEADLINE} limit %(cap)s) as found
"""

# Of a thousand pages, the same ones each time: a few rows in a hundred at a million, whatever the filters look at.
SAMPLE_FOUND = f"""
    select (count(*) * greatest(1, pg_relation_size('pending_interactions') / 8192 / 1000.0))::bigint
    from pending_interactions
        tablesample system (least(100, 100000.0 * 8192 / greatest(1, pg_relation_size('pending_interactions'))))
        repeatable (1)
    where {_FILTERS} and {_HAS_DEADLINE}
"""

# What the planner knows of how many rows a list has to read, and how many of them it may find.
ESTIMATE_IN_RANGE = f"explain (format json) select from pending_interactions where {_IN_RANGE}"
ESTIMATE_OF_COLUMNS = f"{ESTIMATE_IN_RANGE} and {_OF_COLUMNS}"

_OF_WHOM = """(%(application)s::text is null or application = %(application)s)
              and (%(organization_id)s::text is null or organization_id = %(organization_id)s)"""


def _concern(concern: LiteralString, condition: LiteralString, since: LiteralString) -> LiteralString:
    """Return the statement that finds rows of a concern, the longest first of those that are looked at.

    An index holds them and few others. After an outage there may be very many, of which ten thousand are looked at.
    """
    return f"""(
        select id, '{concern}' as concern, {since} as since
        from (
            select id, {since}
            from pending_interactions
            where {condition} and {_OF_WHOM}
            limit %(most_read)s
        ) as looked_at
        order by {since}
        limit %(limit)s
    )"""


# In the order of inspected.Concern. A pod does what is due within a second or two, and delivers what it has claimed at
# once; an edit is tried again, after an hour at most, without anybody having reported that it failed. Cards of open
# questions are due when these go stale.
_CONCERNS: LiteralString = " union all ".join(
    (
        _concern("stuck", "delivery_due_at = 'infinity'", "claimed_at"),
        _concern("stuck", "ending_due_at = 'infinity'", "claimed_at"),
        _concern(
            "undelivered",
            "delivery_due_at < 'infinity' and (delivery_error is not null or claimed_at < now() - interval '5 s')",
            "claimed_at",
        ),
        _concern(
            "undelivered",
            "ending_due_at < 'infinity' and (delivery_error is not null or claimed_at < now() - interval '5 s')",
            "claimed_at",
        ),
        _concern(
            "not posted",
            """claimed_at is null and posted_at is null and post_due_at is not null
              and (post_due_at = 'infinity' or post_error is not null or post_due_at < now() - interval '10 s')""",
            "created_at",
        ),
        _concern(
            "card behind",
            """claimed_at is not null and card_due_at < now() + interval '1 hour'
              and (card_attempts > 1 or card_due_at < now() - interval '10 s')""",
            "claimed_at",
        ),
        _concern(
            "unappended",
            f"{EVENTS_WAIT} and (stream_attempts > 1 or stream_due_at < now() - interval '10 s')",
            "created_at",
        ),
        _concern("overdue", "claimed_at is null and expires_at < now() - interval '10 s'", "expires_at"),
    )
)
_OLDEST_OPEN = f"""(
        select id, 'open' as concern, created_at as since
        from pending_interactions
        where claimed_at is null and {_OF_WHOM}
        order by created_at
        limit %(limit)s
    )"""

ATTENTION = f"""
    select found.*, attention.concern
    from ({_CONCERNS} union all {_OLDEST_OPEN}) as attention
    cross join lateral (
        select {_SUMMARY_COLUMNS} from pending_interactions where id = attention.id limit 1
    ) as found
    order by array_position(array['stuck', 'undelivered', 'not posted', 'card behind', 'unappended', 'overdue',
                                  'open'], concern),
             since, found.id
"""

KNOWS_ORGANIZATION = """
    select %(organization_id)s::text is null
               or exists (select from organization where id = %(organization_id)s) as organization_id
"""

# An application whose pods deliver is on record; a connection is wherever a question is its.
KNOWS_NAMES = """
    select
        %(application)s::text is null
            or exists (select from pending_applications where application = %(application)s)
            or exists (select from pending_interactions where application = %(application)s) as application,
        %(connection_id)s::text is null
            or exists (
                select from pending_interactions
                where connection_id = %(connection_id)s
                  and (%(organization_id)s::text is null or organization_id = %(organization_id)s)
            ) as connection_id
"""
