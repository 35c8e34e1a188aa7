"""The statements of what the person on call reads. Returned columns have the names of the fields they fill."""

from .statements import OUTCOME, REMIND_EVERY, readable

_STATE = """
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

_UNPOSTED = """
    case
        when claimed_at is not null or posted_at is not null then null
        when post_due_at is null then 'by_caller'
        when post_due_at = 'infinity' then 'given_up'
        else 'to_be_posted'
    end
"""

# Of a question that has ended nothing is posted any more; of a card that was given up nothing is due.
_POST_DUE_AT = f"case when claimed_at is null and post_due_at < 'infinity' then {readable('post_due_at')} end"

_SUMMARY_COLUMNS = f"""
    id, organization_id, connection_id, expected_user_id, application, ask_number,
    {readable("created_at")} as created_at, {readable("claimed_at")} as claimed_at,
    {readable("expires_at")} as expires_at,
    {_STATE} as state,
    extract(epoch from now() - {readable("created_at")})::float8 as age_seconds,
    entry_payload #>> '{{question,text}}' as question,
    {_UNPOSTED} as unposted, {_POST_DUE_AT} as post_due_at, post_error
"""

GET = f"""
    select {_SUMMARY_COLUMNS}, entry_payload::text as payload, answer, delivery_key, answered_by, pod,
           delivery_attempts, delivery_error, {readable("delivered_at")} as delivered_at,
           case when outcome is null then {readable("withdrawn_at")} end as withdrawn_at, {OUTCOME} as outcome,
           default_answer, {readable("posted_at")} as posted_at, card::text as card, request_key,
           post_attempts, {REMIND_EVERY} as remind_every, reminders_left,
           {readable("escalate_at")} as escalate_at, escalate_to, {readable("escalated_at")} as escalated_at
    from pending_interactions as pending
    where id = %(id)s
"""

# The states of few rows are named once more beside the expression, so that their index serves them.
FIND = f"""
    select {_SUMMARY_COLUMNS}
    from pending_interactions
    where (%(application)s::text is null or application = %(application)s)
      and (%(organization_id)s::text is null or organization_id = %(organization_id)s)
      and (%(connection_id)s::text is null or connection_id = %(connection_id)s)
      and (%(expected_user_id)s::text is null or expected_user_id = %(expected_user_id)s)
      and (%(older_than)s::interval is null or created_at < now() - %(older_than)s::interval)
      and (%(state)s::text is null or {_STATE} = %(state)s)
      and (%(state)s::text is null or %(state)s not in ('stuck', 'undelivered')
           or delivery_due_at is not null or ending_due_at is not null)
      and (%(due_within)s::interval is null
           or claimed_at is null and expires_at <= now() + %(due_within)s::interval)
      and (%(card)s::text is distinct from 'behind' or card_due_at <= now())
      and (%(card)s::text is distinct from 'never-posted' or (posted_at is null and claimed_at is null))
    order by created_at, id
    limit %(limit)s
"""

# The row without an organization is the total.
COUNT = f"""
    select organization_id,
           count(*) filter (where state = 'claimed') as claimed,
           count(*) filter (where state = 'withdrawn') as withdrawn,
           count(*) filter (where state = 'expired') as expired,
           count(*) filter (where state = 'defaulted') as defaulted,
           count(*) filter (where is_untold) as endings_to_tell,
           count(*) filter (where is_due_soon) as due_within_the_hour,
           count(*) filter (where unposted = 'to_be_posted') as cards_to_post,
           count(*) filter (where unposted = 'given_up') as cards_never_posted,
           count(*) filter (where state = 'undelivered') as undelivered,
           count(*) filter (where state = 'stuck') as stuck,
           count(*) filter (where state = 'pending') as pending,
           count(*) filter (where state = 'stale') as stale,
           extract(epoch from now() - min(created_at) filter (where claimed_at is null))::float8 as oldest_pending,
           extract(epoch from now() - min(claimed_at) filter (where state in ('undelivered', 'stuck')))::float8
               as oldest_undelivered
    from (
        select organization_id, {readable("created_at")} as created_at, {readable("claimed_at")} as claimed_at,
               {_STATE} as state, {_UNPOSTED} as unposted, ending_due_at is not null as is_untold,
               claimed_at is null and expires_at <= now() + interval '1 hour' as is_due_soon
        from pending_interactions
        where %(application)s::text is null or application = %(application)s
    ) as rows
    group by grouping sets ((), (organization_id))
    order by organization_id nulls first
"""
